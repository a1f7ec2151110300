"""Asks all workers who is there, and makes one answer of theirs (`publish_api.control.Surveyor`).

A question costs a worker one walk, and goes behind whatever was published before it. A worker that has not answered in
time is named in the answer: whoever asked must not take a part for the whole.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from handlers.counters import Counters
from handlers.links.fan import Fan
from handlers.protocol.survey import Findings, Question, merge
from handlers.timers import Clock, TimerHandle

log = logging.getLogger("holdfast.worker")

ANSWER_SECONDS = 5.0
"""How long a worker may take. One that is busy answers within a turn of its loop; one that hangs is replaced later."""


class Inquirer:
    """All workers of the fan, to whoever asks. Use it on one event loop."""

    def __init__(self, fan: Fan, *, clock: Clock, counters: Counters) -> None:
        self._fan = fan
        self._clock = clock
        self._counters = counters

    def ask(self, question: Question) -> asyncio.Future[Findings]:
        """Return at once; what all workers found comes, at the latest in ANSWER_SECONDS."""
        return Round(question, self._fan, clock=self._clock, counters=self._counters).outcome


class Round:
    """One question to all workers there are now."""

    def __init__(self, question: Question, fan: Fan, *, clock: Clock, counters: Counters) -> None:
        self.outcome: asyncio.Future[Findings] = asyncio.get_running_loop().create_future()
        self._question = question
        self._counters = counters
        self._found: list[Findings] = []
        self._waiting = {worker.number for worker in fan.workers}
        self._timer: TimerHandle = clock.call_later(ANSWER_SECONDS, self._give_up)
        for worker in tuple(fan.workers):
            worker.ask(question, partial(self._answered, worker.number))
        self._end_if_all()

    def _answered(self, number: int, findings: Findings) -> None:
        if number in self._waiting:
            self._waiting.discard(number)
            self._found.append(findings)
            self._end_if_all()

    def _give_up(self) -> None:
        self._counters.questions_unanswered += len(self._waiting)
        for number in sorted(self._waiting):
            log.warning("worker %d has not said in %g seconds who is there", number, ANSWER_SECONDS)
        self._found.append(Findings(missing=tuple(self._waiting)))
        self._waiting.clear()
        self._end_if_all()

    def _end_if_all(self) -> None:
        if self._waiting:
            return
        self._timer.cancel()
        if not self.outcome.done():
            self.outcome.set_result(merge(self._question, self._found))
