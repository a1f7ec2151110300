"""A held connection without a natural end: many publications are written to it, one after the other.

What streams and WebSockets have in common: `write`, which the edge calls for each delivery and which is the transport's
own as long as nothing is in the way; the grace of a client that is behind; keep-alives; the end of one that is silent.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable
from typing import Unpack

from handlers.protocol.instruct import KeepAlive, KeepAliveMode
from handlers.session import Parts, Session, failed
from handlers.timers import TimerWheel

BEHIND_LIMIT = 4
"""Times `outbox_limit` that a client may be behind during its grace; beyond, it is cut at once."""


class OpenEndedSession(Session):
    """Takes frames by `write`; `touched` is when the last bytes went out, for the timers.

    `write` is swapped, so that a delivery costs one call whatever the session's state: until the session is attached,
    or while `hold_back` is in force, frames wait in a short list; while the client is behind, each looks at how far.
    """

    __slots__ = (
        "_beat_from",
        "_behind_until",
        "_is_held_back",
        "_jitter",
        "_keep_alive",
        "_waiting",
        "_waiting_size",
        "is_ended",
        "touched",
        "write",
    )

    def __init__(self, *, keep_alive: KeepAlive | None = None, **parts: Unpack[Parts]) -> None:
        super().__init__(**parts)
        self.is_ended = False
        self.touched = self.site.clock.now()
        self.write: Callable[[bytes], None] = self._wait
        self._is_held_back = True
        self._keep_alive = keep_alive
        self._beat_from = self.touched
        self._jitter = 0.0
        self._behind_until = math.inf
        self._waiting: list[bytes] | None = None
        self._waiting_size = 0

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport: write what was published meanwhile."""
        super().attach(kept, is_behind=is_behind)
        self.let_go()

    def leave(self) -> None:
        """Come off every channel and out of the timer wheel."""
        super().leave()
        # `write` may be a method of this session, which would hold itself by it until the garbage collector runs.
        self.write = self.transport.write if self.is_attached else discard

    def hold_back(self) -> None:
        """Keep frames back until `let_go`: the transport may not have them now."""
        self._is_held_back = True
        self.write = self._wait

    def let_go(self) -> None:
        """Write what was kept back, and everything from now on as it comes."""
        self._is_held_back = False
        self.write = self._write_behind if self.is_behind else self.transport.write
        waiting, self._waiting, self._waiting_size = self._waiting, None, 0
        if waiting:
            self.write(b"".join(waiting))

    @property
    def waits(self) -> bool:
        """Whether frames are kept back."""
        return bool(self._waiting)

    def drop_waiting(self) -> int:
        """Forget the frames that are kept back; return how many there were."""
        count = len(self._waiting or ())
        self._waiting, self._waiting_size = None, 0
        return count

    def on_deadline(self, now: float) -> None:
        """Send the keep-alive that is due, or end a session that is stuck or has been silent for too long."""
        if self.transport.is_closing():
            return
        idle_timeout = self.site.settings.idle_timeout
        if self._behind_until <= now:
            if self.transport.get_write_buffer_size() > self.site.settings.outbox_limit:
                self.cut_slow()
                return
            self._behind_until = math.inf  # within bounds again; whatever is written next looks anew
        if self._keep_alive is not None and self._next_beat() <= now:
            self.write(self._keep_alive.data)
            self.touched = now
            self._start_beat(now)
        elif idle_timeout and self.idle_since + idle_timeout <= now:
            self.site.counters.idle_closed += 1
            self.end_silent(f"no bytes for {idle_timeout:g} seconds")
            return
        self.set_deadline()

    @property
    def idle_since(self) -> float:
        """Since when nothing has happened that counts as life."""
        return self.touched

    @property
    def next_due(self) -> float:
        """When the wheel is to wake this session."""
        idle_timeout = self.site.settings.idle_timeout
        idle = self.idle_since + idle_timeout if idle_timeout else math.inf
        return min(self._next_beat(), idle, self._behind_until)

    @abc.abstractmethod
    def end_silent(self, why: str) -> None:
        """End a session on which nothing has moved for `hold.idle_timeout`."""

    def pause_writing(self) -> None:
        """The transport's buffer is over its mark.

        A client that is more than `outbox_limit` behind, and has not caught up within `slow_grace`, is cut. Without the
        grace a burst would cut every client, however fast: nobody takes megabytes at once.
        """
        super().pause_writing()
        if self.is_ended:
            return
        if not self._is_held_back:
            self.write = self._write_behind
        self.look_at_outbox()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._behind_until = math.inf
        if not (self._is_held_back or self.is_ended):
            self.write = self.transport.write

    def set_deadline(self) -> None:
        """Have the wheel wake this session for whatever is due next."""
        if self.transport.is_closing():
            return  # what was just written has cut it: the wheel must not hold it
        self.deadline = self.next_due
        self.site.wheel.watch(self)

    def start_timers(self, now: float) -> None:
        """Count the keep-alive and the silence from now."""
        self.touched = now
        self._start_beat(now)
        self.set_deadline()

    def look_at_outbox(self) -> None:
        """Start the grace of a client that has fallen too far behind, or cut it."""
        if self.transport.is_closing():
            return  # it has been cut already, by the very write that has one look
        size = self.transport.get_write_buffer_size()
        limit = self.site.settings.outbox_limit
        if size > BEHIND_LIMIT * limit:
            self.cut_slow()
        elif size > limit and self._behind_until == math.inf:
            self._start_grace(self.site.clock.now())
            self.set_deadline()

    def _wait(self, frame: bytes) -> None:
        self._waiting_size += len(frame)
        if self._waiting_size > self.site.settings.outbox_limit:
            self._waiting = None
            self.cut_slow()
            return
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(frame)

    def _write_behind(self, frame: bytes) -> None:
        self.transport.write(frame)
        self.look_at_outbox()

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


def discard(frame: bytes) -> None:
    """Take what the walk of a running delivery still brings to a session that has ended before it was attached."""


def write_all(sessions: Iterable[OpenEndedSession], frame: bytes, now: float) -> None:
    """Write `frame` to each session. `guarded`, less its call: the one loop in which that would cost something."""
    for session in sessions:
        try:
            session.write(frame)
        except Exception as error:  # noqa: BLE001  # `failed` logs it
            failed(session, error)
        else:
            session.touched = now
