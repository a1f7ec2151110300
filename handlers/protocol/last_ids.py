"""The id of the newest item on each channel, as far as it is remembered (reference 3.11)."""

from __future__ import annotations

from collections import OrderedDict

from handlers.protocol.names import Channel, ItemId


class LastIds:
    """Remembers one id for each of `limit` channels; those without news for the longest are forgotten first."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._ids: OrderedDict[Channel, ItemId] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, channel: Channel) -> ItemId | None:
        """Return the channel's last id, None when it is not known."""
        return self._ids.get(channel)

    def note(self, channel: Channel, item_id: ItemId | None) -> None:
        """An item has been delivered. One without an id makes the channel's last id unknown."""
        if item_id is None:
            self._ids.pop(channel, None)
            return
        self._ids[channel] = item_id
        self._ids.move_to_end(channel)
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)

    def forget(self, channel: Channel) -> None:
        """Know nothing of a channel any more."""
        self._ids.pop(channel, None)

    def clear(self) -> None:
        """Know nothing at all any more."""
        self._ids.clear()
