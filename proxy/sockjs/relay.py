"""A client's connection by TLS whose requests another worker serves: its bytes go there and back, deciphered here.

`Relay` is the last protocol of the client's transport, in the worker that has deciphered it; `RelayedTransport` is the
client's transport to the worker that serves it. Between them is a pair of Unix sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from handlers.session import Session, Site


class Relay(Session):
    """One connection. Neither side is read faster than the other takes it; with one the other ends."""

    __slots__ = ("_way",)

    def __init__(self, *, site: Site, transport: asyncio.Transport, label: str, way: RelayEnd) -> None:
        """`way` is connected to the other worker."""
        super().__init__(site=site, transport=transport, label=label)
        self._way = way
        way.client = transport

    def data_received(self, data: bytes) -> None:
        """Pass on what the client sends."""
        self._way.transport.write(data)

    def pause_writing(self) -> None:
        """The client is behind."""
        super().pause_writing()
        pause(self._way.transport)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        resume(self._way.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client's connection is closed."""
        super().connection_lost(exc)
        self._way.transport.close()

    def on_deadline(self, now: float) -> None:
        """There is none."""

    def drain(self) -> None:
        """The other worker ends it."""


class RelayEnd(asyncio.Protocol):
    """The protocol of the near end of the pair. `client` is set before anything comes by it."""

    transport: asyncio.Transport
    client: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what the other worker sends."""
        if self.client is not None:
            self.client.write(data)

    def pause_writing(self) -> None:
        """The other worker is behind."""
        if self.client is not None:
            pause(self.client)

    def resume_writing(self) -> None:
        """The other worker has caught up."""
        if self.client is not None:
            resume(self.client)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other worker has ended it."""
        if self.client is not None:
            self.client.close()


def pause(transport: asyncio.Transport) -> None:
    """Stop reading; one that is closed does not mind."""
    if not transport.is_closing():
        transport.pause_reading()


def resume(transport: asyncio.Transport) -> None:
    """Read on; one that is closed does not mind."""
    if not transport.is_closing():
        transport.resume_reading()


class RelayedTransport(asyncio.Transport, asyncio.Protocol):
    """The far end of the pair, which is the client's connection to whoever serves it here.

    `peername` is the client's; it came by TLS. `begin` is called once it is connected.
    """

    def __init__(self, *, peername: object, begin: Callable[[asyncio.Transport], None]) -> None:
        super().__init__({"peername": peername, "sslcontext": True, "ssl_object": True})
        self._begin = begin
        self._way: asyncio.Transport
        self._protocol: asyncio.Protocol

    # -- as the protocol of the pair's end ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve the client."""
        self._way = cast("asyncio.Transport", transport)
        self._begin(self)

    def data_received(self, data: bytes) -> None:
        """Hand on what the client sends."""
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """The client has ended."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client is behind."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._protocol.resume_writing()

    # -- as a transport -----------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Belong to `protocol` from here on."""
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whom it belongs to."""
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send to the client."""
        self._way.write(data)

    def close(self) -> None:
        """Close behind what was written."""
        self._way.close()

    def abort(self) -> None:
        """Close at once."""
        self._way.abort()

    def is_closing(self) -> bool:
        """Say whether it is closed, or about to be."""
        return self._way.is_closing()

    def pause_reading(self) -> None:
        """Read no more."""
        self._way.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._way.resume_reading()

    def is_reading(self) -> bool:
        """Say whether it is read."""
        return self._way.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say from which size on the client counts as behind."""
        self._way.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait here."""
        return self._way.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """As for every connection by TLS: no."""
        return False
