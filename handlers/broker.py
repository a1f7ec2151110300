"""The one place where a publication is deduplicated and handed to the edge.

Called by the publishers' door, synchronously: when `publish` returns, every session that is to have the items
has them in its transport. Reordering by prev-id, storage and several edges come in here later.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.protocol.items import Item
from handlers.protocol.names import Channel, ItemId
from handlers.timers import Clock

log = logging.getLogger("holdfast.broker")


class Broker:
    """Takes items from the doors in one order and gives them to the edge in that order."""

    def __init__(self, *, edge: Edge, clock: Clock, counters: Counters, id_cache_ttl: float) -> None:
        self._edge = edge
        self._clock = clock
        self._counters = counters
        self._recent = RecentIds(ttl=id_cache_ttl)

    def publish(self, items: Sequence[Item]) -> None:
        """Deliver `items`; those whose id was already seen on their channel are dropped, counted and logged."""
        now = self._clock.now()
        for item in items:
            if item.id is not None and self._recent.knows(item.channel, item.id, now):
                self._counters.publications_duplicate += 1
                log.info("publish channel=%s id=%s dropped: this id was published before", item.channel, item.id)
                continue
            self._counters.publications += 1
            receivers = self._edge.deliver(item)
            # Not before: where delivering failed, the publisher is told so, and must be able to try again.
            if item.id is not None:
                self._recent.remember(item.channel, item.id, now)
            log.info("publish channel=%s receivers=%d", item.channel, receivers)

    def knows(self, item: Item) -> bool:
        """Say whether an item with this id was published on this channel before, and `publish` would drop it."""
        return item.id is not None and self._recent.knows(item.channel, item.id, self._clock.now())


class RecentIds:
    """Remembers (channel, id) for `ttl` seconds; 0 remembers nothing."""

    def __init__(self, *, ttl: float) -> None:
        self._ttl = ttl
        self._known: set[tuple[Channel, ItemId]] = set()
        self._order: deque[tuple[float, tuple[Channel, ItemId]]] = deque()

    def knows(self, channel: Channel, item_id: ItemId, now: float) -> bool:
        """Say whether the id is known on the channel."""
        while self._order and self._order[0][0] <= now:
            self._known.discard(self._order.popleft()[1])
        return (channel, item_id) in self._known

    def remember(self, channel: Channel, item_id: ItemId, now: float) -> None:
        """Know the id, which is not known yet, from now on."""
        if self._ttl > 0:
            self._known.add((channel, item_id))
            self._order.append((now + self._ttl, (channel, item_id)))
