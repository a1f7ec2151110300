"""Plain items: the short road through a publish body, for what nearly everybody sends.

`item_json` asks here first. One typed decoder reads the whole body in C, and gives up on everything that is not in the
simplest shape: other members than these, base64, filters, actions, null, a wrong type, malformed JSON. Those take the
long road, which knows what each of them means and what to tell the publisher. So nothing is refused here, and what is
read here reads the same there.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel, ItemId


class _Shape(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, gc=False):
    """What all shapes have in common: a member that is not named makes the body one for the long road."""


class _Stream(_Shape):
    content: str
    action: Literal["send"] = "send"


class _Response(_Shape):
    body: str
    code: Annotated[int, msgspec.Meta(ge=200, le=999)] = 200
    action: Literal["send"] = "send"


class _Message(_Shape):
    content: str
    type: Literal["text"] = "text"
    action: Literal["send"] = "send"


class _Formats(_Shape):
    http_stream: _Stream | UnsetType = UNSET
    http_response: _Response | UnsetType = UNSET
    ws_message: _Message | UnsetType = UNSET


class _Item(_Formats):
    channel: str | UnsetType = UNSET
    formats: _Formats | UnsetType = UNSET
    id: str | None = None
    prev_id: str | None = None
    no_seq: bool = False


class _Body(_Item):
    """A list of items, or itself the only one."""

    items: list[_Item] | UnsetType = UNSET


_DECODER = msgspec.json.Decoder(_Body)


def read_plain(body: bytes) -> tuple[Item, ...] | None:
    """Return the items of a publish body in which all is plain; None for any other, malformed ones among them."""
    try:
        decoded = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    items: list[Item] = []
    for shape in (decoded,) if decoded.items is UNSET else decoded.items:
        item = _make_item(shape)
        if item is None:
            return None
        items.append(item)
    return tuple(items)


def _make_item(shape: _Item) -> Item | None:
    # As on the long road: with `formats`, the item's own members of these names mean nothing.
    formats = shape if shape.formats is UNSET else shape.formats
    stream, response, message = formats.http_stream, formats.http_response, formats.ws_message
    if shape.channel is UNSET or (stream is UNSET and response is UNSET and message is UNSET):
        return None
    return Item(
        channel=Channel(shape.channel),
        id=ItemId(shape.id) if shape.id else None,
        prev_id=ItemId(shape.prev_id) if shape.prev_id else None,
        no_seq=shape.no_seq,
        http_stream=None if stream is UNSET else HttpStreamFormat(content=stream.content.encode()),
        http_response=None
        if response is UNSET
        else HttpResponseFormat(code=response.code, body=response.body.encode()),
        ws_message=None
        if message is UNSET
        else WsMessageFormat(kind=MessageKind.TEXT, content=message.content.encode()),
    )
