"""The id of the newest item on each channel, as far as it is remembered (reference 3.11)."""

from __future__ import annotations

from collections import OrderedDict

from handlers.protocol.names import Channel, ItemId


class LastIds:
    """Remembers one id for each of `limit` channels; those without news for the longest are forgotten first."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._ids: OrderedDict[Channel, tuple[ItemId, int]] = OrderedDict()
        self.noted = 0
        """How many items have been noted, which serves as the time: see `came_after`."""

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, channel: Channel) -> ItemId | None:
        """Return the channel's last id, None when it is not known."""
        last = self._ids.get(channel)
        return None if last is None else last[0]

    def came_after(self, channel: Channel, noted: int) -> bool:
        """Say whether the channel's last item came after `noted` was what it is given here."""
        last = self._ids.get(channel)
        return last is not None and last[1] > noted

    def note(self, channel: Channel, item_id: ItemId | None) -> None:
        """An item has been delivered. One without an id makes the channel's last id unknown."""
        if item_id is None:
            self._ids.pop(channel, None)
            return
        self.noted += 1
        self._ids[channel] = item_id, self.noted
        self._ids.move_to_end(channel)
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)

    def clear(self) -> None:
        """Know nothing at all any more."""
        self._ids.clear()
