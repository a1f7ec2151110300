"""When a transport is read: not while its other side has enough to do, nor while frames of the last read wait.

Used by both ends of a WebSocket: the session for its client, `proxy.through` for a backend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FRAMES_A_TURN = 100
"""Frames taken in one turn of the loop, which is half a millisecond of reading them."""


class Intake:
    """Pauses and resumes one transport for two reasons that may hold at once."""

    __slots__ = ("_is_paused", "_is_put_off", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_paused = self._is_put_off = False

    def pause(self) -> None:
        """Read no more until `resume`."""
        self._is_paused = True
        self._stop()

    def resume(self) -> None:
        """Read on, unless frames still wait."""
        self._is_paused = False
        self._go_on()

    def put_off(self, take: Callable[[], None]) -> None:
        """Leave what has been read to `take`, called in the next turn of the loop; nothing is read before.

        The transport hands over megabytes in one turn; small frames of that would stop everybody else.
        """
        self._is_put_off = True
        self._stop()
        asyncio.get_running_loop().call_soon(self._take, take)

    def _take(self, take: Callable[[], None]) -> None:
        self._is_put_off = False
        take()
        self._go_on()

    def _stop(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if not (self._is_paused or self._is_put_off or self._transport.is_closing()):
            self._transport.resume_reading()
