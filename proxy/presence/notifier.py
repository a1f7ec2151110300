"""Sends presence notices to the backend, batch after batch, and says when some could not be told.

There is at most one request, and a task only while there is one; between two, a timer knows of the next.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.protocol.rate import Seldom
from handlers.timers import Clock, TimerHandle
from proxy.errands import Errands
from proxy.protocol.presence_notice import Notice, encode_notices
from proxy.protocol.presence_queue import PresenceQueue, QueueLimits

log = logging.getLogger("holdfast.presence")

LAST_SECONDS = 2.0
"""How long the last notices may take when the process stops."""


class PresenceNotifier:
    """`put` notices, then `close` once.

    `send` makes one request with a body, and returns why the backend has not taken it, empty where it has.
    """

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[str]],
        *,
        sender: str,
        limits: QueueLimits,
        timeout: float,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """`sender` is what this Holdfast is called; `timeout` is how many seconds one request may take."""
        self._send = send
        self._sender = sender
        self._timeout = timeout
        self._clock = clock
        self._counters = counters
        self._queue = PresenceQueue(limits)
        self._errands = Errands()
        self._timer: TimerHandle | None = None
        self._armed_for = math.inf
        self._losses = Seldom()
        self._is_running = self._is_closed = self._was_behind = False

    def put(self, notice: Notice) -> None:
        """Have the backend told, soon."""
        now = self._clock.now()
        if self._is_closed:
            self._lose(1)
            log.warning("stopping: the backend is not told a presence notice")
            return
        lost = self._queue.put(notice, now)
        self._note_merging()
        if lost:
            self._lose(lost)
            if self._losses.take(now):
                text = "presence: %d notices wait, some are dropped, ends of connections first (said every 10 seconds)"
                log.warning(text, len(self._queue))
        self._arm()

    async def close(self) -> None:
        """Tell what is left, for a moment, and nothing more."""
        self._queue.hurry(self._clock.now())
        self._arm()
        try:
            async with Deadline(self._clock, LAST_SECONDS):
                while self._queue:
                    self._start()
                    await self._errands.all_done()
        except TimeoutError:
            self._lose(len(self._queue))
            log.warning("stopping: the backend has not been told %d presence notices", len(self._queue))
        self._is_closed = True
        self._disarm()
        self._errands.cancel_all()
        await self._errands.all_done()

    def _arm(self) -> None:
        """Have the timer stand at when the next batch is due."""
        due = self._queue.due
        if due == self._armed_for or self._is_closed:
            return
        self._disarm()
        if due < math.inf:
            self._armed_for = due
            self._timer = self._clock.call_at(due, self._start)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed_for = None, math.inf

    def _start(self) -> None:
        self._disarm()
        if not self._is_running:
            self._is_running = True
            self._errands.start(self._run(), name="presence notices")

    async def _run(self) -> None:
        """Send what is due, and go on until nothing is."""
        try:
            await self._send_due()
        finally:
            self._is_running = False
        self._arm()

    async def _send_due(self) -> None:
        while batch := self._queue.take(self._clock.now()):
            why = await self._try(batch)
            now = self._clock.now()
            if not why:
                self._queue.sent(now)
                self._note_merging()
                self._counters.presence_notices += len(batch)
                continue
            self._counters.presence_failures += 1
            given_up = self._queue.failed(now)
            if given_up is None:
                log.warning("presence: %d notices not taken, to be tried again: %s", len(batch), why)
            else:
                self._lose(given_up.lost)
                text = "presence: %d notices given up, %d put off, from number %d: %s"
                log.warning(text, given_up.lost, given_up.put_off, batch[0].seq, why)
            self._note_merging()

    async def _try(self, batch: Sequence[Notice]) -> str:
        try:
            async with Deadline(self._clock, self._timeout):
                return await self._send(encode_notices(self._sender, batch))
        except TimeoutError:
            return f"no answer within {self._timeout:g} seconds"
        except asyncio.CancelledError:
            raise
        except Exception:  # the root of what a batch sets going: those behind it must have their turn
            log.exception("presence: internal error")
            return "internal error"

    def _note_merging(self) -> None:
        """Count what is left out while the backend is behind, and say when that begins."""
        self._counters.presence_merged = self._queue.merged
        if self._queue.is_behind and not self._was_behind:
            log.warning("presence: the backend is behind; until it is not, a channel has its last notice only")
        self._was_behind = self._queue.is_behind

    def _lose(self, count: int) -> None:
        self._counters.presence_lost += count
