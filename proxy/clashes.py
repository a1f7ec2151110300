"""Settings that want the same address: refused here, since sockets that share one (`SO_REUSEPORT`) see no clash.

Called by `proxy.doors` before it opens anything, and by `holdfast check`. What clashes is what the kernel refuses to
one process, but for naming one address only. Names are resolved as for listening. ZeroMQ's endpoints of publishers and
of the state service are among them, so that two settings are named; those of routes are left to ZeroMQ, whose
sockets never share an address.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from handlers.protocol.address import Address
from handlers.protocol.unix_address import UnixAddress
from handlers.protocol.zmq_spec import ZmqSpec, parse_spec
from proxy.config import Settings
from proxy.errors import SettingsError
from proxy.listening import find

_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What one address of one setting comes to."""

    setting: str
    text: str
    bound: tuple[tuple[int, tuple[str, int]], ...]
    """Families, hosts and ports to bind; of a Unix socket its path."""


def refuse_clashes(settings: Settings) -> None:
    """Raise SettingsError if two addresses cannot both be listened on, for the first such two."""
    for text in find_clashes(settings):
        raise SettingsError(text)


def find_clashes(settings: Settings) -> Iterator[str]:
    """Name each two addresses that cannot both be listened on, with the settings they stand in."""
    for first, second in combinations(_places(settings), 2):
        if any(_meet(one, other) for one in first.bound for other in second.bound):
            yield f"{second.setting}: {second.text} is taken by {first.text} of {first.setting}"


def _places(settings: Settings) -> Iterator[_Place]:
    proxy = settings.proxy
    wanted: list[tuple[str, Address | UnixAddress]] = [
        *(("proxy.listen", each) for each in proxy.addresses),
        *(("proxy.tls_listen", each) for each in proxy.tls_addresses),
        *(("proxy.unix_listen", each) for each in proxy.unix_addresses),
        ("publish.listen", settings.publish.address),
    ]
    if settings.metrics.address is not None:
        wanted.append(("metrics.listen", settings.metrics.address))
    for setting, address in wanted:
        yield _Place(setting=setting, text=str(address), bound=_resolve(address))
    zeromq = settings.zeromq
    for setting, texts in (
        ("zeromq.pull", (zeromq.pull,)),
        ("zeromq.sub", zeromq.bound_subs),
        ("zeromq.command", (zeromq.command,)),
        ("zeromq.stats", (zeromq.stats,)),
        ("session.state", (settings.session.state,) if proxy.workers == 1 else ()),
    ):
        for text in filter(None, texts):
            yield _Place(setting=setting, text=text, bound=_resolve_spec(parse_spec(text)))


def _resolve(address: Address | UnixAddress) -> tuple[tuple[int, tuple[str, int]], ...]:
    if isinstance(address, UnixAddress):
        return ((socket.AF_UNIX, (address.path, 0)),)
    try:
        return tuple(find(address)) if address.port else ()  # the system chooses ports that are free
    except (OSError, UnicodeError):
        return ()  # listening says so


def _resolve_spec(spec: ZmqSpec) -> tuple[tuple[int, tuple[str, int]], ...]:
    """Resolve as ZeroMQ does: to one address, of IPv4 unless an IPv6 address is written."""
    if spec.transport == "ipc":
        return ((socket.AF_UNIX, (spec.unix_address, 0)),)
    host, _, port = spec.address.rpartition(":")
    if spec.has_open_port:
        return ()
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        found = socket.getaddrinfo("0.0.0.0" if host == "*" else host.strip("[]"), int(port), family=family)
    except (OSError, UnicodeError):
        return ()  # it may be the name of an interface
    return ((family, (str(found[0][4][0]), int(port))),)


def _meet(one: tuple[int, tuple[str, int]], other: tuple[int, tuple[str, int]]) -> bool:
    (family, (host, port)), (other_family, (other_host, other_port)) = one, other
    if port != other_port:
        return False
    if family == other_family:
        return host == other_host or (family != socket.AF_UNIX and not {host, other_host}.isdisjoint(_EVERYWHERE))
    # `::` takes IPv4 too. A Unix socket has no such port.
    return socket.AF_UNIX not in (family, other_family) and "::" in (host, other_host)
