"""Published items: the values. `item_json` and `format_json` read them from JSON and write them as JSON.

An item holds up to three formats; each session takes the one of its own kind (reference 6.4, docs/publishing.md).
Structs, because every publication makes two of them at least: as frozen dataclasses they cost more than all the rest of
reading it.
"""

from __future__ import annotations

import enum

import msgspec

from handlers.protocol.http1 import Headers
from handlers.protocol.names import Channel, ItemId


class Action(enum.Enum):
    """What a format asks of the sessions that receive it."""

    SEND = "send"
    HINT = "hint"
    CLOSE = "close"
    REFRESH = "refresh"


class MessageKind(enum.Enum):
    """The WebSocket frame a `ws-message` becomes."""

    TEXT = "text"
    BINARY = "binary"
    PING = "ping"
    PONG = "pong"


class HttpStreamFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`http-stream`: `content` is appended to each stream."""

    action: Action = Action.SEND
    content: bytes = b""
    content_filters: tuple[str, ...] | None = None


class HttpResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`http-response`: answers each long poll. Exactly one of `body` and `body_patch` is set for `send`.

    `reason` is None for the standard phrase. `body_patch` is the RFC 6902 list as JSON bytes.
    """

    action: Action = Action.SEND
    code: int = 200
    reason: bytes | None = None
    headers: Headers = ()
    body: bytes | None = None
    body_patch: bytes | None = None
    content_filters: tuple[str, ...] | None = None


class WsMessageFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`ws-message`: one frame to each WebSocket, or (`close`) a close frame with `code` and `reason`."""

    action: Action = Action.SEND
    kind: MessageKind = MessageKind.TEXT
    content: bytes = b""
    code: int | None = None
    reason: str = ""
    content_filters: tuple[str, ...] | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One publication on one channel."""

    channel: Channel
    id: ItemId | None = None
    prev_id: ItemId | None = None
    no_seq: bool = False
    size: int | None = None
    meta: tuple[tuple[str, str], ...] = ()
    http_response: HttpResponseFormat | None = None
    http_stream: HttpStreamFormat | None = None
    ws_message: WsMessageFormat | None = None
