"""Finds who gets the items of a channel where channels that end in `*` get those of all that begin so (row X01).

Used by `places` alone, and only where `hold.wildcard_subscriptions` is on. A session that has several places for an
item gets it once: by the place that names its channel in full, or else by the longest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from handlers.channel_rows import ChannelRows, Row
from handlers.protocol.names import Channel
from handlers.protocol.wildcards import WildcardIndex, covers, is_wildcard

KEPT = 8
"""Channels whose joint rows are kept until somebody comes there or goes: a burst must not join them for every item."""

ROWS: Final = frozenset({"chunked", "raw", "responses", "messages", "deflated"})


class JointRows(ChannelRows):
    """The rows of several channels in one, for items that go to all of them.

    A row is joined when it is asked for first: an item for long polls does not touch ten thousand streams.
    """

    __slots__ = ("_sources",)

    def __init__(self, sources: Sequence[ChannelRows]) -> None:
        """`sources` come in the order of their precedence, the last one's subscriptions count."""
        # Without that of the base: its rows are the slots that are filled by `__getattr__`.
        self.published = 0
        self._sources = sources

    def __getattr__(self, name: str) -> Row[Any]:
        """Join a row that nobody has asked for yet."""
        if name not in ROWS:
            raise AttributeError(name)
        row: Row[Any] = Row()
        for rows in self._sources:
            row.update(getattr(rows, name))
        setattr(self, name, row)
        return row

    def note_published(self, items: int) -> None:
        """Note that so many items have come, on each of the channels."""
        for rows in self._sources:
            rows.note_published(items)


class Wildcards:
    """The wildcard channels among `channels`, which are the index that `Places` keeps."""

    def __init__(self, channels: Mapping[Channel, ChannelRows]) -> None:
        self._channels = channels
        self._index = WildcardIndex()
        self._joint: dict[Channel, JointRows] = {}

    def find(self, channel: Channel) -> ChannelRows | None:
        """Return the rows of whoever gets the items of a channel."""
        wildcards = self._index.matching(channel)
        own = self._channels.get(channel)
        if not wildcards:
            return own
        joint = self._joint.get(channel)
        if joint is not None:
            return joint
        sources = list(self._sources(channel, wildcards, own))
        if len(sources) == 1:
            return sources[0]
        while len(self._joint) >= KEPT:
            del self._joint[next(iter(self._joint))]
        joint = self._joint[channel] = JointRows(sources)
        return joint

    def changed(self, channel: Channel, *, is_empty: bool) -> None:
        """Take note that who is on a channel has changed; nobody is left there if it `is_empty`."""
        if not is_wildcard(channel):
            self._joint.pop(channel, None)
            return
        for each in [each for each in self._joint if covers(channel, each)]:
            del self._joint[each]
        if is_empty:
            self._index.discard(channel)
        else:
            self._index.add(channel)

    def _sources(
        self, channel: Channel, wildcards: Iterable[Channel], own: ChannelRows | None
    ) -> Iterable[ChannelRows]:
        for wildcard in wildcards:
            if wildcard != channel:
                yield self._channels[wildcard]
        if own is not None:
            yield own
