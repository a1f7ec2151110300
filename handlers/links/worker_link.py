"""The parent's end of the link to one worker, in one life of it: what it is owed, and what it says.

Made by the supervisor for each process it starts. Requests on the hub go to the `desk`; the worker's own state (whether
it is ready, what it has counted) is kept here for whoever supervises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

from handlers.links.link import Link
from handlers.links.outstanding import Outstanding
from handlers.links.tally import Tally
from handlers.protocol.link import (
    Ack,
    Append,
    Ask,
    Bye,
    CallRoll,
    Counts,
    Down,
    Failed,
    Farewell,
    Find,
    Hello,
    Oldest,
    Ping,
    Read,
    Ready,
    Reloaded,
    Reply,
    Request,
    Seen,
    Select,
    Told,
    encode_down,
    parse_up,
)
from handlers.protocol.survey import Findings, Question
from handlers.timers import Clock, TimerHandle

log = logging.getLogger("holdfast.worker")

SECOND_LOOK = 0.5
"""Seconds between the two looks that find a worker stuck, or a tenth of a short timeout. A parent that was itself
stopped for the timeout finds that over before it has read what came meanwhile: the second look is behind that."""

PINGS = 3
"""How often within a timeout a worker that is owed nothing is sent something to acknowledge."""


class Desk(Protocol):
    """Who answers a worker's requests."""

    def serve(self, worker: WorkerLink, request: Request) -> None:
        """Answer, now or later."""
        ...


class WorkerLink:
    """One worker, seen from the parent.

    `on_change` is called when `is_greeted`, `is_ready`, `failure` or `has_reloaded` has changed, `on_stuck` when it has
    acknowledged nothing for `timeout` seconds (0: for ever) although something was outstanding. Once it has said its
    first word something is, again and again: so one that hangs is noticed while nobody publishes, too.
    """

    def __init__(
        self,
        link: Link,
        *,
        number: int,
        clock: Clock,
        desk: Desk | None,
        on_change: Callable[[WorkerLink], None],
        on_stuck: Callable[[WorkerLink], None],
        timeout: float,
        tally: Tally | None = None,
    ) -> None:
        """`number` is the worker's, from 1; without a hub there is no desk. `tally` takes what the worker observes."""
        self.number = number
        self.outstanding = Outstanding()
        self.is_greeted = False
        """Whether it can be sent to: it has said its first word."""
        self.is_ready = False
        """Whether it serves clients."""
        self.failure = ""
        """Why it cannot start, for the operator; empty as long as it can."""
        self.has_reloaded = True
        """Whether it has obeyed the last order to load the routes again."""
        self.has_parted = False
        """Whether it has ended all it did, in good order: its process is about to end."""
        self.counts: Mapping[str, int] = {}
        """What it has counted, as it last said."""
        self._link = link
        self._clock = clock
        self._desk = desk
        self._on_change = on_change
        self._on_stuck = on_stuck
        self._tally = tally
        self._timeout = timeout
        self._asked = 0
        self._unanswered: dict[int, Callable[[Findings], None]] = {}
        self._watch: TimerHandle | None = None
        self._second_look = min(SECOND_LOOK, timeout / 10)
        self._looked_since: float | None = None
        link.begin(self._receive, lambda: None)

    def send(self, message: Down) -> None:
        """Send one message."""
        self.send_encoded(encode_down(message))

    def send_encoded(self, data: bytes) -> None:
        """Send a message that is the same for several workers. Never blocks; it counts until it is acknowledged."""
        self._send(data, is_reply=False)

    def answer(self, message: Reply) -> None:
        """Send what it has asked for, which has an account of its own."""
        self._send(encode_down(message), is_reply=True)

    def ask(self, question: Question, answered: Callable[[Findings], None]) -> None:
        """Have `answered` called with what the worker finds: nothing, when it ends before it has said so."""
        self._asked += 1
        self._unanswered[self._asked] = answered
        self._send(encode_down(Ask(self._asked, question)), is_reply=True)

    def owes_since(self) -> float:
        """Return since when it has owed something, by the clock. One that owes nothing is pinged, and does from now."""
        if self.outstanding.since is not None:
            return self.outstanding.since
        self.send(Ping())
        return self._clock.now()

    def close(self) -> None:
        """Neither send nor listen any more."""
        if self._watch is not None:
            self._watch.cancel()
        self._timeout = 0.0
        self._link.close()
        # What a worker that has ended held is not held any more.
        unanswered, self._unanswered = self._unanswered, {}
        for answered in unanswered.values():
            answered(Findings())

    def _send(self, data: bytes, *, is_reply: bool) -> None:
        self.outstanding.sent(len(data), self._clock.now(), is_reply=is_reply)
        self._link.send(data)
        if self._watch is None:
            self._look_at(self._clock.now() + self._timeout / PINGS)

    def _look_at(self, when: float) -> None:
        if self._timeout:
            self._watch = self._clock.call_at(when, self._look)

    def _look(self) -> None:
        """See whether it makes progress, or give it the occasion."""
        self._link.read_now()
        self._watch = None
        if not self._timeout:
            return  # what was read has been the end of it
        now, since = self._clock.now(), self.outstanding.since
        if since is not None:
            self._judge(since, now)
        elif self.is_greeted:
            self._look_at(now + self._timeout / PINGS)
            self.send(Ping())

    def _judge(self, since: float, now: float) -> None:
        """It owes something since then: look again, or give it up on the second look that finds it too late."""
        too_late = since + self._timeout
        if now < too_late - self._second_look:
            self._look_at(too_late - self._second_look)
        elif self._looked_since != since:
            self._looked_since = since
            self._look_at(too_late if now < too_late - self._second_look / 2 else now + self._second_look)
        else:
            self._on_stuck(self)

    def _receive(self, data: bytes) -> None:
        message = parse_up(data)
        match message:
            case Ack():
                self.outstanding.acknowledge(message.handled, self._clock.now())
            case Append() | Find() | Read() | Select() | Oldest() | CallRoll():
                assert self._desk is not None, "a worker asks nothing of a hub that is not there"
                self._desk.serve(self, message)
            case Counts():
                self.counts = message.values
            case Told():
                self._unanswered.pop(message.number)(message.findings)
            case Seen():
                if self._tally is not None:
                    self._tally.take(self, message.events)
            case Bye():
                self.has_parted = True
                self.send(Farewell())
            case Hello() | Ready() | Failed() | Reloaded():
                self._change(message)
            case _:
                assert_never(message)

    def _change(self, message: Hello | Ready | Failed | Reloaded) -> None:
        match message:
            case Hello():
                self.is_greeted = True
            case Ready():
                self.is_ready = True
            case Failed():
                self.failure = message.text
                self.send(Farewell())
            case Reloaded():
                self.has_reloaded = True
            case _:
                assert_never(message)
        self._on_change(self)
