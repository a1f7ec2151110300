"""Listening addresses as operators write them: `7999`, `:7999`, `host:7999`, `[::1]:7999`; and who is at the other end.

Used by the settings of both doors and by whoever opens the sockets. Never resolves a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen. `host` is None for all interfaces (IPv4 and IPv6); port 0 lets the system choose one."""

    host: str | None
    port: int

    def __str__(self) -> str:
        """Return the address as an operator writes it."""
        return encode_address(self)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect. A name other than `localhost` counts as reachable from outside."""
        if self.host is None:
            return False
        try:
            return _parse_ip(self.host).is_loopback
        except AddressValueError:
            return self.host.lower() == "localhost"


def parse_address(text: str) -> Address:
    """Parse `port`, `:port`, `host:port` or `[v6]:port`; raise ValueError with a text for the operator."""
    host, colon, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: the port must be a number from 0 to 65535, as in ':7999'")
    return Address(host=_parse_host(host, text) if colon else None, port=int(port))


def encode_address(address: Address) -> str:
    """Encode `address` as `parse_address` reads it."""
    host = address.host or ""
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def peer_ip(peername: object) -> str:
    """Return the IP address in what a socket says of its peer; empty for one without, as on a Unix socket.

    IPv4 looks like IPv4, on a dual-stack socket too.
    """
    return str(peername[0]).removeprefix("::ffff:") if isinstance(peername, tuple) and peername else ""


def _parse_host(host: str, text: str) -> str | None:
    if host.startswith("[") and host.endswith("]"):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError as error:
            raise ValueError(f"{text!r} is not an address: {host[1:-1]!r} is not an IPv6 address") from error
        return host[1:-1]
    if ":" in host:
        raise ValueError(f"{text!r} is not an address: an IPv6 address goes in brackets, as in '[::1]:7999'")
    if not all(letter.isalnum() or letter in "-._" for letter in host):
        raise ValueError(f"{text!r} is not an address: {host!r} is not a host name")
    return host or None


def _parse_ip(host: str) -> IPv4Address | IPv6Address:
    return IPv6Address(host) if ":" in host else IPv4Address(host)
