"""Reads for one subscriber what it missed, and finds the moment at which it can go over to live updates.

There is neither a gap nor a duplicate at the seam: pages are read up to the update that was last delivered when the
reading began, and once little is left the subscriber joins the audience, in the same turn of the loop in which that
mark is taken, before the last page is read. What is delivered meanwhile waits in its session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from handlers.counters import Counters
from handlers.errors import HubRefusal, StorageError
from handlers.hub.hub import Hub
from handlers.hub.selecting import Selector
from handlers.hub.settings import UnknownCursor
from handlers.hub.subscriber import Subscriber
from handlers.protocol.mercure.headers import EARLIEST
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId

PAGE = 500
"""Updates read at once; also how few may be left when a subscriber goes over to live updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a subscriber begins. `told` is the cursor its answer names, `after` the place to replay from, or None."""

    told: EventId | None = None
    after: int | None = None


class History:
    """The hub's past, for subscribers that come back."""

    def __init__(self, *, hub: Hub, selector: Selector, counters: Counters, on_unknown: UnknownCursor) -> None:
        self._hub = hub
        self._selector = selector
        self._counters = counters
        self._on_unknown: UnknownCursor = on_unknown

    async def find(self, cursor: str | None) -> Start:
        """Return where a subscriber with this cursor begins (reference 1.11). Raises HubRefusal (410, 500)."""
        if cursor is None:
            return Start()
        if cursor == "":
            return Start(told=EARLIEST)
        if cursor == EARLIEST:
            return Start(told=EARLIEST, after=0)
        event_id = EventId(cursor)
        try:
            seq = await self._hub.engine.find(event_id)
        except StorageError as error:
            raise HubRefusal(500, "Internal Server Error", reason=f"history not read: {error}") from error
        if seq is not None:
            return Start(told=event_id, after=seq)
        self._counters.mercure_cursors_unknown += 1
        match self._on_unknown:
            case "all":
                return Start(told=EARLIEST, after=0)
            case "error":
                raise HubRefusal(410, "Unknown last event id", reason=f"unknown cursor {cursor:.200}")
            case "none":
                return Start(told=EARLIEST)

    def reading(self, subscriber: Subscriber, after: int) -> Reading:
        """Begin to read what comes after `after`, as far as the subscriber asks for it and may read it."""
        return Reading(self._hub, self._selector, self._counters, subscriber, after)


class Reading:
    """One subscriber's way through the history."""

    def __init__(self, hub: Hub, selector: Selector, counters: Counters, subscriber: Subscriber, position: int) -> None:
        self._hub = hub
        self._selector = selector
        self._counters = counters
        self._subscriber = subscriber
        self.position = position

    @property
    def left(self) -> int:
        """How many places there are at most between here and the update delivered last."""
        return self._hub.last_seq - self.position

    async def page(self, upto: int) -> tuple[Update, ...]:
        """Return what the next page has for this subscriber, which may be nothing, and move on. Raises StorageError."""
        page = await self._hub.engine.read(self.position, upto, PAGE)
        self.position = page[-1].seq if page else upto
        wanted = (self._selector.select(self._subscriber, stored.update) for stored in page)
        updates = tuple(update for update in wanted if update is not None)
        self._counters.mercure_replayed += len(updates)
        return updates

    async def until_close(self) -> AsyncIterator[tuple[Update, ...]]:
        """Yield pages until so little is left that the subscriber can join."""
        while self.left > PAGE:
            yield await self.page(self._hub.last_seq)

    async def rest(self, upto: int) -> AsyncIterator[tuple[Update, ...]]:
        """Yield what is left up to `upto`, the update delivered last when the subscriber joined."""
        while self.position < upto:
            yield await self.page(upto)
