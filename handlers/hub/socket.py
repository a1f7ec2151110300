"""A subscriber's WebSocket: each update is a text message of JSON. What the client sends means nothing.

For clients that cannot stream; not of the specification, which allows other ways of dispatch.
"""

from __future__ import annotations

import logging
from typing import Unpack

from handlers.framed import FramedSession
from handlers.hub.frames import Frames
from handlers.hub.subscriber import Subscriber
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.ws_deflate import Deflate
from handlers.protocol.ws_frames import CloseCode, CloseReason, Frame, Opcode
from handlers.session import Parts
from handlers.settings import WebSocketSettings

log = logging.getLogger("holdfast.hub")

TIME_IS_UP = "time is up"

MESSAGE_LIMIT = 65_536
"""Bytes of a message that is read only to be thrown away."""


class HubSocket(FramedSession):
    """One WebSocket. `ends_at` is in the clock's monotonic seconds, `math.inf` for never."""

    __slots__ = ("ends_at", "subscriber")

    def __init__(
        self,
        *,
        limits: WebSocketSettings,
        subscriber: Subscriber,
        ends_at: float,
        deflate: Deflate | None,
        keep_alive: KeepAlive | None,
        **parts: Unpack[Parts],
    ) -> None:
        super().__init__(limits=limits, message_limit=MESSAGE_LIMIT, deflate=deflate, **parts)
        self.subscriber = subscriber
        self.ends_at = ends_at
        self._keep_alive = keep_alive

    def deliver(self, frames: Frames) -> None:
        """Send updates."""
        self.write(frames.deflated_frame if self.is_deflated else frames.plain_frame)
        self.touched = self.site.clock.now()

    def on_frame(self, frame: Frame) -> None:
        """Answer a ping; everything else is counted and dropped."""
        if frame.opcode is Opcode.PING:
            self.answer_ping(frame)
        elif frame.opcode is not Opcode.PONG:
            self.site.counters.websocket_messages += frame.fin
            self.site.counters.websocket_discarded += frame.fin

    def on_close(self, frame: Frame, reason: CloseReason) -> None:
        """Answer the client's close."""
        self.close(reason)

    def on_gone(self) -> None:
        """Nobody needs to know."""

    def on_deadline(self, now: float) -> None:
        """Close when the time is up; the client may come back."""
        if self.ends_at <= now and not self.is_close_sent:
            self.site.counters.mercure_expired += 1
            self.close(CloseReason(code=CloseCode.NORMAL_CLOSURE, reason=TIME_IS_UP))
        else:
            super().on_deadline(now)

    @property
    def next_due(self) -> float:
        """When the wheel is to wake this session."""
        return super().next_due if self.is_close_sent else min(super().next_due, self.ends_at)

    def drain(self) -> None:
        """Close because the process stops."""
        self.close(CloseReason(code=CloseCode.GOING_AWAY))

    def end_silent(self, why: str) -> None:
        """Close a WebSocket on which nothing has moved for too long."""
        log.warning("%s closed: %s", self.label, why)
        self.close(CloseReason(code=CloseCode.GOING_AWAY, reason=why))
