"""Items in the order in which each says that it follows another (reference 3.11): a machine without a clock.

The broker gives it every item that is no duplicate, and delivers what comes out. An item whose `prev-id` is not the
channel's last id is early: it waits for the one it follows, for `wait` seconds at most. Nothing that was put in is ever
dropped. What waits too long, or together with too many others, comes out in the order of its coming, counted as late.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from handlers.protocol.items import Item
from handlers.protocol.last_ids import LastIds
from handlers.protocol.names import Channel, ItemId


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """An item that is early, when it came (`place` in the order of all), and until when it waits."""

    item: Item
    place: int
    due: float
    is_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is to be delivered now, in this order; `late` of them without the item that they say they follow."""

    items: tuple[Item, ...] = ()
    late: int = 0


NOTHING = Release()


@dataclass(slots=True, kw_only=True)
class _Room:
    """The early items of one channel, by what they follow."""

    by_prev: dict[ItemId, list[Waiting]] = field(default_factory=dict)
    size: int = 0


class Sequencer:
    """Takes items by `take`, and gives them back there or by `expire`.

    `limit` is how many may wait on one channel, `channels` on how many channels last ids are remembered.
    """

    def __init__(self, *, wait: float, limit: int, channels: int) -> None:
        self._wait = wait
        self._limit = limit
        self._last = LastIds(limit=channels)
        self._rooms: dict[Channel, _Room] = {}
        self._queue: deque[Waiting] = deque()
        self._places = count()
        self.waiting = 0
        """Items that wait now."""

    @property
    def next_due(self) -> float:
        """When `expire` has something to do, `math.inf` for never."""
        while self._queue and self._queue[0].is_over:
            self._queue.popleft()
        return self._queue[0].due if self._queue else math.inf

    def take(self, item: Item, now: float) -> Release:
        """Return what can be delivered now that `item` is here: nothing, or the item and what has waited for it."""
        if item.no_seq:
            return Release(items=(item,))
        last = self._last.get(item.channel)
        if last is None or item.prev_id is None or item.prev_id == last:
            return Release(items=tuple(self._chain(item)))
        return self._keep(item, item.prev_id, now)

    def expire(self, now: float) -> Release:
        """Return what has waited long enough, each item followed by those that waited for it.

        `math.inf` is long enough for all.
        """
        items: list[Item] = []
        late = 0
        while (due := self.next_due) <= now and due < math.inf:
            waiting = self._queue.popleft()
            self._take_out(waiting)
            items += self._chain(waiting.item)
            late += 1
        return Release(items=tuple(items), late=late) if items else NOTHING

    def forget(self) -> None:
        """Know no last id any more: whatever comes next on a channel is in order there. What waits goes on waiting."""
        self._last.clear()

    def _keep(self, item: Item, prev_id: ItemId, now: float) -> Release:
        waiting = Waiting(item=item, place=next(self._places), due=now + self._wait)
        room = self._rooms.setdefault(item.channel, _Room())
        room.by_prev.setdefault(prev_id, []).append(waiting)
        room.size += 1
        self.waiting += 1
        self._queue.append(waiting)
        return NOTHING if room.size <= self._limit else self._give_up(room)

    def _give_up(self, room: _Room) -> Release:
        """Release all that waits on a channel: whatever is missing has not come in all this time."""
        early = sorted((waiting for row in room.by_prev.values() for waiting in row), key=lambda waiting: waiting.place)
        items: list[Item] = []
        late = 0
        for waiting in early:
            if not waiting.is_over:  # it may have waited for one before it
                self._take_out(waiting)
                items += self._chain(waiting.item)
                late += 1
        return Release(items=tuple(items), late=late)

    def _chain(self, item: Item) -> Iterator[Item]:
        """Yield `item`, which is delivered, and then whatever has waited for it or for those."""
        ready = deque((item,))
        while ready:
            first = ready.popleft()
            yield first
            self._last.note(first.channel, first.id)
            room = self._rooms.get(first.channel)
            if room is not None and first.id is not None:
                ready.extend(self._followers(room, first.id))

    def _followers(self, room: _Room, item_id: ItemId) -> Iterable[Item]:
        followers = tuple(room.by_prev.get(item_id, ()))
        for waiting in followers:
            self._take_out(waiting)
        return (waiting.item for waiting in followers)

    def _take_out(self, waiting: Waiting) -> None:
        item = waiting.item
        assert item.prev_id is not None, "only what follows something waits"
        waiting.is_over = True
        self.waiting -= 1
        room = self._rooms[item.channel]
        room.size -= 1
        row = room.by_prev[item.prev_id]
        row.remove(waiting)
        if not row:
            del room.by_prev[item.prev_id]
        if not room.size:
            del self._rooms[item.channel]
