"""Clients' connections that are closed, but for bytes which their clients have not taken yet.

Made by `proxy.client_server`. A loop waits for ever for such a client. The kernel gives up on one that takes nothing
where there is TCP (`hold.user_timeout`), and on a Unix socket nobody would. Connections by TLS see to themselves
(`proxy.tls_transport`).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import struct
import termios

from handlers.counters import Counters
from handlers.timers import NOWHERE, Clock, TimerWheel

log = logging.getLogger("holdfast.client")

SYSTEM_SECONDS = 900.0
"""How long a client may take nothing where `hold.user_timeout` is 0: what that says of the system's own limit."""


class Closings:
    """Closes connections, and cuts those whose clients have taken nothing for `seconds`. Tell it who is `gone`."""

    def __init__(self, *, clock: Clock, wheel: TimerWheel, counters: Counters, seconds: float) -> None:
        self._clock = clock
        self._wheel = wheel
        self._counters = counters
        self._seconds = seconds or SYSTEM_SECONDS
        self._waiting: dict[asyncio.Transport, _Closing] = {}

    def close(self, transport: asyncio.Transport) -> None:
        """Close, once what was written has left. Harmless for one that is closed already."""
        transport.close()
        if not transport.get_write_buffer_size() or transport in self._waiting:
            return
        if _has_ended(transport):
            return
        if transport.get_extra_info("sslcontext") is None:
            closing = self._waiting[transport] = _Closing(self, transport)
            self._watch(closing)

    def gone(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        closing = self._waiting.pop(transport, None)
        if closing is not None:
            self._wheel.forget(closing)

    def look_at(self, closing: _Closing) -> None:
        """Go on waiting for a client that has taken something, or cut it."""
        if not closing.transport.get_write_buffer_size() or _has_ended(closing.transport):
            self._waiting.pop(closing.transport, None)  # all is gone, and the loop is about to say so
            return
        unsent = unsent_of(closing.transport)
        if closing.unsent != unsent:
            closing.unsent = unsent
            self._watch(closing)
            return
        self._counters.closings_cut += 1
        log.warning("a closed connection was cut: its client took nothing for %g seconds", self._seconds)
        closing.transport.abort()

    def _watch(self, closing: _Closing) -> None:
        closing.deadline = self._clock.now() + self._seconds
        self._wheel.watch(closing)


class _Closing:
    """One closed connection (`handlers.timers.Timed`)."""

    __slots__ = ("_closings", "deadline", "tick", "transport", "unsent")

    def __init__(self, closings: Closings, transport: asyncio.Transport) -> None:
        self._closings = closings
        self.transport = transport
        self.unsent = unsent_of(transport)
        self.deadline = 0.0
        self.tick = NOWHERE

    def expire(self, now: float) -> None:
        """Look how it goes."""
        self._closings.look_at(self)


def _has_ended(transport: asyncio.Transport) -> bool:
    """Say whether it has no socket any more: uvloop tells of bytes for a moment after that. SockJS's have never one."""
    sock = transport.get_extra_info("socket")
    return sock is None or sock.fileno() < 0


def unsent_of(transport: asyncio.Transport) -> int:
    """Return how many bytes the client has yet to take, those that wait in the kernel included."""
    return transport.get_write_buffer_size() + queued_in_kernel(transport.get_extra_info("socket"))


def queued_in_kernel(sock: socket.socket) -> int:
    """Return how many bytes the kernel was given for a TCP or Unix socket that the peer has not taken."""
    (queued,) = struct.unpack("=i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return int(queued)
