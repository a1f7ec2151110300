"""The order in which presence notices go out: gathered for a moment, in batches, each until it is taken or given up.

A machine without a clock: `proxy.presence.notifier` asks when the next batch is due, sends it, and says what became of
it. One batch is under way at a time, so that a backend never gets a later notice before an earlier one. It goes out
again as it was, under the same numbers; what waits behind it has none yet (`presence_backlog`), so that what is left
out there is no gap. What is lost is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from proxy.protocol.presence_backlog import Lasting, PresenceBacklog
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


class GivenUp(NamedTuple):
    """What became of a batch that was not taken in time: so many notices are `lost`, so many `put_off`."""

    lost: int
    put_off: int


class PresenceQueue:
    """Notices that a backend is still to be told. Their numbers are given here."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._backlog = PresenceBacklog()
        self._batch: tuple[Notice, ...] = ()
        self._is_under_way = False
        self._seq = 0
        self._due = math.inf
        self._pause = FIRST_PAUSE
        self._gives_up_at = math.inf
        self._is_hurried = False

    def __len__(self) -> int:
        """Return how many wait, those of a batch under way among them."""
        return len(self._batch) + len(self._backlog)

    @property
    def due(self) -> float:
        """When there is a batch to send; infinite while nothing waits, or one is under way."""
        return self._due if len(self) and not self._is_under_way else math.inf

    @property
    def is_behind(self) -> bool:
        """Whether the backend is behind, so that channels have their last notice only."""
        return self._backlog.is_merging

    @property
    def merged(self) -> int:
        """How many notices have been left out because of others about the same channel."""
        return self._backlog.merged

    def put(self, notice: Notice, now: float) -> int:
        """Add a notice; return how many are lost for want of room: this one, or an older end of a connection."""
        is_first = not len(self)
        lost = self._backlog.put(notice, room=self._limits.waiting - len(self._batch))
        self._seq += lost
        if is_first:
            self._due = now if self._is_hurried else now + self._limits.delay
        elif len(self._backlog) == self._limits.batch and not self._batch and self._pause == FIRST_PAUSE:
            self._due = min(self._due, now)  # a full batch need not wait for more
        return lost

    def hurry(self, now: float) -> None:
        """Wait for nothing any more: it is the end."""
        self._is_hurried = True
        self._due = now

    def take(self, now: float) -> Sequence[Notice]:
        """Return the batch that is due, which then is under way; empty where none is."""
        if self.due > now:
            return ()
        if not self._batch:
            self._batch = tuple([self._number(each) for each in self._backlog.take(self._limits.batch)])
            self._gives_up_at = now + self._limits.retry_for
        self._is_under_way = True
        return self._batch

    def sent(self, now: float) -> None:
        """The batch has been taken by the backend."""
        self._end_batch(now)
        self._pause = FIRST_PAUSE
        if len(self._backlog) < self._limits.batch:
            self._backlog.caught_up()

    def failed(self, now: float) -> GivenUp | None:
        """The batch has not been taken. Return None where it will be sent again.

        Otherwise its ends of connections are lost. Of its channels the last notice goes to the end of those that wait,
        where there is none yet, and that of the start to their beginning: a backend must not be wrong about a channel
        for ever, and a batch that it never takes must not be in the way of others.
        """
        self._backlog.merge()
        due = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if due < self._gives_up_at and not self._is_hurried:
            self._is_under_way, self._due = False, due
            return None
        put_off: list[Lasting] = []
        if not self._is_hurried:
            put_off = [each for each in self._batch if isinstance(each, Lasting)]
            self._backlog.put_back(put_off)
        given_up = GivenUp(len(self._batch) - len(put_off), len(put_off))
        self._end_batch(now if self._is_hurried else due)
        return given_up

    def _number(self, notice: Notice) -> Notice:
        self._seq += 1
        return replace(notice, seq=self._seq)

    def _end_batch(self, due: float) -> None:
        self._batch, self._is_under_way = (), False
        self._due, self._gives_up_at = due, math.inf
