"""A subscriber's event stream (reference 1.5, 1.15): a held stream that ends by itself when its time is up."""

from __future__ import annotations

import logging
from typing import Unpack

from handlers.hub.frames import Frames
from handlers.hub.subscriber import Subscriber
from handlers.protocol.instruct import KeepAlive
from handlers.session import Parts
from handlers.stream import StreamSession

log = logging.getLogger("holdfast.hub")


class HubStream(StreamSession):
    """One stream. `ends_at` is in the clock's monotonic seconds, `math.inf` for never."""

    __slots__ = ("ends_at", "subscriber")

    def __init__(
        self,
        *,
        subscriber: Subscriber,
        ends_at: float,
        chunked: bool,
        keep_alive: KeepAlive | None,
        **parts: Unpack[Parts],
    ) -> None:
        self.subscriber = subscriber
        self.ends_at = ends_at
        super().__init__(chunked=chunked, keep_alive=keep_alive, **parts)

    def deliver(self, frames: Frames) -> None:
        """Append the events of updates."""
        self.write(frames.chunk if self.chunked else frames.event)
        self.touched = self.site.clock.now()

    def on_deadline(self, now: float) -> None:
        """End the stream cleanly when its time is up; the client comes back by itself."""
        if self.ends_at > now:
            super().on_deadline(now)
            return
        self.site.counters.mercure_expired += 1
        log.debug("%s ended: its time is up", self.label)
        self.finish()

    @property
    def next_due(self) -> float:
        """When the wheel is to wake this session."""
        return min(super().next_due, self.ends_at)
