"""Items as JSON: what the publish port takes, and what `holdfast publish` sends (reference 6.1, 6.3).

Called by the publishers' door and by the command. All or nothing: one malformed item refuses the whole body.
Delivery, deduplication and what a session's filters make of an item are elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from handlers.errors import ItemError
from handlers.protocol.format_json import (
    encode_http_response,
    encode_http_stream,
    encode_ws_message,
    parse_http_response,
    parse_http_stream,
    parse_ws_message,
)
from handlers.protocol.item_channels import spread, take_channels
from handlers.protocol.items import Item
from handlers.protocol.json_object import JsonObject
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.plain_item import read_plain

FORMATS = ("http-response", "http-stream", "ws-message")

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some publishers' JSON writers put it in front, and the reference reads over it (RFC 8259 section 8.1 allows that)."""

SIZE_LIMIT = 2**31 - 1


def parse_publish(body: bytes) -> tuple[Item, ...]:
    """Read a publish request's body: `{"items": [...]}`, or one bare item, known by its `channel` or `channels`.

    Raises ItemError with the text the publisher is to read.
    """
    items = read_plain(body)
    return parse_in_full(body) if items is None else items


def parse_in_full(body: bytes) -> tuple[Item, ...]:
    """Read a publish request's body member by member, whatever is in it. Raises ItemError."""
    value = decode(body)
    if isinstance(value, list):
        raise ItemError("Invalid format.")
    if not isinstance(value, dict):
        raise ItemError("Body is not valid JSON.")
    try:
        return parse_items(JsonObject(value, "object"))
    except ItemError as error:
        raise ItemError(f"Invalid format: {error.text}") from error


def parse_item(value: object) -> Item:
    """Read one item from plain JSON values; raises ItemError with the bare reason, without `Invalid format: `."""
    fields = JsonObject(value, "publish item object")
    channel = Channel(fields.required_text("channel"))
    item_id = parse_id(fields, "id")
    prev_id = parse_id(fields, "prev-id")
    # Formats may stand in the item itself; a null among them is then as good as none.
    formats = fields.child("formats")
    if formats is None:
        formats = JsonObject({key: fields.value(key) for key in FORMATS if fields.value(key) is not None}, "'formats'")
    if not formats:
        raise ItemError("no formats specified")
    return Item(
        channel=channel,
        id=item_id,
        prev_id=prev_id,
        http_response=parse_http_response(formats.value("http-response")) if "http-response" in formats else None,
        http_stream=parse_http_stream(formats.value("http-stream")) if "http-stream" in formats else None,
        ws_message=parse_ws_message(formats.value("ws-message")) if "ws-message" in formats else None,
        meta=fields.strings("meta"),
        size=fields.integer("size", low=0, high=SIZE_LIMIT),
        no_seq=fields.flag("no-seq"),
    )


def parse_item_channels(value: object) -> tuple[Item, ...]:
    """Read one item as `parse_item` does, which may be for many channels: one for each of them."""
    found = take_channels(value)
    return (parse_item(value),) if found is None else spread(parse_item(found[0]), found[1])


def encode_publish(items: Iterable[Item]) -> bytes:
    """Encode a publish request's body. `parse_publish` gives back equal items."""
    return msgspec.json.encode({"items": [encode_item(item) for item in items]})


def encode_item(item: Item) -> dict[str, object]:
    """Return an item as plain JSON values, fields that are not set left out."""
    fields: dict[str, object] = {"channel": item.channel}
    if item.id is not None:
        fields["id"] = item.id
    if item.prev_id is not None:
        fields["prev-id"] = item.prev_id
    if item.no_seq:
        fields["no-seq"] = True
    if item.size is not None:
        fields["size"] = item.size
    if item.meta:
        fields["meta"] = dict(item.meta)
    formats: dict[str, object] = {}
    if item.http_response is not None:
        formats["http-response"] = encode_http_response(item.http_response)
    if item.http_stream is not None:
        formats["http-stream"] = encode_http_stream(item.http_stream)
    if item.ws_message is not None:
        formats["ws-message"] = encode_ws_message(item.ws_message)
    return fields | {"formats": formats}


def decode(body: bytes) -> object:
    """Decode JSON to plain values; raises ItemError for every way in which that can fail."""
    try:
        value: object = msgspec.json.decode(body.removeprefix(BYTE_ORDER_MARK))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ItemError("Body is not valid JSON.") from error
    return value


def parse_items(fields: JsonObject) -> tuple[Item, ...]:
    """Read the top level of a publish body."""
    if "items" not in fields and ("channel" in fields or "channels" in fields):
        return parse_item_channels(dict(fields))
    fields.required("items")
    return tuple(item for value in fields.items("items") or () for item in parse_item_channels(value))


def parse_id(fields: JsonObject, key: str) -> ItemId | None:
    """Read an id. An empty one is none: as an id it would make every second item a duplicate."""
    text = fields.text(key)
    return ItemId(text) if text else None
