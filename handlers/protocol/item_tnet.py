"""Items as maps of tagged netstrings, which hold bytes where JSON holds text (reference 6.2 to 6.4).

Called for items that come over ZeroMQ, with the map already decoded. What an item must have, and what its members mean,
is said once, in `item_json` and `format_json`: here a map becomes the JSON that says the same. Bytes that are no UTF-8
stay what they are in a format's content; in any other place U+FFFD stands for them, as in Pushpin.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Annotated, cast

import msgspec
from msgspec import UNSET, UnsetType

from handlers.errors import ItemError
from handlers.protocol.fields import decode_field
from handlers.protocol.format_json import as_text, may_be_sent
from handlers.protocol.item_channels import spread, take_channels
from handlers.protocol.item_json import FORMATS, parse_item
from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel, ItemId

TEXTS = {
    "'http-stream' does not contain 'content' or 'content-bin'": "'http-stream' does not contain 'content'",
    "'http-response' does not contain 'body', 'body-bin', or 'body-patch'": (
        "'http-response' does not contain 'body' or 'body-patch'"
    ),
}
"""What JSON publishers are told of members that are there for JSON alone -> what others are told (reference 6.3)."""

NAMES = ("channel", "id", "prev-id")
"""Members whose bytes are compared with others': no two of them may become one."""


def parse_tnet_item(value: object) -> Item:
    """Read one item from what a tagged netstring holds; raises ItemError with the bare reason."""
    item = read_plain(value)
    if item is not None:
        return item
    try:
        return parse_item(as_json(value))
    except ItemError as error:
        if error.text not in TEXTS:
            raise
        raise ItemError(TEXTS[error.text]) from error


def parse_tnet_item_channels(value: object) -> tuple[Item, ...]:
    """Read one item as `parse_tnet_item` does, which may be for many channels: one for each of them."""
    found = take_channels(value)
    return (parse_tnet_item(value),) if found is None else spread(parse_tnet_item(found[0]), found[1])


class _Shape(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, gc=False):
    """What all shapes have in common: a member that is not named makes the item one for the long road."""


class _Stream(_Shape):
    content: bytes


class _Response(_Shape):
    body: bytes
    code: Annotated[int, msgspec.Meta(ge=200, le=999)] = 200


class _Message(_Shape):
    content: bytes


class _Formats(_Shape):
    http_stream: _Stream | UnsetType = UNSET
    http_response: _Response | UnsetType = UNSET
    ws_message: _Message | UnsetType = UNSET


class _Item(_Formats, kw_only=True):
    channel: bytes
    formats: _Formats | UnsetType = UNSET
    id: bytes = b""
    prev_id: bytes = b""
    no_seq: bool = False


def read_plain(value: object) -> Item | None:
    """Return an item of the simplest shape, which is what nearly everybody sends; None for any other.

    As `plain_item` for JSON: nothing is refused here, and what is read here reads the same on the long road.
    """
    try:
        shape = msgspec.convert(value, _Item)
    except msgspec.ValidationError:
        return None
    formats = shape if shape.formats is UNSET else shape.formats
    stream, response, message = formats.http_stream, formats.http_response, formats.ws_message
    if stream is UNSET and response is UNSET and message is UNSET:
        return None
    if message is not UNSET and not may_be_sent(MessageKind.TEXT, message.content):
        return None
    return Item(
        channel=Channel(decode_field(shape.channel)),
        id=ItemId(decode_field(shape.id)) if shape.id else None,
        prev_id=ItemId(decode_field(shape.prev_id)) if shape.prev_id else None,
        no_seq=shape.no_seq,
        http_stream=None if stream is UNSET else HttpStreamFormat(content=stream.content),
        http_response=None if response is UNSET else HttpResponseFormat(code=response.code, body=response.body),
        ws_message=None if message is UNSET else WsMessageFormat(content=message.content),
    )


def as_json(item: object) -> object:
    """Return the JSON values of an item. What is not of the right type is left for `parse_item` to refuse."""
    if not isinstance(item, dict):
        return as_plain(item)
    fields = cast("dict[str, object]", item)
    formats = fields.get("formats")
    if formats is None:
        return {key: as_name(value) if key in NAMES else format_as_json(key, value) for key, value in fields.items()}
    plain = {
        key: as_name(value) if key in NAMES else as_plain(value) for key, value in fields.items() if key not in FORMATS
    }
    if isinstance(formats, dict):
        named = cast("dict[str, object]", formats)
        plain["formats"] = {key: format_as_json(key, value) for key, value in named.items()}
    return plain


def format_as_json(name: str, value: object) -> object:
    """Return the JSON values of the format `name`, or those of any other member."""
    translate = _FORMATS.get(name)
    if translate is None or not isinstance(value, dict):
        return as_plain(value)
    fields = cast("dict[str, object]", value)
    return translate(fields)


def as_name(value: object) -> object:
    """Return a value with text in place of bytes, from which the bytes can be had again."""
    return decode_field(value) if isinstance(value, bytes) else as_plain(value)


def as_plain(value: object) -> object:
    """Return a value with text in place of bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [as_plain(each) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: as_plain(each) for key, each in cast("dict[str, object]", value).items()}
    return value


def _response_as_json(fields: Mapping[str, object]) -> dict[str, object]:
    return _with_content(fields, "body")


def _stream_as_json(fields: Mapping[str, object]) -> dict[str, object]:
    return _with_content(fields, "content")


def _message_as_json(fields: Mapping[str, object]) -> dict[str, object]:
    plain = _with_content(fields, "content")
    binary = fields.get("content-bin")
    if isinstance(binary, bytes):
        plain["content-bin"] = b64encode(binary).decode()
    elif binary is not None:
        plain["content-bin"] = as_plain(binary)
    elif "content-bin" in plain and plain.get("type", "text") == "text":
        # Other than here, content that must go as JSON's `content-bin` would make the message a binary one.
        raise ItemError("'ws-message' contains 'content' with invalid value")
    return plain


def _with_content(fields: Mapping[str, object], key: str) -> dict[str, object]:
    """Return a format with `key`, whose bytes are its content, as JSON has it: text, or base64 as `key-bin`.

    A `key-bin` of its own means nothing: it is JSON's way around having no bytes.
    """
    plain = {name: as_plain(value) for name, value in fields.items() if name not in (key, f"{key}-bin")}
    content = fields.get(key)
    if isinstance(content, bytes):
        text = as_text(content)
        return plain | ({f"{key}-bin": b64encode(content).decode()} if text is None else {key: text})
    return plain | ({key: as_plain(content)} if key in fields else {})


_FORMATS: Mapping[str, Callable[[Mapping[str, object]], dict[str, object]]] = {
    "http-response": _response_as_json,
    "http-stream": _stream_as_json,
    "ws-message": _message_as_json,
}
