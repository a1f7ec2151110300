"""Who sits on which channel: the edge's index, and whoever is to be told how it changes.

The edge puts sessions on channels and takes them off here, and looks up the rows of an item's channel with `find`.
Where wildcard subscriptions are on, that may be the rows of several channels in one (`wildcards`).
"""

from __future__ import annotations

from collections.abc import Callable

from handlers.channel_rows import ChannelRows, Held, row_of
from handlers.connection_events import mode_of
from handlers.observer import Observer
from handlers.protocol.carried_name import carry
from handlers.protocol.names import Channel
from handlers.protocol.observed import Subscribed
from handlers.protocol.subscribing import Subscription
from handlers.session import Session
from handlers.wildcards import Wildcards


class Places:
    """All channels with somebody on them."""

    def __init__(self, *, takes_wildcards: bool) -> None:
        """With `takes_wildcards`, channels that end in `*` get the items of all that begin so."""
        self.channels: dict[Channel, ChannelRows] = {}
        self.watcher: Observer | None = None
        """Who is told how many there are on a channel; None where nobody wants to know."""
        self._wildcards = Wildcards(self.channels) if takes_wildcards else None
        # Without wildcards, the dictionary itself is asked: nothing stands between.
        self.find: Callable[[Channel], ChannelRows | None] = (
            self.channels.get if self._wildcards is None else self._wildcards.find
        )
        """Returns the rows of whoever gets the items of a channel; None is nobody."""

    def put(self, session: Held, subscription: Subscription) -> bool:
        """Put a session on a channel, or give it another subscription there; say if the channel had nobody before."""
        channel = subscription.channel
        rows = self.channels.get(channel)
        is_first = rows is None
        if rows is None:
            rows = self.channels[channel] = ChannelRows()
        if self._wildcards is not None:
            self._wildcards.changed(channel, is_empty=False)
        row = row_of(rows, session)
        is_new = self.watcher is not None and session not in row.members
        row.add(session, subscription)
        if is_new:
            self._tell(channel, rows, session)
        return is_first

    def take_off(self, session: Held, channel: Channel) -> bool:
        """Take a session off a channel if it is there; say if the channel has nobody now, and had somebody before."""
        rows = self.channels.get(channel)
        if rows is None:
            return False
        row = row_of(rows, session)
        was_there = self.watcher is not None and session in row.members
        row.discard(session)
        is_empty = rows.is_empty()
        if is_empty:
            del self.channels[channel]
        if self._wildcards is not None:
            self._wildcards.changed(channel, is_empty=is_empty)
        if was_there:
            self._tell(channel, rows, session)
        return is_empty

    def held_on(self, channel: Channel) -> list[Session]:
        """Return who on a channel can ask its backend again."""
        rows = self.channels.get(channel)
        if rows is None:
            return []
        streams = [each for each in (*rows.chunked.walk(), *rows.raw.walk()) if each.can_update]
        return [*rows.responses.walk(), *streams]

    def _tell(self, channel: Channel, rows: ChannelRows, session: Held) -> None:
        assert self.watcher is not None, "asked by the caller"
        mode = mode_of(session)
        self.watcher.observe(Subscribed(mode, Channel(carry(channel)), rows.count(mode)))
