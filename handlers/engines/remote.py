"""The engine of a worker: the parent's, over the link. The hub in a worker is a hub like any other on top of it.

Updates come in the parent's order and batches, whoever published them. An update of this worker's own comes among them,
and is answered behind that. What is appended in one turn of the loop goes in one message, which the parent takes or
refuses as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from handlers.engines.engine import CLOSED, Committed, Opened, Selection, Wanted, fail, refused
from handlers.errors import Busy, StorageError
from handlers.protocol.link import (
    Append,
    CallRoll,
    Find,
    LinkError,
    Oldest,
    Page,
    Place,
    Read,
    Refused,
    Reply,
    Roll,
    Select,
    Selected,
    Stored,
    Up,
    Welcome,
    parse_subscription,
    update_row,
)
from handlers.protocol.mercure.headers import EARLIEST
from handlers.protocol.mercure.update import ActiveSubscription, StoredUpdate, Update
from handlers.protocol.names import EventId

log = logging.getLogger("holdfast.history")

PAGES = 16
"""How many pages of the history may be under way to one worker: each is up to a megabyte, here and in the parent, and
thousands of clients may come back at once."""


class Parent(Protocol):
    """The link to the parent (`handlers.links.parent_link`)."""

    def send(self, message: Up) -> None:
        """Send a message. Raises LinkError for one that cannot be sent."""
        ...

    def number(self, answered: Callable[[Reply], None]) -> int:
        """Return the number for the next request; `answered` will get the answer."""
        ...

    def forget(self, number: int) -> None:
        """Expect no answer to a request after all."""
        ...


class RemoteEngine:
    """Implements `Engine`. `welcome` and `committed` are for the link to call."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._on_committed: Committed | None = None
        self._last_seq = 0
        self._last_id: EventId | None = None
        self._gathered: list[tuple[Update, asyncio.Future[StoredUpdate]]] = []
        self._appended: dict[int, tuple[Update, asyncio.Future[StoredUpdate]]] = {}
        self._all_answered = asyncio.Event()
        self._pages = asyncio.Semaphore(PAGES)
        self._is_closed = False

    def welcome(self, first: Welcome) -> None:
        """Note where the history ends, from which on every update comes."""
        self._last_seq = first.last_seq
        self._last_id = None if first.last_id == EARLIEST else first.last_id

    def committed(self, batch: Sequence[StoredUpdate]) -> None:
        """Hand over updates that the parent has stored; what comes before `open` is of no use to anybody here."""
        if self._on_committed is not None:
            self._on_committed(batch)
        else:
            self._last_seq, self._last_id = batch[-1].seq, batch[-1].update.id

    def open(self, on_committed: Committed, *, at: float) -> Opened:
        """Begin, once the parent has sent its welcome. Those whom a crash has ended are the parent's to bury."""
        self._on_committed = on_committed
        return Opened(last_seq=self._last_seq, last_id=self._last_id, subscriptions=())

    def append(self, update: Update, *, at: float) -> asyncio.Future[StoredUpdate]:
        """Have the parent store `update`, at its own time. The future may also have Busy."""
        if self._is_closed:
            return refused(CLOSED)
        future: asyncio.Future[StoredUpdate] = asyncio.get_running_loop().create_future()
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered.append((update, future))
        return future

    async def find(self, event_id: EventId) -> int | None:
        """Ask the parent."""
        answer = await self._ask(lambda number: Find(number, event_id))
        assert isinstance(answer, Place), "what a parent answers"
        return answer.seq

    async def read(self, after: int, upto: int, limit: int, *, with_presence: bool = True) -> tuple[StoredUpdate, ...]:
        """Ask the parent for a page."""
        answer = await self._ask_page(lambda number: Read(number, after, upto, limit, with_presence))
        assert isinstance(answer, Page), "what a parent answers"
        return answer.updates

    async def select(
        self, after: int, upto: int, limit: int, wanted: Wanted, *, with_presence: bool = True
    ) -> Selection:
        """Ask the parent for what it would select."""
        topics, beginnings = wanted.topics, wanted.beginnings
        answer = await self._ask_page(
            lambda number: Select(number, after, upto, limit, topics, beginnings, with_presence)
        )
        assert isinstance(answer, Selected), "what a parent answers"
        return Selection(updates=answer.updates, reached=answer.reached, is_trimmed=answer.is_trimmed)

    async def oldest(self) -> int | None:
        """Ask the parent."""
        answer = await self._ask(Oldest)
        assert isinstance(answer, Place), "what a parent answers"
        return answer.seq

    async def call_roll(self) -> tuple[tuple[ActiveSubscription, ...], EventId]:
        """Return what is subscribed to at all workers, and the id of the last update then. Raises StorageError."""
        answer = await self._ask(CallRoll)
        assert isinstance(answer, Roll), "what a parent answers"
        return tuple(map(parse_subscription, answer.subscriptions)), answer.last_id

    async def close(self) -> None:
        """Wait until the parent has answered all that was appended."""
        self._is_closed = True
        self._flush()
        while self._appended:
            self._all_answered.clear()
            await self._all_answered.wait()

    def _flush(self) -> None:
        """Send what was appended. Where something in it cannot be sent, that alone fails."""
        gathered, self._gathered = self._gathered, []
        numbers: list[int] = []
        for appended in gathered:
            numbers.append(self._parent.number(self._answered))
            self._appended[numbers[-1]] = appended
        if not numbers:
            return
        try:
            self._parent.send(Append(numbers[0], tuple([update_row(update) for update, _ in gathered])))
        except LinkError:
            for number, (update, _) in zip(numbers, gathered, strict=True):
                self._send_one(number, update)

    def _send_one(self, number: int, update: Update) -> None:
        try:
            self._parent.send(Append(number, (update_row(update),)))
        except LinkError as error:
            log.error("history update id=%.200r not stored: %s", update.id, error)
            self._parent.forget(number)
            self._answered(Refused(number, str(error)))

    def _answered(self, answer: Reply) -> None:
        update, future = self._appended.pop(answer.number)
        if not self._appended:
            self._all_answered.set()
        if future.done():
            return  # whoever appended it has left
        if isinstance(answer, Stored):
            future.set_result(StoredUpdate(seq=answer.seq, update=update))
            return
        assert isinstance(answer, Refused), "what a parent answers"
        if answer.retry_after:
            future.set_exception(Busy(answer.retry_after))
            future.exception()  # of an update on a subscription nobody asks
        else:
            fail(future, answer.text)

    async def _ask_page(self, make: Callable[[int], Up]) -> Reply:
        """Ask when fewer than PAGES are under way. A page is so until it has come, whoever has left meanwhile."""
        await self._pages.acquire()
        return await self._ask(make, self._pages.release)

    async def _ask(self, make: Callable[[int], Up], done: Callable[[], None] = lambda: None) -> Reply:
        """Ask the parent; `done` is called once, when there is an answer or will be none."""
        if self._is_closed:
            done()
            raise StorageError(CLOSED)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        number = self._parent.number(partial(_settle, future, done))
        try:
            self._parent.send(make(number))
        except LinkError as error:
            self._parent.forget(number)
            done()
            raise StorageError(str(error)) from error
        answer = await future
        if isinstance(answer, Refused):
            raise StorageError(answer.text)
        return answer


def _settle(future: asyncio.Future[Reply], done: Callable[[], None], answer: Reply) -> None:
    done()
    if not future.done():
        future.set_result(answer)
