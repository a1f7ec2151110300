"""The three formats of an item, JSON to values and back (reference 6.4).

Called by `item_json`. What is refused here beyond the reference would break a client's connection further on:
a final answer with an interim code, bytes that end a header line, a control frame or text that no WebSocket client
may accept. Nothing is read of a format whose action is not `send`, except the code and reason of a WebSocket close.
"""

from __future__ import annotations

import msgspec

from handlers.errors import ItemError
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, MessageKind, WsMessageFormat
from handlers.protocol.json_object import JsonObject

CONTROL_FRAME_LIMIT = 125
"""Bytes a ping, pong or close may carry (RFC 6455 section 5.5); a close spends two of them on its code."""


def parse_http_response(value: object) -> HttpResponseFormat:
    """Read an `http-response`; raises ItemError."""
    fields = JsonObject(value, "'http-response'")
    action = parse_action(fields)
    if action is not Action.SEND:
        return HttpResponseFormat(action=action)
    # An answer is final: 1xx would leave the client waiting (and 101 would end HTTP on its connection).
    code = fields.integer("code", low=200, high=999)
    reason = fields.line("reason")
    headers = fields.headers("headers", are_checked=True)
    filters = parse_filters(fields)
    body, patch = parse_body(fields)
    return HttpResponseFormat(
        code=200 if code is None else code,
        # An empty one asks for the standard phrase.
        reason=reason.encode() if reason else None,
        headers=headers,
        body=body,
        body_patch=patch,
        content_filters=filters,
    )


def parse_http_stream(value: object) -> HttpStreamFormat:
    """Read an `http-stream`; raises ItemError."""
    fields = JsonObject(value, "'http-stream'")
    action = parse_action(fields)
    if action is not Action.SEND:
        return HttpStreamFormat(action=action)
    filters = parse_filters(fields)
    content = fields.content("content")
    if content is None:
        raise ItemError("'http-stream' does not contain 'content' or 'content-bin'")
    return HttpStreamFormat(content=content, content_filters=filters)


def parse_ws_message(value: object) -> WsMessageFormat:
    """Read a `ws-message`; raises ItemError."""
    fields = JsonObject(value, "'ws-message'")
    action = parse_action(fields)
    if action is Action.CLOSE:
        return parse_ws_close(fields)
    if action is not Action.SEND:
        return WsMessageFormat(action=action)
    kind = parse_kind(fields)
    filters = parse_filters(fields)
    source = "content" if fields.value("content-bin") is None else "content-bin"
    content = fields.content("content")
    if content is None and kind not in (MessageKind.PING, MessageKind.PONG):
        raise ItemError("'ws-message' does not contain 'content' or 'content-bin'")
    if kind is None:
        kind = MessageKind.BINARY if source == "content-bin" else MessageKind.TEXT
    content = content or b""
    if not may_be_sent(kind, content):
        raise fields.wrong_value(source)
    return WsMessageFormat(kind=kind, content=content, content_filters=filters)


def encode_http_response(published: HttpResponseFormat) -> dict[str, object]:
    """Return the JSON object of an `http-response`. Reason and headers must be UTF-8."""
    if published.action is not Action.SEND:
        return {"action": published.action.value}
    fields: dict[str, object] = {"code": published.code}
    if published.reason is not None:
        fields["reason"] = published.reason.decode()
    if published.headers:
        fields["headers"] = [[name.decode(), value.decode()] for name, value in published.headers]
    if published.body_patch is not None:
        fields["body-patch"] = msgspec.Raw(published.body_patch)
    else:
        fields |= encode_bytes("body", published.body or b"")
    return fields | encode_filters(published.content_filters)


def encode_http_stream(published: HttpStreamFormat) -> dict[str, object]:
    """Return the JSON object of an `http-stream`."""
    if published.action is not Action.SEND:
        return {"action": published.action.value}
    return encode_bytes("content", published.content) | encode_filters(published.content_filters)


def encode_ws_message(published: WsMessageFormat) -> dict[str, object]:
    """Return the JSON object of a `ws-message`."""
    fields: dict[str, object] = {}
    if published.action is Action.SEND:
        fields["type"] = published.kind.value
        return fields | encode_bytes("content", published.content) | encode_filters(published.content_filters)
    fields["action"] = published.action.value
    if published.code is not None:
        fields["code"] = published.code
    if published.reason:
        fields["reason"] = published.reason
    return fields


def parse_action(fields: JsonObject) -> Action:
    """Read `action`. The reference refuses an unknown one without saying why; here the text says it."""
    text = fields.text("action")
    try:
        return Action.SEND if text is None else Action(text)
    except ValueError as error:
        raise ItemError(f"{fields.name} contains 'action' with unknown value '{text}'") from error


def parse_kind(fields: JsonObject) -> MessageKind | None:
    """Read `type`."""
    text = fields.text("type")
    if text is None:
        return None
    try:
        return MessageKind(text)
    except ValueError as error:
        raise ItemError(f"{fields.name} contains 'type' with unknown value") from error


def parse_filters(fields: JsonObject) -> tuple[str, ...] | None:
    """Read `content-filters`."""
    values = fields.items("content-filters")
    if values is None:
        return None
    filters = tuple(value for value in values if isinstance(value, str))
    if len(filters) != len(values):
        raise ItemError("content-filters contains element with wrong type")
    return filters


def parse_body(fields: JsonObject) -> tuple[bytes | None, bytes | None]:
    """Read the body or the patch, in the reference's order of precedence."""
    body = fields.content("body")
    if body is not None:
        return body, None
    patch = fields.items("body-patch")
    if patch is None:
        raise ItemError("'http-response' does not contain 'body', 'body-bin', or 'body-patch'")
    return None, msgspec.json.encode(patch)


def parse_ws_close(fields: JsonObject) -> WsMessageFormat:
    """Read a WebSocket close. The code is two bytes on the wire (RFC 6455 section 5.5.1)."""
    code = fields.integer("code", low=0, high=0xFFFF)
    reason = fields.text("reason") or ""
    if len(reason.encode()) > CONTROL_FRAME_LIMIT - 2:
        raise fields.wrong_value("reason")
    return WsMessageFormat(action=Action.CLOSE, code=code, reason=reason)


def may_be_sent(kind: MessageKind, content: bytes) -> bool:
    """Say whether a client must accept such a frame: text is UTF-8 (RFC 6455 section 8.1), control frames are short."""
    if kind is MessageKind.TEXT:
        return as_text(content) is not None
    return kind is MessageKind.BINARY or len(content) <= CONTROL_FRAME_LIMIT


def as_text(data: bytes) -> str | None:
    """Return UTF-8 bytes as a string, None for any others."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def encode_bytes(key: str, data: bytes) -> dict[str, object]:
    """Return `key` with the text, or `key-bin` with base64 for bytes that are not UTF-8."""
    text = as_text(data)
    # msgspec writes bytes as base64.
    return {f"{key}-bin": data} if text is None else {key: text}


def encode_filters(filters: tuple[str, ...] | None) -> dict[str, object]:
    """Return the member for content filters, if there is to be one."""
    return {} if filters is None else {"content-filters": filters}
