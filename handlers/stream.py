"""A held stream: every publication on its channels is appended to the answer's body.

The door opens it before it writes the head, so that nothing published after the client sees the head is missed;
until the backend's own body has been sent, publications wait in a short list. From then on a delivery is one
`transport.write`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from handlers.protocol.instruct import KeepAlive, KeepAliveMode
from handlers.protocol.subscribing import Subscription
from handlers.session import Session, Site
from handlers.timers import TimerWheel

BEHIND_LIMIT = 4
"""Times `outbox_limit` that a client may be behind during its grace; beyond, it is cut at once."""


class StreamSession(Session):
    """One stream. `write` takes an encoded frame; `touched` is when the last bytes went out, for the timers."""

    __slots__ = (
        "_beat_from",
        "_behind_until",
        "_jitter",
        "_keep_alive",
        "_waiting",
        "_waiting_size",
        "chunked",
        "debug",
        "is_ended",
        "touched",
        "write",
    )

    def __init__(
        self,
        *,
        site: Site,
        transport: asyncio.Transport,
        subscriptions: tuple[Subscription, ...],
        reusable: bool,
        label: str,
        chunked: bool,
        debug: bool,
        keep_alive: KeepAlive | None,
    ) -> None:
        super().__init__(site=site, transport=transport, subscriptions=subscriptions, reusable=reusable, label=label)
        self.chunked = chunked
        self.debug = debug
        self.is_ended = False
        self.touched = site.clock.now()
        self.write: Callable[[bytes], None] = self._wait
        self._keep_alive = keep_alive
        self._beat_from = self.touched
        self._jitter = 0.0
        self._behind_until = math.inf
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport: write what was published meanwhile, start the timers."""
        self.write = self.transport.write
        super().attach(kept, is_behind=is_behind)
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.write(b"".join(waiting))
        if self.is_ended:
            self._end()
        else:
            self._start_timers(self.site.clock.now())

    def leave(self) -> None:
        """Come off every channel and out of the timer wheel."""
        super().leave()
        # `write` may be a method of this session, which would hold itself by it until the garbage collector runs.
        self.write = self.transport.write if self.is_attached else discard

    def frame(self, data: bytes) -> bytes:
        """Encode `data` as this client's HTTP version wants it."""
        return encode_chunk(data) if self.chunked else data

    def finish(self, last: bytes = b"") -> None:
        """End the body cleanly, after `last`; the connection may then serve its next request. Once is enough."""
        if self.is_ended:
            return
        self.is_ended = True
        if last:
            self.write(self.frame(last))
        self.leave()  # not before: it takes `write` from a stream that still waits to be attached
        if self.is_attached:
            self._end()

    def drain(self) -> None:
        """End the body cleanly and close: the process stops."""
        self.reusable = False
        self.finish()

    def on_deadline(self, now: float) -> None:
        """Send the keep-alive that is due, or close a stream that has been silent for too long."""
        if self.transport.is_closing():
            return
        idle_timeout = self.site.settings.idle_timeout
        if self._behind_until <= now:
            if self.transport.get_write_buffer_size() > self.site.settings.outbox_limit:
                self.cut_slow()
                return
            self._start_grace(now)
        if self._keep_alive is not None and self._next_beat() <= now:
            self.write(self.frame(self._keep_alive.data))
            self.touched = now
            self._start_beat(now)
        elif idle_timeout and self.touched + idle_timeout <= now:
            self.site.counters.idle_closed += 1
            self.cut(f"no bytes for {idle_timeout:g} seconds")
            return
        self._set_deadline()

    def pause_writing(self) -> None:
        """More than `outbox_limit` bytes wait: a client that has not caught up within `slow_grace` is cut.

        Without the grace a burst would cut every client, however fast: nobody takes megabytes at once.
        """
        super().pause_writing()
        if self.is_ended:
            return
        self._start_grace(self.site.clock.now())
        self.write = self._write_behind
        self._set_deadline()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._behind_until = math.inf
        self.write = self.transport.write

    def _wait(self, frame: bytes) -> None:
        self._waiting_size += len(frame)
        if self._waiting_size > self.site.settings.outbox_limit:
            self._waiting.clear()
            self.cut_slow()
            return
        self._waiting.append(frame)

    def _write_behind(self, frame: bytes) -> None:
        self.transport.write(frame)
        if self.transport.get_write_buffer_size() > BEHIND_LIMIT * self.site.settings.outbox_limit:
            self.cut_slow()

    def _end(self) -> None:
        if self.chunked:
            self.write(LAST_CHUNK)
        self.give_back()

    def _start_timers(self, now: float) -> None:
        self.touched = now
        self._start_beat(now)
        self._set_deadline()

    def _start_grace(self, now: float) -> None:
        self._behind_until = now + max(self.site.settings.slow_grace, TimerWheel.RESOLUTION)

    def _start_beat(self, now: float) -> None:
        # Up to a second is taken off at random, so that clients that came together do not beat together: half of the
        # interval where that is less. At least what the wheel may be late, so that no beat is.
        self._beat_from = now
        most = min(1.0, self._keep_alive.timeout / 2) if self._keep_alive is not None else 1.0
        self._jitter = TimerWheel.RESOLUTION + (most - TimerWheel.RESOLUTION) * self.site.random()

    def _next_beat(self) -> float:
        if self._keep_alive is None:
            return math.inf
        begin = self.touched if self._keep_alive.mode is KeepAliveMode.IDLE else self._beat_from
        return begin + self._keep_alive.timeout - self._jitter

    def _set_deadline(self) -> None:
        if self.transport.is_closing():
            return  # what was just written has cut it: the wheel must not hold it
        idle_timeout = self.site.settings.idle_timeout
        idle = self.touched + idle_timeout if idle_timeout else math.inf
        self.deadline = min(self._next_beat(), idle, self._behind_until)
        self.site.wheel.watch(self)


def discard(frame: bytes) -> None:
    """Take what the walk of a running delivery still brings to a stream that has ended before it was attached."""
