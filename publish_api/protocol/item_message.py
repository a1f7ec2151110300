"""ZeroMQ messages that carry an item each: what is in front of it says how it is written (reference 6.2).

Called by `publish_api.zeromq.intake`. What an item must have is for `handlers.protocol` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from handlers.errors import ItemError
from handlers.protocol.fields import decode_field
from handlers.protocol.item_json import decode, parse_item_channels
from handlers.protocol.item_tnet import parse_tnet_item_channels
from handlers.protocol.items import Item
from handlers.protocol.tnetstring import TnetStringError, parse_tnetstring


def parse_pulled(parts: Sequence[bytes]) -> tuple[Item, ...]:
    """Read what came to the PULL socket: one part, an item. Raises ItemError with the reason."""
    if len(parts) != 1:
        raise ItemError("parts != 1")
    return parse_item_message(parts[0])


def parse_subscribed(parts: Sequence[bytes]) -> tuple[Item, ...]:
    """Read what came to the SUB socket: a channel, and an item whose own channel counts for nothing."""
    if len(parts) != 2:
        raise ItemError("parts != 2")
    return parse_item_message(parts[1], channel=parts[0])


def parse_item_message(data: bytes, *, channel: bytes | None = None) -> tuple[Item, ...]:
    """Read an item: `J` and JSON, `T` and a tagged netstring, or a bare one. Return it for each of its channels.

    Raises ItemError with the reason.
    """
    if data[:1] == b"J":
        value = read_json(data[1:])
        name = None if channel is None else decode_field(channel)
        return parse_item_channels(value if name is None else with_channel(value, name))
    value = read_tnetstring(data[1:] if data[:1] == b"T" else data)
    return parse_tnet_item_channels(value if channel is None else with_channel(value, channel))


def read_json(data: bytes) -> object:
    """Read JSON; raises ItemError."""
    try:
        return decode(data)
    except ItemError as error:
        raise ItemError("json parse failed") from error


def read_tnetstring(data: bytes) -> object:
    """Read a tagged netstring, whatever is behind it; raises ItemError."""
    try:
        value, _ = parse_tnetstring(data)
    except TnetStringError as error:
        raise ItemError(f"tnetstring parse failed: {error}") from error
    return value


def with_channel(value: object, channel: object) -> object:
    """Return the item with `channel` for its channels. What is no item is left for whoever reads it to refuse."""
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, object]", value)
    return {key: each for key, each in fields.items() if key != "channels"} | {"channel": channel}
