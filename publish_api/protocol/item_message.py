"""ZeroMQ messages that carry an item each: what is in front of it says how it is written (reference 6.2).

Called by `publish_api.zeromq.intake`. What an item must have is for `handlers.protocol` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from handlers.errors import ItemError
from handlers.protocol.item_json import decode, parse_item
from handlers.protocol.item_tnet import parse_tnet_item
from handlers.protocol.items import Item
from publish_api.protocol.tnetstring import TnetStringError, parse_tnetstring


def parse_pulled(parts: Sequence[bytes]) -> Item:
    """Read what came to the PULL socket: one part, an item. Raises ItemError with the reason."""
    if len(parts) != 1:
        raise ItemError("parts != 1")
    return parse_item_message(parts[0])


def parse_subscribed(parts: Sequence[bytes]) -> Item:
    """Read what came to the SUB socket: a channel, and an item whose own channel counts for nothing."""
    if len(parts) != 2:
        raise ItemError("parts != 2")
    return parse_item_message(parts[1], channel=parts[0])


def parse_item_message(data: bytes, *, channel: bytes | None = None) -> Item:
    """Read an item: `J` and JSON, `T` and a tagged netstring, or a bare one. Raises ItemError with the reason."""
    if data[:1] == b"J":
        value = read_json(data[1:])
        return parse_item(value if channel is None else with_channel(value, channel.decode("utf-8", "replace")))
    value = read_tnetstring(data[1:] if data[:1] == b"T" else data)
    return parse_tnet_item(value if channel is None else with_channel(value, channel))


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
    """Return the item with `channel` for its channel. What is no item is left for whoever reads it to refuse."""
    return cast("dict[str, object]", value) | {"channel": channel} if isinstance(value, dict) else value
