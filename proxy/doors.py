"""All the sockets a Holdfast listens on, opened together or not at all.

Called by the composition roots: `open_doors` by the one process, `open_parents_doors` where workers serve clients.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from handlers.protocol.address import Address
from handlers.protocol.unix_address import UnixAddress
from proxy.clashes import refuse_clashes
from proxy.config import Settings
from proxy.listening import SocketOptions, client_options, listen, reserve
from proxy.unix_listening import UnixListener, listen_unix

CLIENT_BACKLOG = 4096
"""Clients that may wait to be accepted: as many as reconnect at once when a proxy beside this one goes away."""

PUBLISHER_BACKLOG = 1024
"""Publishers that may wait to be accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Sockets by who comes there. Those for clients by TCP are only reserved where workers listen."""

    publishers: tuple[socket.socket, ...]
    plain: tuple[socket.socket, ...]
    tls: tuple[socket.socket, ...]
    unix: tuple[socket.socket, ...]
    """Clients on Unix sockets."""

    listeners: tuple[UnixListener, ...]
    """The files of all Unix sockets, of publishers too."""

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of those for clients by TCP: first without TLS, then with it."""
        return tuple(sock.getsockname()[:2] for sock in (*self.plain, *self.tls))

    def describe_clients(self) -> str:
        """Return where clients come in, for the log."""
        tls = (f"{describe_socket(sock)} (TLS)" for sock in self.tls)
        return ", ".join((*map(describe_socket, self.plain), *tls, *map(describe_socket, self.unix)))

    def remove_files(self) -> None:
        """Remove the files of Unix sockets. Harmless when that has been done."""
        for listener in self.listeners:
            listener.remove_file()

    def close(self) -> None:
        """Close everything that nobody serves yet; what somebody has closed may be among it."""
        self.remove_files()
        for sock in (*self.publishers, *self.plain, *self.tls, *self.unix):
            sock.close()


def open_doors(settings: Settings) -> Doors:
    """Listen for publishers and for clients. Raises OSError with the address as its `filename`.

    Raises SettingsError where two settings want the same address.
    """
    refuse_clashes(settings)
    options = client_options(settings.hold, backlog=CLIENT_BACKLOG)
    with ExitStack() as opened:
        return _open(
            settings,
            opened,
            plain=_all(opened, (listen(each, options) for each in settings.proxy.addresses)),
            tls=_all(opened, (listen(each, options) for each in settings.proxy.tls_addresses)),
        )


def open_parents_doors(settings: Settings) -> Doors:
    """Listen for publishers and on Unix sockets, and reserve the addresses where workers are to listen.

    The reserved sockets are to stay open, so that each address is this Holdfast's as long as it lives. Raises as
    `open_doors`: sockets that are only reserved would not see that two settings want the same address.
    """
    refuse_clashes(settings)
    with ExitStack() as opened:
        return _open(
            settings,
            opened,
            plain=_all(opened, map(reserve, settings.proxy.addresses)),
            tls=_all(opened, map(reserve, settings.proxy.tls_addresses)),
        )


def describe_socket(sock: socket.socket) -> str:
    """Return where a socket listens, for the log."""
    if sock.family == socket.AF_UNIX:
        return str(UnixAddress(path=sock.getsockname()))
    host, port = sock.getsockname()[:2]
    return str(Address(host=host, port=port))


def _open(
    settings: Settings, opened: ExitStack, *, plain: tuple[socket.socket, ...], tls: tuple[socket.socket, ...]
) -> Doors:
    listeners = [_listen_unix(opened, each, CLIENT_BACKLOG) for each in settings.proxy.unix_addresses]
    unix = tuple(listener.sock for listener in listeners)
    publish = settings.publish.address
    if isinstance(publish, UnixAddress):
        listeners.append(_listen_unix(opened, publish, PUBLISHER_BACKLOG))
        publishers: tuple[socket.socket, ...] = (listeners[-1].sock,)
    else:
        publishers = _all(opened, [listen(publish, SocketOptions(backlog=PUBLISHER_BACKLOG))])
    opened.pop_all()
    return Doors(publishers=publishers, plain=plain, tls=tls, unix=unix, listeners=tuple(listeners))


def _all(opened: ExitStack, groups: Iterable[tuple[socket.socket, ...]]) -> tuple[socket.socket, ...]:
    return tuple(opened.enter_context(sock) for group in groups for sock in group)


def _listen_unix(opened: ExitStack, address: UnixAddress, backlog: int) -> UnixListener:
    listener = listen_unix(address, backlog=backlog)
    opened.callback(listener.close)
    return listener
