"""The order in which presence notices go out: gathered for a moment, in batches, each until it is taken or given up.

A machine without a clock: `proxy.presence.notifier` asks when the next batch is due, sends it, and says what became of
it. One batch is under way at a time, so that a backend never gets a later notice before an earlier one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from proxy.protocol.presence_notice import Notice

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before a batch that failed is sent again: at first, and at most, doubled from the one to the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """`delay` and `retry_for` are in seconds; with 0 for the latter nothing is tried twice."""

    delay: float
    batch: int
    waiting: int
    retry_for: float


class PresenceQueue:
    """Notices that a backend is still to be told."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._notices: deque[Notice] = deque()
        self._batch: Sequence[Notice] = ()
        self._due = math.inf
        self._pause = FIRST_PAUSE
        self._gives_up_at = math.inf
        self._is_hurried = False

    def __len__(self) -> int:
        """Return how many wait, those of a batch under way among them."""
        return len(self._notices)

    @property
    def due(self) -> float:
        """When there is a batch to send; infinite while nothing waits, or one is under way."""
        return math.inf if self._batch else self._due

    def put(self, notice: Notice, now: float) -> bool:
        """Add a notice; return False where there is no room for it."""
        if len(self._notices) >= self._limits.waiting:
            return False
        self._notices.append(notice)
        if self._due == math.inf:
            self._due = now if self._is_hurried else now + self._limits.delay
        elif len(self._notices) == self._limits.batch and self._gives_up_at == math.inf:
            self._due = min(self._due, now)  # a full batch need not wait for more
        return True

    def hurry(self, now: float) -> None:
        """Wait for nothing any more: it is the end."""
        self._is_hurried = True
        if self._notices:
            self._due = now

    def take(self, now: float) -> Sequence[Notice]:
        """Return the batch that is due, which then is under way; empty where none is."""
        if self.due > now:
            return ()
        self._batch = tuple(islice(self._notices, self._limits.batch))
        if self._gives_up_at == math.inf:
            self._gives_up_at = now + self._limits.retry_for
        return self._batch

    def sent(self, now: float) -> None:
        """The batch has been taken by the backend."""
        self._drop_batch(now)

    def failed(self, now: float) -> int:
        """The batch has not been taken. Return how many notices are given up now: none, or all of it."""
        due = now + self._pause
        if due < self._gives_up_at and not self._is_hurried:
            self._batch, self._due = (), due
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            return 0
        lost = len(self._batch)
        self._drop_batch(now)
        return lost

    def _drop_batch(self, now: float) -> None:
        for _ in self._batch:
            self._notices.popleft()
        self._batch = ()
        self._pause, self._gives_up_at = FIRST_PAUSE, math.inf
        self._due = now if self._notices else math.inf
