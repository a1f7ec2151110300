"""Where a ZeroMQ socket listens or connects, as operators write it: `tcp://HOST:PORT`, `ipc://PATH`.

Used by the settings of the ZeroMQ sockets and by whoever opens them. Never resolves a name, never touches a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.protocol.address import parse_address
from handlers.protocol.unix_address import PATH_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class ZmqSpec:
    """One endpoint. `address` is what stands behind `://`; `text` is the whole, as written."""

    transport: Literal["tcp", "ipc"]
    address: str

    @property
    def text(self) -> str:
        """The spec as an operator writes it."""
        return f"{self.transport}://{self.address}"

    @property
    def has_open_port(self) -> bool:
        """Whether the system is to choose the port."""
        return self.transport == "tcp" and self.address.endswith((":0", ":*"))

    @property
    def is_abstract(self) -> bool:
        """Whether it is a Unix socket without a file, in Linux' abstract namespace."""
        return self.transport == "ipc" and self.address.startswith("@")

    @property
    def has_file(self) -> bool:
        """Whether it is a Unix socket with a file, whose path is the address."""
        return self.transport == "ipc" and not self.is_abstract

    @property
    def unix_address(self) -> str:
        """The address of a Unix socket, as the kernel has it."""
        return f"\0{self.address[1:]}" if self.is_abstract else self.address

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.transport == "ipc" or parse_address(_plain(self.address)).is_loopback


def parse_spec(text: str) -> ZmqSpec:
    """Parse an endpoint; raise ValueError with a text for the operator."""
    transport, separator, address = text.partition("://")
    if separator and transport == "tcp":
        if not address.rpartition(":")[0]:
            raise ValueError(f"{text!r} has no host: tcp://127.0.0.1:5560, or tcp://*:5560 for every interface")
        parse_address(_plain(address))
        return ZmqSpec(transport="tcp", address=address)
    if separator and transport == "ipc":
        if not address or len(address.encode()) > PATH_LIMIT:
            raise ValueError(f"{text!r} has no path, or one of more than {PATH_LIMIT} bytes")
        if address == "*":
            raise ValueError(f"{text!r} is a path of ZeroMQ's choice, which nobody else knows")
        return ZmqSpec(transport="ipc", address=address)
    raise ValueError(f"{text!r} is no ZeroMQ endpoint: expected tcp://HOST:PORT or ipc://PATH")


def _plain(address: str) -> str:
    """Return an address of ZeroMQ as `handlers.protocol.address` writes it: `*` stands for every interface or port."""
    host, _, port = address.rpartition(":")
    return f"{'' if host == '*' else host}:{'0' if port == '*' else port}"
