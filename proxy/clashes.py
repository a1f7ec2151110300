"""Settings that want the same address: refused here, since sockets that share one (`SO_REUSEPORT`) see no clash.

Called by `proxy.doors` before it opens anything, and by `holdfast check`. What clashes is what the kernel refuses to
one process, but for naming one address only. Names are resolved as for listening. ZeroMQ's endpoints are left to
ZeroMQ, whose sockets never share an address.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from handlers.protocol.address import Address
from handlers.protocol.unix_address import UnixAddress
from proxy.config import Settings
from proxy.errors import SettingsError
from proxy.listening import find

_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What one address of one setting comes to."""

    setting: str
    address: Address | UnixAddress
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
            yield f"{second.setting}: {second.address} is taken by {first.address} of {first.setting}"


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
        yield _Place(setting=setting, address=address, bound=_resolve(address))


def _resolve(address: Address | UnixAddress) -> tuple[tuple[int, tuple[str, int]], ...]:
    if isinstance(address, UnixAddress):
        return ((socket.AF_UNIX, (address.path, 0)),)
    try:
        return tuple(find(address)) if address.port else ()  # the system chooses ports that are free
    except (OSError, UnicodeError):
        return ()  # listening says so


def _meet(one: tuple[int, tuple[str, int]], other: tuple[int, tuple[str, int]]) -> bool:
    (family, (host, port)), (other_family, (other_host, other_port)) = one, other
    if port != other_port:
        return False
    if family == other_family:
        return host == other_host or (family != socket.AF_UNIX and not {host, other_host}.isdisjoint(_EVERYWHERE))
    # `::` takes IPv4 too. A Unix socket has no such port.
    return socket.AF_UNIX not in (family, other_family) and "::" in (host, other_host)
