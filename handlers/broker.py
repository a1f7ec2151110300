"""The one place where a publication is deduplicated, put in order, and handed to the edge.

Called by the publishers' door, synchronously: when `publish` returns, every session that is to have the items has them
in its transport. Storage comes in here later.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from handlers.counters import Counters
from handlers.protocol.items import Item
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.sequencer import Release, Sequencer
from handlers.settings import HoldSettings
from handlers.timers import NOWHERE, Clock, TimerWheel

log = logging.getLogger("holdfast.broker")


class Outlet(Protocol):
    """Where items go: the edge of this process, or the links to those of others."""

    @property
    def counted(self) -> str:
        """What the numbers count that `deliver_all` returns: receivers, or workers."""
        ...

    def deliver_all(self, items: Sequence[Item]) -> Sequence[int]:
        """Give `items`, in their order, to whoever is on their channels; return how many there were for each."""
        ...

    def deliver_once(self, items: Sequence[Item]) -> int:
        """Give each session the first of `items` that reaches it; return how many there were."""
        ...

    def recover(self) -> None:
        """Have every held connection ask its backend again that can."""
        ...


class PublishSink(Protocol):
    """Where a door publishes: the broker, or what stands in front of it (`hub.bridge`, `links.admission`)."""

    def publish(self, items: Sequence[Item]) -> asyncio.Future[None] | None:
        """Take the items in their order. Returns at once: None when they are delivered, else what to wait for.

        Raises `handlers.errors.Busy` when they cannot be taken now, answered with 503. What else it raises, then or
        later, is answered with 500. Where it raises, the items may be published again.
        """
        ...


class Broker:
    """Takes items from the doors and gives them to the edge: in the order of their coming, or in that of their ids.

    To the timer wheel it is one more `Timed`: items wait for those that they follow.
    """

    def __init__(
        self, *, edge: Outlet, clock: Clock, wheel: TimerWheel, counters: Counters, settings: HoldSettings
    ) -> None:
        self.deadline = math.inf
        self.tick = NOWHERE
        self._edge = edge
        self._clock = clock
        self._wheel = wheel
        self._counters = counters
        self._is_closing = False
        self._recent = RecentIds(ttl=settings.id_cache_ttl)
        self._sequencer = Sequencer(
            wait=settings.message_wait, limit=settings.message_wait_limit, channels=settings.last_id_limit
        )

    def publish(self, items: Sequence[Item]) -> None:
        """Take `items`; those whose id was already seen on their channel are dropped, counted and logged.

        All the others are delivered before it returns, but for those that come before the item that they follow
        (`prev-id`): they wait for it, at most `message_wait` seconds (reference 3.11). What it raises says that it is
        not known which are delivered: all may be published again.
        """
        now = self._clock.now()
        fresh = self._fresh(items, now)
        ready = self._in_order(fresh, now)
        try:
            self._deliver(ready)
        except Exception as error:
            self._note_lost(ready, error, known=fresh)
            raise
        self._counters.publications += len(fresh)
        # Not before: where delivering failed, the publisher is told so, and must be able to try again.
        for item in fresh:
            if item.id is not None:
                self._recent.remember(item.channel, item.id, now)

    def knows(self, item: Item) -> bool:
        """Say whether an item with this id was published on this channel before, and `publish` would drop it."""
        return item.id is not None and self._recent.knows(item.channel, item.id, self._clock.now())

    def recover(self) -> None:
        """Have everybody ask, and take whatever comes next to be in order (the command `recover`)."""
        self._sequencer.forget()
        self._edge.recover()

    def expire(self, now: float) -> None:
        """Deliver what has waited long enough for an item that did not come (`handlers.timers.Timed`)."""
        overdue = self._take_overdue(now)
        try:
            self._deliver(overdue)
        except Exception as error:  # noqa: BLE001  # `_note_lost` logs it
            # Nobody is left to be told: the publishers have their 200 already.
            self._note_lost(overdue, error)
        self._wait()

    def close(self) -> None:
        """Deliver what waits, and have nothing wait any more: whoever is to have it is about to go."""
        self._is_closing = True
        self.expire(math.inf)

    def _fresh(self, items: Sequence[Item], now: float) -> list[Item]:
        fresh: list[Item] = []
        here: set[tuple[Channel, ItemId]] = set()
        for item in items:
            if item.id is not None:
                key = item.channel, item.id
                if (key in here and self._recent.ttl) or self._recent.knows(item.channel, item.id, now):
                    self._counters.publications_duplicate += 1
                    log.info("publish channel=%s id=%s dropped: this id was published before", item.channel, item.id)
                    continue
                here.add(key)
            fresh.append(item)
        return fresh

    def _in_order(self, items: list[Item], now: float) -> Sequence[Item]:
        """Return what of `items`, and of those that waited for them, can be delivered now."""
        ready: list[Item] = []
        for item in items:
            released = self._sequencer.take(item, now)
            self._note_late(released)
            ready += released.items
            if not released.items:
                self._counters.publications_early += 1
                log.info("publish channel=%s id=%s waits for id=%s", item.channel, item.id, item.prev_id)
        if self._sequencer.waiting:
            ready += self._take_overdue(math.inf) if self._is_closing else ()
            self._wait()
        return ready

    def _take_overdue(self, now: float) -> Sequence[Item]:
        """Return what has waited long enough by `now`, noted as late."""
        released = self._sequencer.expire(now)
        self._note_late(released)
        return released.items

    def _note_lost(self, items: Iterable[Item], error: Exception, known: Iterable[Item] = ()) -> None:
        """Tell of items that were not delivered, or not to all; whoever has published `known` is told by the answer."""
        told = {id(item) for item in known}
        lost = [item for item in items if id(item) not in told]
        if lost:
            self._counters.publications_lost += len(lost)
            log.error("%d items that had waited were not delivered", len(lost), exc_info=error)

    def _note_late(self, released: Release) -> None:
        if released.late:
            self._counters.publications_late += released.late
            channel = released.items[0].channel
            log.warning(
                "publish channel=%s: %d items delivered without the one that they follow", channel, released.late
            )

    def _deliver(self, items: Sequence[Item]) -> None:
        receivers = self._edge.deliver_all(items)
        for item, count in zip(items, receivers, strict=True):
            log.info("publish channel=%s %s=%d", item.channel, self._edge.counted, count)

    def _wait(self) -> None:
        self.deadline = self._sequencer.next_due
        self._wheel.watch(self)


class RecentIds:
    """Remembers (channel, id) for `ttl` seconds; 0 remembers nothing."""

    def __init__(self, *, ttl: float) -> None:
        self.ttl = ttl
        self._known: set[tuple[Channel, ItemId]] = set()
        self._order: deque[tuple[float, tuple[Channel, ItemId]]] = deque()

    def knows(self, channel: Channel, item_id: ItemId, now: float) -> bool:
        """Say whether the id is known on the channel."""
        while self._order and self._order[0][0] <= now:
            self._known.discard(self._order.popleft()[1])
        return (channel, item_id) in self._known

    def remember(self, channel: Channel, item_id: ItemId, now: float) -> None:
        """Know the id, which is not known yet, from now on."""
        if self.ttl > 0:
            self._known.add((channel, item_id))
            self._order.append((now + self.ttl, (channel, item_id)))
