"""Listening sockets and the limit of open files: what the kernel is asked for once, at the start.

Options set on a listening socket are inherited by every connection it accepts, so they cost nothing per connection.
Where several processes serve one address, one of them reserves it without listening, and the others listen there.
"""

from __future__ import annotations

import errno
import logging
import resource
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from handlers.protocol.address import Address
from handlers.settings import HoldSettings

log = logging.getLogger("holdfast")

RESERVED_FILES = 32
"""Open files that are never given to clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """What the kernel is to do for each connection that a listening socket accepts."""

    unsent_limit: int = 0
    """Bytes not yet sent that it may queue (TCP_NOTSENT_LOWAT); 0 leaves the system's limit."""
    user_timeout: float = 0
    """Seconds a peer may take nothing of what it was sent (TCP_USER_TIMEOUT); 0 leaves the system's."""
    probe_interval: int = 0
    """Seconds of silence after which it asks a peer whether it is there (TCP keep-alive); 0 does not."""
    backlog: int
    """Connections that may wait to be accepted."""
    is_shared: bool = False
    """Whether other processes of this user may listen on the same address (SO_REUSEPORT); clients are spread."""


class Bound(NamedTuple):
    """What a socket is bound to, its port chosen."""

    family: int
    host: str
    port: int


def client_options(hold: HoldSettings, *, backlog: int, is_shared: bool = False) -> SocketOptions:
    """Return what the sockets for clients need."""
    return SocketOptions(
        unsent_limit=hold.kernel_unsent_limit,
        user_timeout=hold.user_timeout,
        probe_interval=hold.probe_interval,
        backlog=backlog,
        is_shared=is_shared,
    )


def listen(address: Address, options: SocketOptions) -> tuple[socket.socket, ...]:
    """Bind and listen. Without a host it is every interface, IPv6 and IPv4 on one socket where the system has both.

    Raises OSError with the address as its `filename`; nothing is left open then.
    """
    return _open(address, lambda family, sockaddr: _listen(family, sockaddr, options))


def reserve(address: Address) -> tuple[socket.socket, ...]:
    """Bind without listening, so that the address is known and stays this user's. Raises OSError as `listen`.

    Nobody may listen there already: sockets that share an address would not notice each other.
    """
    return _open(address, _reserve)


def listen_there(bound: Bound, options: SocketOptions) -> socket.socket:
    """Listen on an address that was reserved; `options` share it. Raises OSError with the address as its `filename`."""
    try:
        return _listen(bound.family, (bound.host, bound.port), options)
    except OSError as error:
        address = Address(host=bound.host, port=bound.port)
        raise OSError(error.errno, error.strerror or str(error), str(address)) from error


def bound_to(sock: socket.socket) -> Bound:
    """Return where a socket is bound."""
    host, port = sock.getsockname()[:2]
    return Bound(sock.family, host, port)


def describe(addresses: Iterable[tuple[str, int]]) -> str:
    """Return addresses as they stand in log lines."""
    return ", ".join(str(Address(host=host, port=port)) for host, port in addresses)


def _open(address: Address, open_one: Callable[[int, tuple[str, int]], socket.socket]) -> tuple[socket.socket, ...]:
    sockets: list[socket.socket] = []
    try:
        for family, sockaddr in find(address):
            sockets.append(open_one(family, sockaddr))  # one by one: those made so far are closed below
    except (OSError, UnicodeError) as error:  # UnicodeError: a name with a label of more than 63 bytes
        for sock in sockets:
            sock.close()
        if isinstance(error, UnicodeError):
            raise OSError(errno.EINVAL, "not a host's name", str(address)) from error
        raise OSError(error.errno, error.strerror or str(error), str(address)) from error
    return tuple(sockets)


def find(address: Address) -> list[tuple[int, tuple[str, int]]]:
    """Resolve an address to what to bind: one entry, or one for each address a name has."""
    if not address.host:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return [(family, ("::" if family == socket.AF_INET6 else "0.0.0.0", address.port))]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, (str(sockaddr[0]), address.port)) for family, _, _, _, sockaddr in found))


def raise_file_limit(*, workers: int = 0, is_told: bool = True) -> int:
    """Allow as many open files as the hard limit does; return how many clients that leaves room for in one process.

    With `workers`, what is told is how many it is in so many processes together. A tenth is kept for backends,
    publishers and files. Without it the kernel would hand out sockets to the last one, and whoever comes then is cut
    off without a word: clients, but the publish port too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning("cannot raise the limit of open files from %d to %d: %s", soft, hard, error)
            hard = soft
    clients = max(1, hard - max(RESERVED_FILES, hard // 10))
    if workers:
        text = "open files are limited to %d in each of %d workers, clients to %d in all"
        log.info(text, hard, workers, clients * workers)
    elif is_told:
        log.info("open files are limited to %d, clients to %d", hard, clients)
    return clients


def ask_silent_peers(sock: socket.socket, seconds: int) -> None:
    """Have the kernel ask a peer that has been silent for `seconds` whether it is there, up to four times."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 4))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def _reserve(family: int, sockaddr: tuple[str, int]) -> socket.socket:
    if sockaddr[1]:
        _make(family, sockaddr, is_shared=False).close()
    return _make(family, sockaddr, is_shared=True)


def _make(family: int, sockaddr: tuple[str, int], *, is_shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, sockaddr[0] != "::")
        sock.bind(sockaddr)
    except OSError:
        sock.close()
        raise
    return sock


def _listen(family: int, sockaddr: tuple[str, int], options: SocketOptions) -> socket.socket:
    sock = _make(family, sockaddr, is_shared=options.is_shared)
    try:
        if options.unsent_limit:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, options.unsent_limit)
        if options.user_timeout:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(options.user_timeout * 1000))
        if options.probe_interval:
            ask_silent_peers(sock, options.probe_interval)
        sock.listen(options.backlog)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
