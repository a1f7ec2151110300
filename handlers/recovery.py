"""Sends held sessions back to their backends for what they have missed, and not all of them at once (reference 3.8).

The edge asks for it: where an item does not follow what a session has had, where a channel has just got its first
subscriber, or for everybody when an operator says so. Ten thousand long polls that all ask at the same moment would be
an attack on the backend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice

from handlers.counters import Counters
from handlers.session import Session, guarded
from handlers.timers import NOWHERE, Clock, TimerWheel

BATCH = 100
"""Sessions that are sent back together."""

PAUSE = 0.1
"""Seconds before a batch, the first one too."""

FEW = 10
"""Sessions of those that have missed something before they were held that need not wait, in each PAUSE."""


class Recovery:
    """A queue of sessions in the timer wheel. A session is in it once, however often it is asked for."""

    def __init__(self, *, clock: Clock, wheel: TimerWheel, counters: Counters) -> None:
        self.deadline = math.inf
        self.tick = NOWHERE
        self._clock = clock
        self._wheel = wheel
        self._counters = counters
        self._queue: dict[Session, None] = {}
        self._few = 0
        self._few_until = -math.inf

    def __len__(self) -> int:
        """Return how many sessions wait."""
        return len(self._queue)

    def ask(self, sessions: Iterable[Session]) -> None:
        """Have each of `sessions` updated soon."""
        self._queue.update(dict.fromkeys(sessions))
        if self._queue and self.deadline == math.inf:
            self._wait(self._clock.now())

    def hurry(self, session: Session) -> None:
        """Have `session` updated now if it is one of a few, and else soon."""
        now = self._clock.now()
        if now >= self._few_until:
            self._few, self._few_until = FEW, now + PAUSE
        if not self._few or self._queue:
            self.ask((session,))
            return
        self._few -= 1
        self._update(session)

    def forget(self, session: Session) -> None:
        """Let go of a session that has ended; harmless when it does not wait."""
        self._queue.pop(session, None)

    def expire(self, now: float) -> None:
        """Update the next ones (`handlers.timers.Timed`)."""
        self.deadline = math.inf
        for session in tuple(islice(self._queue, BATCH)):
            if session in self._queue:  # the update of one may end another
                del self._queue[session]
                self._update(session)
        if self._queue and self.deadline == math.inf:
            self._wait(now)

    def _update(self, session: Session) -> None:
        self._counters.recoveries += 1
        guarded(session, session.update)

    def _wait(self, now: float) -> None:
        self.deadline = now + PAUSE
        self._wheel.watch(self)
