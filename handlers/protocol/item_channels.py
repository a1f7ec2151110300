"""Items for many channels: `channels`, a list, in the place of `channel` (row X02).

Such an item behaves on each of them as if it had been published there alone, in the order of the list. Used by
`item_json` and `item_tnet`, for whoever publishes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from msgspec.structs import replace

from handlers.errors import ItemError
from handlers.protocol.fields import decode_field
from handlers.protocol.items import Item
from handlers.protocol.names import Channel

MOST: Final = 1000
"""Channels that one item may be for."""


def take_channels(value: object) -> tuple[object, tuple[Channel, ...]] | None:
    """Return the item with an empty `channel` in the place of its `channels`, and those, each once.

    None for a value that has none, which may be any value. Names are text or, in tagged netstrings, bytes. Raises
    ItemError with the bare reason.
    """
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, object]", value)
    channels = fields.get("channels")
    if channels is None:
        return None
    if fields.get("channel") is not None:
        raise ItemError("publish item object contains both 'channel' and 'channels'")
    if not isinstance(channels, list):
        raise ItemError("publish item object contains 'channels' with wrong type")
    names = cast("list[object]", channels)
    if len(names) > MOST:
        raise ItemError(f"'channels' contains more than {MOST} elements")
    rest = {key: each for key, each in fields.items() if key != "channels"} | {"channel": _like(names)}
    return rest, tuple(dict.fromkeys(map(_as_channel, names)))


def spread(item: Item, channels: Iterable[Channel]) -> tuple[Item, ...]:
    """Return `item` for each of the channels."""
    return tuple(replace(item, channel=channel) for channel in channels)


def _as_channel(name: object) -> Channel:
    match name:
        case str():
            return Channel(name)
        case bytes():
            return Channel(decode_field(name))
        case _:
            raise ItemError("'channels' contains element with wrong type")


def _like(names: list[object]) -> object:
    """Return an empty name of the kind that these are."""
    return b"" if any(isinstance(name, bytes) for name in names) else ""
