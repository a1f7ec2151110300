"""Reads for one subscriber what it missed, and finds the moment at which it can go over to live updates.

There is neither a gap nor a duplicate at the seam: pages are read up to the update that was last delivered when the
reading began, and once little is left the subscriber joins the audience, in the same turn of the loop in which that
mark is taken, before the last page is read. What is delivered meanwhile waits in its session.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from handlers.counters import Counters
from handlers.errors import HistoryTrimmed, HubRefusal, StorageError
from handlers.hub.hub import Hub
from handlers.hub.settings import UnknownCursor
from handlers.hub.sieve import Sieve
from handlers.hub.subscriber import Subscriber
from handlers.protocol.mercure.headers import EARLIEST
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.names import EventId

PAGE = 500
"""Updates read at once; also how few may be left when a subscriber goes over to live updates."""

SMALL = 131_072
"""Characters of data in a page, up to which what is left behind it is taken to be little."""

AT_ONCE = 50
"""Updates that are selected for one subscriber in one turn of the loop ..."""
TRIES_AT_ONCE = 5000
"""... and how often a topic of theirs is tried on one of its matchers, about."""

TRIMMED = "the history was trimmed past this reader"

_PLACE = re.compile("#([0-9]{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a subscriber begins. `told` is the cursor its answer names, `after` the place to replay from, or None."""

    told: EventId | None = None
    after: int | None = None


class History:
    """The hub's past, for subscribers that come back."""

    def __init__(self, *, hub: Hub, sieve: Sieve, counters: Counters, on_unknown: UnknownCursor) -> None:
        self._hub = hub
        self._sieve = sieve
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
        try:
            seq = await self._find(cursor)
        except StorageError as error:
            raise HubRefusal(500, "Internal Server Error", reason=f"history not read: {error}") from error
        if seq is not None:
            return Start(told=EventId(cursor), after=seq)
        self._counters.mercure_cursors_unknown += 1
        match self._on_unknown:
            case "all":
                return Start(told=EARLIEST, after=0)
            case "error":
                raise HubRefusal(410, "Unknown last event id", reason=f"unknown cursor {cursor:.200}")
            case "none":
                return Start(told=EARLIEST)

    async def _find(self, cursor: str) -> int | None:
        """Return the place that an event's id, or a poll's cursor, stands for; None if that is not in the history."""
        seq = await self._hub.engine.find(EventId(cursor))
        place = _PLACE.fullmatch(cursor) if seq is None else None
        if place is None:
            return seq
        oldest = await self._hub.engine.oldest()
        return int(place[1]) if oldest is not None and oldest - 1 <= int(place[1]) <= self._hub.last_seq else None

    def reading(self, subscriber: Subscriber, after: int) -> Reading:
        """Begin to read what comes after `after`, as far as the subscriber asks for it and may read it."""
        return Reading(self._hub, self._sieve, self._counters, subscriber, after)


class Reading:
    """One subscriber's way through the history."""

    def __init__(self, hub: Hub, sieve: Sieve, counters: Counters, subscriber: Subscriber, position: int) -> None:
        self._hub = hub
        self._sieve = sieve
        self._counters = counters
        self._subscriber = subscriber
        self.position = position
        self._is_small = False
        self._sees_presence = sieve.sees_presence(subscriber)
        self._wanted = sieve.wanted(subscriber)
        self._is_bound = position > 0

    @property
    def left(self) -> int:
        """How many places there are at most between here and the update delivered last."""
        return self._hub.last_seq - self.position

    async def page(self, upto: int) -> tuple[Update, ...]:
        """Return what the next page has for this subscriber, which may be nothing, and move on. Raises StorageError."""
        updates = await self._select(await self._read(upto))
        self._is_small = sum(len(update.data) for update in updates) <= SMALL
        self._counters.mercure_replayed += len(updates)
        return updates

    async def _read(self, upto: int) -> tuple[StoredUpdate, ...]:
        """Read on, and check that nothing is missing in front of what was read."""
        engine, is_bound, self._is_bound = self._hub.engine, self._is_bound, True
        if self._wanted is None:
            page = await engine.read(self.position, upto, PAGE, with_presence=self._sees_presence)
            if is_bound and (not page or page[0].seq > self.position + 1):
                await self._check_trims(upto)
            self.position = page[-1].seq if page else upto
            return page
        found = await engine.select(self.position, upto, PAGE, self._wanted, with_presence=self._sees_presence)
        if is_bound and found.is_trimmed:
            raise HistoryTrimmed(TRIMMED)
        self.position = found.reached
        return found.updates

    async def _select(self, page: tuple[StoredUpdate, ...]) -> tuple[Update, ...]:
        """Return what of a page is for this subscriber, letting others have their turn in between."""
        updates: list[Update] = []
        looked_at = tries = 0
        for stored in page:
            update = self._sieve.select(self._subscriber, stored.update)
            if update is not None:
                updates.append(update)
            looked_at, tries = looked_at + 1, tries + len(stored.update.topics) * len(self._subscriber.matchers)
            if looked_at == AT_ONCE or tries >= TRIES_AT_ONCE:
                looked_at = tries = 0
                await asyncio.sleep(0)
        return tuple(updates)

    async def _check_trims(self, upto: int) -> None:
        """Raise StorageError if what comes next was trimmed: a client must not take what it gets for all there was."""
        oldest = await self._hub.engine.oldest()
        if self.position < upto and (oldest is None or oldest > self.position + 1):
            raise HistoryTrimmed(TRIMMED)

    async def until_close(self) -> AsyncIterator[tuple[Update, ...]]:
        """Yield pages until so little is left that the subscriber can join.

        That it is little is known when the page before was: what is delivered while the rest is written has to wait.
        """
        while self.left > 0 and not (self._is_small and self.left <= PAGE):
            yield await self.page(self._hub.last_seq)

    async def rest(self, upto: int) -> AsyncIterator[tuple[Update, ...]]:
        """Yield what is left up to `upto`, the update delivered last when the subscriber joined."""
        while self.position < upto:
            yield await self.page(upto)
