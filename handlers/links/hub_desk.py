"""Answers what workers ask of the hub, which is the parent's: to store updates, to look into the history, who is there.

Requests on the history are answered out of turn, as the engine has the answers; each answer goes behind whatever was
delivered before it was made. So a worker that has its answer also has every update that the answer may speak of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import assert_never

from handlers.engines.engine import Wanted
from handlers.errors import Busy, StorageError
from handlers.hub.hub import Hub
from handlers.links.roster import Roster
from handlers.links.worker_link import WorkerLink
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
    Request,
    Roll,
    Select,
    Selected,
    Stored,
    encode_subscription,
    stored_rows,
)
from handlers.protocol.mercure.update import ActiveSubscription, StoredUpdate

log = logging.getLogger("holdfast.worker")

Answering = Callable[[], Awaitable[Reply]]


class HubDesk:
    """Serves every worker. `check_room` raises Busy; `bury` tells that subscriptions are gone."""

    def __init__(
        self,
        *,
        hub: Hub,
        check_room: Callable[[int], None],
        bury: Callable[[Iterable[ActiveSubscription]], None],
    ) -> None:
        self._hub = hub
        self._check_room = check_room
        self._bury = bury
        self._roster = Roster()
        self._answering: set[asyncio.Task[None]] = set()

    def serve(self, worker: WorkerLink, request: Request) -> None:
        """Answer a request, now or when the engine has the answer."""
        match request:
            case Append():
                self._append(worker, request)
            case CallRoll():
                subscriptions = tuple(map(encode_subscription, self._roster.subscriptions))
                worker.answer(Roll(request.number, subscriptions, self._hub.last_id))
            case Find():
                self._answer_later(worker, request.number, partial(self._find, request))
            case Oldest():
                self._answer_later(worker, request.number, partial(self._oldest, request))
            case Read():
                self._answer_later(worker, request.number, partial(self._read, request))
            case Select():
                self._answer_later(worker, request.number, partial(self._select, request))
            case _:
                assert_never(request)

    def gone(self, worker: WorkerLink) -> None:
        """Tell of the subscriptions of a worker that has ended, as far as it has not done so itself."""
        self._bury(self._roster.strike(worker))

    async def close(self) -> None:
        """Answer nothing more."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _append(self, worker: WorkerLink, request: Append) -> None:
        """Store updates. When there is no room, none of a publication is: it comes in one request."""
        try:
            updates = request.updates
        except LinkError as error:
            log.error("worker %d: %d updates not stored: %s", worker.number, len(request.rows), error)
            for number in range(request.first, request.first + len(request.rows)):
                worker.answer(Refused(number, str(error)))
            return
        busy = self._refusal(sum(update.presence is None for update in updates))
        for number, update in enumerate(updates, request.first):
            if update.presence is not None:
                self._roster.note(worker, update.presence)
            elif busy is not None:
                worker.answer(Refused(number, str(busy), busy.retry_after))
                continue
            self._hub.publish(update).add_done_callback(partial(self._stored, worker, number))

    def _refusal(self, publications: int) -> Busy | None:
        if publications:
            try:
                self._check_room(publications)
            except Busy as error:
                return error
        return None

    def _stored(self, worker: WorkerLink, number: int, future: asyncio.Future[StoredUpdate]) -> None:
        error = future.exception()
        if error is None:
            worker.answer(Stored(number, future.result().seq))
        else:
            worker.answer(Refused(number, str(error)))

    def _answer_later(self, worker: WorkerLink, number: int, answering: Answering) -> None:
        task = asyncio.create_task(self._answer(worker, number, answering), name=f"answer to worker {worker.number}")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, worker: WorkerLink, number: int, answering: Answering) -> None:
        try:
            worker.answer(await answering())
        except (StorageError, LinkError) as error:
            worker.answer(Refused(number, str(error)))
        except Exception:
            log.exception("worker %d: a request was not answered", worker.number)
            worker.answer(Refused(number, "internal error"))

    async def _find(self, request: Find) -> Reply:
        return Place(request.number, await self._hub.engine.find(request.event_id))

    async def _oldest(self, request: Oldest) -> Reply:
        return Place(request.number, await self._hub.engine.oldest())

    async def _read(self, request: Read) -> Reply:
        page = await self._hub.engine.read(
            request.after, request.upto, request.limit, with_presence=request.with_presence
        )
        return Page(request.number, stored_rows(page))

    async def _select(self, request: Select) -> Reply:
        selection = await self._hub.engine.select(
            request.after,
            request.upto,
            request.limit,
            Wanted(topics=request.topics, beginnings=request.beginnings),
            with_presence=request.with_presence,
        )
        rows = stored_rows(selection.updates)
        return Selected(request.number, rows, selection.reached, selection.is_trimmed)
