"""A worker's end of the link to its parent: hands on what is to be delivered, asks, and acknowledges.

What is to be delivered in one turn of the loop is delivered together, so that a burst leaves in few writes however many
messages it came in: the items, then the updates, then the answers to requests, which thus are behind all that the
parent delivered before. A turn takes a share of a long burst, and the next one the next. What has been handled is
acknowledged when it is much or a share, or else a moment later: to acknowledge wakes two threads here and two there,
and on a quiet hub would cost as much as the delivery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from handlers.edge import Edge
from handlers.links.link import Link
from handlers.links.share import Share
from handlers.protocol.items import Item
from handlers.protocol.link import (
    Ack,
    Ask,
    Committed,
    Drain,
    Farewell,
    Hello,
    Items,
    Page,
    Ping,
    Place,
    Recover,
    Refused,
    Reload,
    Reply,
    Roll,
    Selected,
    Stored,
    Told,
    Up,
    Welcome,
    encode_up,
    parse_down,
)
from handlers.protocol.mercure.update import StoredUpdate
from handlers.protocol.survey import Findings, Question
from handlers.timers import Clock, TimerHandle

log = logging.getLogger("holdfast.link")

Answered = Callable[[Reply], None]

ACK_BYTES = 16_384
"""Bytes handled after which they are acknowledged at once: a quarter of the smallest `proxy.worker_backlog`."""

ACK_SECONDS = 0.1
"""How long less than that may wait: next to nothing beside any sensible `proxy.worker_timeout`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who takes what comes. Nothing of it is called before `ParentLink.greet`."""

    edge: Edge
    committed: Callable[[Sequence[StoredUpdate]], None]
    welcome: Callable[[Welcome], None]
    reload: Callable[[], None]
    drain: Callable[[], None]
    survey: Callable[[Question], Findings]


class ParentLink:
    """The parent, seen from a worker. `greet` once."""

    def __init__(self, link: Link, *, clock: Clock, ack_seconds: float = ACK_SECONDS) -> None:
        """`ack_seconds`: how long it may take until what has been handled is acknowledged."""
        self.farewell = asyncio.Event()
        """Set when the parent has seen all that this worker had to say."""
        self.welcome = asyncio.Event()
        """Set when the parent sends everything that is published."""
        self._link = link
        self._receiver: Receiver | None = None
        self._items: list[Item] = []
        self._updates: list[StoredUpdate] = []
        self._answers: list[Reply] = []
        self._share = Share()
        self._clock = clock
        self._ack_seconds = ack_seconds
        self._handled = self._acknowledged = 0
        self._unacknowledged_bytes = 0
        self._ack_timer: TimerHandle | None = None
        self._asked = 0
        self._unanswered: dict[int, Answered] = {}
        link.begin(self._receive, self._rest)

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return len(self._unanswered)

    def greet(self, receiver: Receiver) -> None:
        """Ask to be sent everything."""
        self._receiver = receiver
        self.send(Hello())

    def send(self, message: Up) -> None:
        """Send one message that has no answer. Raises LinkError for one that cannot be sent."""
        self._link.send(encode_up(message))

    def number(self, answered: Answered) -> int:
        """Return the number for the next request; `answered` will get the answer."""
        self._asked += 1
        self._unanswered[self._asked] = answered
        return self._asked

    def forget(self, number: int) -> None:
        """Expect no answer to a request after all."""
        del self._unanswered[number]

    def acknowledge(self) -> None:
        """Say now how much has been handled."""
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        if self._handled > self._acknowledged:
            self._acknowledged, self._unacknowledged_bytes = self._handled, 0
            self.send(Ack(self._handled))

    def close(self) -> None:
        """Neither send nor listen any more."""
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        self._link.close()

    def _receive(self, data: bytes) -> None:
        self._handled += 1  # also when it goes wrong: it will not be tried again
        self._unacknowledged_bytes += len(data)
        message = parse_down(data)
        match message:
            case Items() if not message.once:
                self._items += message.items
                self._share.take_items(message.items, len(data))
            case Committed():
                batch = message.batch
                self._updates += batch
                self._share.take_updates(batch, len(data))
            case Stored() | Refused() | Place() | Page() | Selected() | Roll():
                self._answers.append(message)
            case Ping():
                pass  # to be acknowledged is all it is for
            case Farewell():
                self.farewell.set()
            case Welcome() | Items() | Ask() | Recover() | Reload() | Drain():
                assert self._receiver is not None, "nobody sends before the greeting"
                try:
                    self._deliver()
                finally:
                    self._obey(message, self._receiver)
            case _:
                assert_never(message)
        if self._share.is_full:
            self._link.end_turn()

    def _obey(self, message: Welcome | Items | Ask | Recover | Reload | Drain, receiver: Receiver) -> None:
        match message:
            case Items():
                self._share.take_items(message.items)
                receiver.edge.deliver_once(message.items)
            case Ask():
                self.send(Told(message.number, receiver.survey(message.question)))
            case Recover():
                receiver.edge.recover()
            case Welcome():
                receiver.welcome(message)
                self.welcome.set()
            case Reload():
                receiver.reload()
            case Drain():
                receiver.drain()
            case _:
                assert_never(message)

    def _deliver(self) -> None:
        """Deliver what has come, before whatever comes behind it."""
        if self._receiver is None:
            return
        items, self._items = self._items, []
        updates, self._updates = self._updates, []
        try:
            if items:
                self._receiver.edge.deliver_all(items)
        finally:
            if updates:
                self._receiver.committed(updates)

    def _rest(self) -> None:
        is_full = self._share.is_full
        self._share = Share()
        try:
            self._deliver()
        finally:
            # Whatever became of the delivery: somebody waits for each answer, and the parent for a sign of life.
            self._answer()
            self._acknowledge_in_time(is_full=is_full)

    def _answer(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            try:
                self._unanswered.pop(answer.number)(answer)
            except Exception:  # the root of what an answer sets going: the next one must be given
                log.exception("an answer to request %d was not handled", answer.number)

    def _acknowledge_in_time(self, *, is_full: bool) -> None:
        if self._unacknowledged_bytes >= ACK_BYTES or is_full:
            self.acknowledge()
        elif self._ack_timer is None and self._handled > self._acknowledged:
            self._ack_timer = self._clock.call_later(self._ack_seconds, self.acknowledge)
