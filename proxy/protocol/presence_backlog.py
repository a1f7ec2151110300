"""Presence notices that have not gone out yet: all of them, or while a backend is behind, what still matters.

A backend that comes back after an hour wants to know who is there now, and not who was. So while it is behind, a
channel has one notice at most: the last one, or none where that only takes back one that was not sent. The ends of
connections have no last state; where there is no room they go first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice

from handlers.protocol.names import Channel
from proxy.protocol.presence_notice import ChannelSubscribed, ChannelUnsubscribed, ConnectionEnded, Notice, Started

ChannelNotice = ChannelSubscribed | ChannelUnsubscribed
Lasting = Started | ChannelNotice
"""What a backend is to be told however late it is."""


class PresenceBacklog:
    """In the order in which they are to go out."""

    def __init__(self) -> None:
        self.is_merging = False
        """Whether the backend is behind."""
        self.merged = 0
        """How many notices have been left out because of others about the same channel."""
        # Not a plain one, in which what has been taken from the front is walked over again and again.
        self._waiting: OrderedDict[int, Notice] = OrderedDict()
        self._places = 0
        self._last: dict[Channel, int] = {}
        """The place of a channel's last notice, where it has one here."""
        self._ends: deque[int] = deque()
        """The places of all ends of connections, the oldest first."""
        self._unsure: set[Channel] = set()
        """Channels with a notice here of which the backend may have heard this state or the other one."""
        self._has_dropped = False
        """Whether notices of channels have been dropped, so that nothing is sure about any channel."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, notice: Notice, *, room: int) -> int:
        """Add a notice, where `room` is how many there may be; return how many are dropped: this one, or another."""
        if len(self._waiting) >= room:
            self.merge()
        if self.is_merging and isinstance(notice, ChannelNotice) and self._replace(notice):
            return 0
        dropped = 0
        if len(self._waiting) >= room:
            if not isinstance(notice, ChannelNotice) or not self._ends:
                self._has_dropped |= isinstance(notice, ChannelNotice)
                return 1
            del self._waiting[self._ends.popleft()]
            dropped = 1
        self._append(notice)
        return dropped

    def merge(self) -> None:
        """The backend is behind: from now on, until `caught_up`, a channel has one notice at most."""
        if self.is_merging:
            return
        self.is_merging = True
        notices = tuple(self._waiting.values())
        self._clear()
        for notice in notices:
            if not isinstance(notice, ChannelNotice) or not self._replace(notice):
                self._append(notice)

    def caught_up(self) -> None:
        """The backend is not behind any more: everything is told again."""
        self.is_merging = self._has_dropped = False

    def take(self, most: int) -> tuple[Notice, ...]:
        """Take out the first ones, `most` at most."""
        places = tuple(islice(self._waiting, most))
        return tuple([self._take_out(place) for place in places])

    def put_back(self, notices: Sequence[Lasting]) -> None:
        """Take back notices, in their order: the backend may have heard them, or may not. It is behind.

        They go behind all others, but that of the start, which is before everything.
        """
        about_channels = [notice for notice in notices if isinstance(notice, ChannelNotice)]
        later = {notice.channel: notice for notice in about_channels if notice.channel not in self._last}
        for notice in later.values():
            self._append(notice)
        self.merged += len(about_channels) - len(later)
        self._unsure.update(notice.channel for notice in about_channels)
        for start in notices:
            if isinstance(start, Started):
                self._waiting[0] = start
                self._waiting.move_to_end(0, last=False)

    def _replace(self, notice: ChannelNotice) -> bool:
        """Put a notice in the place of the one that its channel has; return False where it has none."""
        place = self._last.get(notice.channel)
        if place is None:
            return False
        is_unsure = notice.channel in self._unsure or self._has_dropped
        before = self._take_out(place)
        self.merged += 1
        if type(before) is not type(notice) and not is_unsure:
            self.merged += 1  # what is known there already is so again
            return True
        self._append(notice)
        if is_unsure:
            self._unsure.add(notice.channel)
        return True

    def _append(self, notice: Notice) -> None:
        self._places += 1
        self._waiting[self._places] = notice
        if isinstance(notice, ChannelNotice):
            self._last[notice.channel] = self._places
        elif isinstance(notice, ConnectionEnded):
            self._ends.append(self._places)

    def _take_out(self, place: int) -> Notice:
        """Take out one of a channel, or the first of all."""
        notice = self._waiting.pop(place)
        if isinstance(notice, ConnectionEnded):
            self._ends.popleft()
        elif isinstance(notice, ChannelNotice) and self._last[notice.channel] == place:
            del self._last[notice.channel]
            self._unsure.discard(notice.channel)
        return notice

    def _clear(self) -> None:
        """Empty it, but for what is unsure."""
        self._waiting.clear()
        self._last.clear()
        self._ends.clear()
