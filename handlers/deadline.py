"""A bound on waiting, measured on the process's clock rather than the event loop's own.

`asyncio.timeout` reads the loop's time, which a test cannot turn, and costs six times as much: one request waits within
three of these.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from handlers.timers import Clock, TimerHandle


class Deadline:
    """`async with Deadline(clock, seconds)`: raises TimeoutError in the body when the time is up.

    `restart(seconds)` sets the bound anew, counted from now; 0 means no bound. As with `asyncio.timeout`, the body is
    cancelled, and a cancellation from outside that meets the time's end stays a cancellation.
    """

    __slots__ = ("_cancelling", "_clock", "_is_up", "_seconds", "_task", "_timer")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_up = False
        self._timer: TimerHandle | None = None

    async def __aenter__(self) -> Deadline:
        task = asyncio.current_task()
        assert task is not None, "a deadline ends a task's waiting"
        self._task = task
        self._cancelling = task.cancelling()
        if self._seconds > 0:
            self._timer = self._clock.call_later(self._seconds, self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        self.stop()
        # A cancellation besides our own is somebody else's, who must see it.
        is_ours = self._is_up and task is not None and task.uncancel() <= self._cancelling
        if is_ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def restart(self, seconds: float) -> None:
        """Count `seconds` from now; 0 lifts the bound. Harmless once the body is over."""
        self.stop()
        if seconds > 0 and self._task is not None and not self._is_up:
            self._timer = self._clock.call_later(seconds, self._expire)

    def stop(self) -> None:
        """Lift the bound."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self._task is not None:
            self._is_up = True
            self._task.cancel()
