"""A bound on waiting, measured on the process's clock rather than the event loop's own.

`asyncio.timeout` reads the loop's time, which a test cannot turn; this one is armed by a `Clock`.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from handlers.timers import Clock, TimerHandle


class Deadline:
    """`async with Deadline(clock, seconds)`: raises TimeoutError in the body when the time is up.

    `restart(seconds)` sets the bound anew, counted from now; 0 means no bound.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._scope = asyncio.timeout(None)
        self._timer: TimerHandle | None = None
        self._is_open = False

    async def __aenter__(self) -> Deadline:
        await self._scope.__aenter__()
        self._is_open = True
        self.restart(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._is_open = False
        await self._scope.__aexit__(kind, error, trace)

    def restart(self, seconds: float) -> None:
        """Count `seconds` from now; 0 lifts the bound. Harmless once the body is over."""
        self.stop()
        if seconds > 0 and self._is_open:
            self._timer = self._clock.call_later(seconds, self._expire)

    def stop(self) -> None:
        """Lift the bound."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self._scope.reschedule(asyncio.get_running_loop().time())
