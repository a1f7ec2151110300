"""The moment by which something must have happened on a connection, with one timer however often it is put off.

Every request of a kept connection puts its end off, so that must cost no more than a look at the clock. Owned by
`publish_api.connection`.
"""

from __future__ import annotations

from collections.abc import Callable

from handlers.timers import Clock, TimerHandle


class Due:
    """At most one moment at a time; `expired` is called when it has come."""

    __slots__ = ("_clock", "_expired", "_timer", "_when")

    def __init__(self, clock: Clock, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._expired: Callable[[], None] | None = expired  # its owner owns this: `close` undoes the cycle
        self._when = 0.0
        self._timer: TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Make it so many seconds from now, in the place of what was set before."""
        if self._expired is None:
            return
        when = self._clock.now() + seconds
        # A timer that is early is no harm: it looks again. One that is late has to be replaced.
        if self._timer is None or when < self._when:
            self._cancel()
            self._timer = self._clock.call_at(when, self._look)
        self._when = when

    def close(self) -> None:
        """Let it never come, whatever is set from now on."""
        self._cancel()
        self._expired = None

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._clock.now() < self._when:
            self._timer = self._clock.call_at(self._when, self._look)
        elif self._expired is not None:
            self._expired()
