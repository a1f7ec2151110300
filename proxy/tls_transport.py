"""A TLS connection's way out: a transport that, closed, is gone as soon as one without TLS would be.

Made by `proxy.tls_entrance`. The loops' own, once closed, wait for the peer's close_notify, which many never send, and
cut whatever is still to be sent when one fixed time is up. This one is done when all that was written is the kernel's,
which sees to the rest by itself, and gives up on those alone who take nothing at all.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import struct
from dataclasses import dataclass
from typing import Any

from handlers.counters import Counters
from handlers.timers import Clock
from proxy.closing import queued_in_kernel

log = logging.getLogger("holdfast.tls")

LOOK_SECONDS = 0.5
"""How often a closed connection is looked at. It takes two looks to see that nothing waits any more."""

STALL_SECONDS = 60.0
"""How long the peer of a closed connection may take nothing before what it was still to get is given up."""

LOOP_CLOSE_SECONDS = 3600.0
"""The loop's own bound on closing, behind ours: it holds where the peer has closed, and still takes something."""

_BYTES_ACKED = struct.Struct("=120xQ")
"""`tcpi_bytes_acked` in Linux's `struct tcp_info`."""


class TlsTransport(asyncio.Transport):
    """All that the loop's transport for TLS is, but for `close`."""

    __slots__ = ("_clock", "_counters", "_sock", "_transport")

    def __init__(self, transport: asyncio.Transport, sock: socket.socket, *, clock: Clock, counters: Counters) -> None:
        """`sock` is the one that `transport` owns, and closes in the end."""
        super().__init__()
        self._transport = transport
        self._sock = sock
        self._clock = clock
        self._counters = counters

    def close(self) -> None:
        """Close, once what was written is on its way."""
        if not self._transport.is_closing():
            self._transport.close()
            _Closing(self._transport, self._sock, clock=self._clock, counters=self._counters).begin()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Say whether it is closed, or about to be."""
        return self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send."""
        self._transport.write(data)

    def can_write_eof(self) -> bool:
        """As for every connection by TLS: no."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait here."""
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say from which size on the peer counts as behind."""
        self._transport.set_write_buffer_limits(high=high, low=low)

    def pause_reading(self) -> None:
        """Read no more."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        """Say whether it is read."""
        return self._transport.is_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Belong to `protocol` from here on."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whom it belongs to."""
        return self._transport.get_protocol()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        return self._transport.get_extra_info(name, default)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What the kernel says of a connection's way out."""

    acknowledged: int
    """Bytes that the peer has taken, ever."""
    given: int
    """Bytes that the kernel was given, ever."""
    has_room: bool
    """Whether the kernel takes more: if any wait, the loop gives them to it in its next turn."""


class _Closing:
    """Looks after one closed connection until it is gone."""

    def __init__(self, transport: asyncio.Transport, sock: socket.socket, *, clock: Clock, counters: Counters) -> None:
        self._transport = transport
        self._sock = sock
        self._clock = clock
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._last: _Look | None = None
        self._stalled_since = clock.now()

    def begin(self) -> None:
        """Look in a while."""
        self._clock.call_later(LOOK_SECONDS, self._look_soon)

    def _look_soon(self) -> None:
        # The loop has a turn of its own between two looks, however the clock goes.
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        if self._sock.fileno() < 0:
            return  # the peer has answered, or has left
        last, look = self._last, _look_at(self._sock)
        self._last = look
        if last is None or look.acknowledged != last.acknowledged:
            self._stalled_since = self._clock.now()
        if last is not None and self._nothing_waits(last, look):
            self._transport.abort()
        elif self._clock.now() - self._stalled_since >= STALL_SECONDS:
            self._cut()
        else:
            self.begin()

    def _nothing_waits(self, last: _Look, look: _Look) -> bool:
        """Say whether all is the kernel's. The loop does not tell how much of what it has encrypted still waits."""
        return last.has_room and look.given == last.given and not self._transport.get_write_buffer_size()

    def _cut(self) -> None:
        self._counters.tls_closings_cut += 1
        log.warning("a closed TLS connection was cut: its peer took nothing for %g seconds", STALL_SECONDS)
        self._transport.abort()


def _look_at(sock: socket.socket) -> _Look:
    (acknowledged,) = _BYTES_ACKED.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size))
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return _Look(acknowledged=acknowledged, given=acknowledged + queued_in_kernel(sock), has_room=bool(poll.poll(0)))
