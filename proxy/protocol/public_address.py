"""Which IP addresses are public: the only ones that an `untrusted` target may have (reference 1.5, row R16).

Asked by both clients of backends for each address that a name has, before a connection to that very address. The
tables are those of IANA's registries of special-purpose addresses (RFC 6890), not those of the `ipaddress` module,
which differ between releases of Python. Pushpin's list is shorter.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network", which reaches this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by a provider's customers, and by clouds
            "127.0.0.0/8",
            "168.63.129.16/32",  # in no registry: from within Azure it is the host's agent, with keys of the machine
            "169.254.0.0/16",  # link-local, where clouds keep their metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_PUBLIC_6: Final = IPv6Network("2000::/3")
"""All that is allotted: outside of it are loopback, unspecified, unique local, link-local, multicast."""
_NOT_PUBLIC_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols' own, and Teredo, which leads to any IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4, which does too
            "3fff::/20",
        ),
    )
)
_EMBEDDING: Final = tuple(map(IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))
"""Whose last four bytes are the IPv4 address that is reached: mapped ones, and NAT64 (RFC 6052)."""


def is_public(address: str) -> bool:
    """Say whether an IPv4 or IPv6 address, as the system writes it, is one of the public internet's.

    One that leads to an IPv4 address is as public as that. What is no address is not public.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return _is_public_4(found) if isinstance(found, IPv4Address) else _is_public_6(found)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_4)


def _is_public_6(address: IPv6Address) -> bool:
    if any(address in network for network in _EMBEDDING):
        return _is_public_4(IPv4Address(address.packed[-4:]))
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)
