"""A clock that only moves when a test says so.

Implements `handlers.timers.Clock`. `app_runner` gives it to the app of an end-to-end test; unit tests of
timers use it directly. It runs no event loop and knows none: whoever turns it lets the loop settle.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

START = 1_000.0
"""Monotonic seconds of a fresh clock: not 0, so that a forgotten `or` on a time shows."""

WALL_START = 1_800_000_000.0
"""Unix time of a fresh clock. Fixed, so that signatures and dates can be written down in a test."""


class ManualTimer:
    """One scheduled callback; `cancel` may be called at any time, also after it has fired."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Make sure that the callback does not run (any more)."""
        self.callback = None


class ManualClock:
    """Time as a number. Callbacks due at the same moment fire in the order they were scheduled."""

    def __init__(self, *, start: float = START, wall: float = WALL_START) -> None:
        self._now = start
        self._wall_offset = wall - start
        self._order = count()
        self._queue: list[tuple[float, int, ManualTimer]] = []

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._now

    def wall(self) -> float:
        """Return Unix time; it moves together with `now`."""
        return self._now + self._wall_offset

    def call_at(self, when: float, callback: Callable[[], object]) -> ManualTimer:
        """Schedule `callback` at the monotonic time `when`. A time gone by means the next turn of the clock."""
        timer = ManualTimer(when, callback)
        heapq.heappush(self._queue, (when, next(self._order), timer))
        return timer

    def call_later(self, delay: float, callback: Callable[[], object]) -> ManualTimer:
        """Schedule `callback` in `delay` seconds."""
        return self.call_at(self._now + delay, callback)

    def next_due(self) -> float | None:
        """Return the time of the first live timer, or None when nothing is scheduled."""
        while self._queue and self._queue[0][2].callback is None:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, firing what falls due on the way, each at its own time and in order."""
        self.advance_to(self._now + seconds)

    def advance_to(self, until: float) -> None:
        """Move on to `until`. A callback may schedule more: what falls due by then fires too."""
        while (due := self.next_due()) is not None and due <= until:
            timer = heapq.heappop(self._queue)[2]
            self._now = max(self._now, due)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._now = max(self._now, until)
