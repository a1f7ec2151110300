"""Time: the one clock of a process, and the one wheel in which all held sessions wait.

The composition root makes both and passes them down; nothing else asks the operating system for the time.
A test hands in a clock that it turns by hand. Sessions never own a timer of the event loop: ten thousand
of them cost one armed callback, and a publish that restarts a keep-alive writes one attribute.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable
from typing import Protocol


class TimerHandle(Protocol):
    """Something scheduled that can be called off."""

    def cancel(self) -> None:
        """Call it off; harmless when it has already run."""
        ...


class Clock(Protocol):
    """Monotonic seconds, wall-clock seconds, and calls at a later moment."""

    def now(self) -> float:
        """Return monotonic seconds; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970 UTC, for `exp` claims and log lines."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> TimerHandle:
        """Run `callback` once `now()` has reached `when`."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> TimerHandle:
        """Run `callback` in `delay` seconds."""
        ...


class LoopClock:
    """The real clock: that of the running event loop, whose methods are its own, because every request asks it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time
        self.call_at = loop.call_at
        self.call_later = loop.call_later

    def wall(self) -> float:
        """Return seconds since 1970 UTC."""
        return time.time()


class Timed(Protocol):
    """What sits in the wheel: it says when it is due, and may put that off without telling the wheel."""

    deadline: float
    """Monotonic seconds; `math.inf` for never."""
    tick: int
    """The wheel's own note of where this object sits; begins as `NOWHERE`."""

    def expire(self, now: float) -> None:
        """The deadline has come. Set a new one and `watch` again to go on."""
        ...


NOWHERE = -1


class TimerWheel:
    """All deadlines of the held sessions, in buckets of `RESOLUTION` seconds.

    An object sits in at most one bucket. Moving its deadline later costs nothing here: when its bucket comes
    up it is put on again. Moving it earlier needs `watch`. Never fires early, at most one bucket late.
    """

    RESOLUTION = 0.125
    """A power of two, so that a bucket's time is exact: with 0.1 one could come up a rounding before its content."""

    HORIZON = 600.0
    """Nothing is put further ahead: it is put on again then. Otherwise empty buckets of far-off deadlines pile up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[int, set[Timed]] = {}
        self._ticks: list[int] = []
        self._armed: TimerHandle | None = None
        self._armed_tick = NOWHERE

    def watch(self, timed: Timed) -> None:
        """Make sure `timed` is looked at when its deadline comes."""
        if timed.deadline == math.inf:
            return
        tick = math.ceil(min(timed.deadline, self._clock.now() + self.HORIZON) / self.RESOLUTION)
        if timed.tick != NOWHERE:
            if timed.tick <= tick:
                return
            self._buckets[timed.tick].discard(timed)
        timed.tick = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
            heapq.heappush(self._ticks, tick)
            self._arm()
        bucket.add(timed)

    def forget(self, timed: Timed) -> None:
        """Let go of `timed`, so that a session that has ended is not kept alive by its timer."""
        if timed.tick != NOWHERE:
            self._buckets[timed.tick].discard(timed)
            timed.tick = NOWHERE

    def _arm(self) -> None:
        first = self._ticks[0]
        if self._armed is not None:
            if self._armed_tick <= first:
                return
            self._armed.cancel()
        self._armed_tick = first
        self._armed = self._clock.call_at(first * self.RESOLUTION, self._turn)

    def _turn(self) -> None:
        self._armed = None
        now = self._clock.now()
        try:
            while self._ticks and self._ticks[0] * self.RESOLUTION <= now:
                bucket = self._buckets[self._ticks[0]]
                if bucket:
                    self._look_at(bucket.pop(), now)
                else:
                    del self._buckets[heapq.heappop(self._ticks)]
        finally:
            # Sessions' `expire` never raises. Should another's, the loop reports it, and the next turn goes on.
            if self._ticks:
                self._arm()

    def _look_at(self, timed: Timed, now: float) -> None:
        timed.tick = NOWHERE
        if timed.deadline <= now:
            timed.expire(now)
        else:
            self.watch(timed)
