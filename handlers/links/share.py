"""How much of what comes over a link is handed to clients in one turn of the loop: about a slice of a batch.

The parent cuts what it delivers into such pieces; a worker must not join again what piles up before it, or a burst is
one turn that neither reads nor acknowledges until it is over. Numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from handlers.engines.embedded_writer import LARGEST_SLICE, LONGEST_SLICE, MOST_IN_SLICE
from handlers.protocol.items import Item
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.mercure.update_run import is_alike
from handlers.protocol.names import Channel


class Share:
    """What one turn has taken so far. A run is what goes to the same receivers, which costs one walk over them."""

    __slots__ = ("_bytes", "_channel", "_count", "_runs", "_update")

    def __init__(self) -> None:
        self._count = self._runs = self._bytes = 0
        self._channel: Channel | None = None
        self._update: Update | None = None

    @property
    def is_full(self) -> bool:
        """Whether what comes next is for another turn."""
        return self._runs >= LONGEST_SLICE or self._count >= MOST_IN_SLICE or self._bytes >= LARGEST_SLICE

    def take_items(self, items: Iterable[Item], size: int = 0) -> None:
        """Note items, `size` bytes together."""
        self._bytes += size
        for item in items:
            self._count += 1
            if item.channel != self._channel:
                self._runs += 1
                self._channel = item.channel

    def take_updates(self, batch: Iterable[StoredUpdate], size: int = 0) -> None:
        """Note updates, `size` bytes together."""
        self._bytes += size
        for stored in batch:
            self._count += 1
            if self._update is None or not is_alike(self._update, stored.update):
                self._runs += 1
            self._update = stored.update


def share_out(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """Return `items` in their order, in pieces for a turn each as far as their number and their channels say."""
    return (items,) if len(items) <= LONGEST_SLICE else _pieces(items)


def _pieces(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    begin, share = 0, Share()
    for end, item in enumerate(items):
        if share.is_full:
            yield items[begin:end]
            begin, share = end, Share()
        share.take_items((item,))
    yield items[begin:]
