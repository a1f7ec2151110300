"""The one place where a publication is deduplicated and handed to the edge.

Called by the publishers' door, synchronously: when `publish` returns, every session that is to have the items
has them in its transport. Reordering by prev-id, storage and several edges come in here later.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from handlers.counters import Counters
from handlers.protocol.items import Item
from handlers.protocol.names import Channel, ItemId
from handlers.timers import Clock

log = logging.getLogger("holdfast.broker")


class Outlet(Protocol):
    """Where items go: the edge of this process, or the links to those of others."""

    def deliver_all(self, items: Sequence[Item]) -> Sequence[int]:
        """Give `items`, in their order, to whoever is on their channels; return how many there were for each."""
        ...


class Broker:
    """Takes items from the doors in one order and gives them to the edge in that order."""

    def __init__(self, *, edge: Outlet, clock: Clock, counters: Counters, id_cache_ttl: float) -> None:
        self._edge = edge
        self._clock = clock
        self._counters = counters
        self._recent = RecentIds(ttl=id_cache_ttl)

    def publish(self, items: Sequence[Item]) -> None:
        """Deliver `items`; those whose id was already seen on their channel are dropped, counted and logged.

        What it raises says that none is delivered, or that it is not known which are: all may be published again.
        """
        now = self._clock.now()
        fresh = self._fresh(items, now)
        receivers = self._edge.deliver_all(fresh)
        self._counters.publications += len(fresh)
        for item, count in zip(fresh, receivers, strict=True):
            # Not before: where delivering failed, the publisher is told so, and must be able to try again.
            if item.id is not None:
                self._recent.remember(item.channel, item.id, now)
            log.info("publish channel=%s receivers=%d", item.channel, count)

    def knows(self, item: Item) -> bool:
        """Say whether an item with this id was published on this channel before, and `publish` would drop it."""
        return item.id is not None and self._recent.knows(item.channel, item.id, self._clock.now())

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
