"""Control messages: the JSON that a WebSocket's backend sends behind `c:`, and back (reference 5.3).

Called by `websocket_control`, which obeys them. JSON stops here: what comes out are values. What is refused beyond the
reference would break a client's connection, a header line or a log line further on: control frames that are too long,
text that is not UTF-8, names with control characters. Prefixes and limits on channels are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import msgspec

from handlers.protocol.fields import printable
from handlers.protocol.format_json import encode_bytes, may_be_sent
from handlers.protocol.grip_headers import MAX_FILTERS, MAX_SECONDS
from handlers.protocol.http1 import is_field_value
from handlers.protocol.instruct import KeepAliveMode
from handlers.protocol.items import MessageKind
from handlers.protocol.json_object import JsonObject


class ControlError(Exception):
    """The backend sent a control message that cannot be obeyed. `reason` says why; the connection may go on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooManyFilters(ControlError):
    """A subscription asks for more than five filters. This one ends the connection, with 1011."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Sit on a channel, or with other filters on one already sat on. `channel` is without the route's prefix."""

    channel: str
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Leave a channel."""

    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detach:
    """Close the backend's side and keep the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSession:
    """Give the connection a session id; None takes it away."""

    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMeta:
    """Set one member of the subscription meta; None deletes it."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One whole message for the client, fit to be sent as it is."""

    kind: MessageKind
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeepAlive:
    """Send `message` every `timeout` seconds; None turns that off."""

    message: OutgoingMessage | None
    timeout: int = 55
    mode: KeepAliveMode = KeepAliveMode.IDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDelayed:
    """Send `message` in `timeout` seconds."""

    message: OutgoingMessage
    timeout: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushDelayed:
    """Send now what `SendDelayed` put off."""


ControlMessage = Subscribe | Unsubscribe | Detach | SetSession | SetMeta | SetKeepAlive | SendDelayed | FlushDelayed


def parse_control(data: bytes) -> ControlMessage:
    """Parse what stands behind `c:`. Raises ControlError, and its subclass TooManyFilters.

    Unknown members are ignored, and a null member counts as absent.
    """
    fields = JsonObject(_decode(data), "control message", error=ControlError, null_is_absent=True)
    match fields.required_text("type"):
        case "subscribe":
            return _parse_subscribe(fields)
        case "unsubscribe":
            return Unsubscribe(channel=_parse_channel(fields))
        case "detach":
            return Detach()
        case "session":
            return SetSession(id=fields.line("id"))
        case "set-meta":
            return SetMeta(name=fields.required_text("name"), value=fields.text("value"))
        case "keep-alive":
            return _parse_keep_alive(fields)
        case "send-delayed":
            return _parse_send_delayed(fields)
        case "flush-delayed":
            return FlushDelayed()
        case unknown:
            raise _unknown_value("type", unknown)


def encode_control(message: ControlMessage) -> bytes:
    """Encode the counterpart of `parse_control`, as a backend would write it. Content goes out as text if it is."""
    return msgspec.json.encode(_members(message))  # which writes bytes as base64


def _decode(data: bytes) -> object:
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError("control message is not valid JSON") from error
    return value


def _parse_subscribe(fields: JsonObject) -> Subscribe:
    channel = _parse_channel(fields)
    values = fields.items("filters") or []
    filters = tuple(value for value in values if isinstance(value, str))
    if len(filters) < len(values):
        raise ControlError("filters contains value with wrong type")
    # Names that mean nothing are logged, so they are held to what a header could have said.
    if not all(is_field_value(name.encode()) for name in filters):
        raise ControlError("filters contains value with invalid value")
    if len(filters) > MAX_FILTERS:
        raise TooManyFilters(f"too many filters for channel '{printable(channel)}'")
    return Subscribe(channel=channel, filters=filters)


def _parse_channel(fields: JsonObject) -> str:
    fields.required("channel")
    channel = fields.line("channel")
    if not channel:
        raise fields.wrong_value("channel")
    return channel


def _parse_keep_alive(fields: JsonObject) -> SetKeepAlive:
    """Read a keep-alive. Only without content is it off: an empty ping is a keep-alive like any other."""
    message = _parse_message(fields)
    if message is None:
        return SetKeepAlive(message=None)
    return SetKeepAlive(message=message, timeout=_parse_timeout(fields, default=55), mode=_parse_mode(fields))


def _parse_send_delayed(fields: JsonObject) -> SendDelayed:
    message = _parse_message(fields)
    if message is None:
        raise ControlError(f"{fields.name} does not contain 'content' or 'content-bin'")
    return SendDelayed(message=message, timeout=_parse_timeout(fields, default=1))


def _parse_message(fields: JsonObject) -> OutgoingMessage | None:
    content = fields.content("content")
    if content is None:
        return None
    kind = _parse_kind(fields)
    if not may_be_sent(kind, content):
        raise fields.wrong_value("content" if fields.value("content-bin") is None else "content-bin")
    return OutgoingMessage(kind=kind, content=content)


def _parse_kind(fields: JsonObject) -> MessageKind:
    """Read `message-type`. Unlike in an item, `content-bin` alone does not make it binary."""
    text = fields.text("message-type")
    try:
        return MessageKind.TEXT if text is None else MessageKind(text)
    except ValueError as error:
        raise _unknown_value("message-type", text or "") from error


def _parse_mode(fields: JsonObject) -> KeepAliveMode:
    text = fields.text("mode")
    try:
        return KeepAliveMode.IDLE if text is None else KeepAliveMode(text)
    except ValueError as error:
        raise _unknown_value("mode", text or "") from error


def _parse_timeout(fields: JsonObject, *, default: int) -> int:
    timeout = fields.integer("timeout", low=0, high=MAX_SECONDS)
    return default if timeout is None else max(timeout, 1)


def _unknown_value(key: str, value: str) -> ControlError:
    return ControlError(f"control message contains '{key}' with unknown value '{printable(value)}'")


def _members(message: ControlMessage) -> dict[str, object]:
    match message:
        case Subscribe(channel=channel, filters=()):
            return {"type": "subscribe", "channel": channel}
        case Subscribe(channel=channel, filters=filters):
            return {"type": "subscribe", "channel": channel, "filters": filters}
        case Unsubscribe(channel=channel):
            return {"type": "unsubscribe", "channel": channel}
        case Detach():
            return {"type": "detach"}
        case SetSession(id=session):
            return {"type": "session", "id": session}
        case SetMeta(name=name, value=value):
            return {"type": "set-meta", "name": name, "value": value}
        case SetKeepAlive():
            return {"type": "keep-alive"} | _keep_alive_members(message)
        case SendDelayed(message=delayed, timeout=timeout):
            return {"type": "send-delayed"} | _message_members(delayed) | {"timeout": timeout}
        case FlushDelayed():
            return {"type": "flush-delayed"}
        case _:
            assert_never(message)


def _keep_alive_members(keep_alive: SetKeepAlive) -> dict[str, object]:
    if keep_alive.message is None:
        return {}
    members = _message_members(keep_alive.message)
    return members | {"timeout": keep_alive.timeout, "mode": keep_alive.mode.value}


def _message_members(message: OutgoingMessage) -> dict[str, object]:
    return {"message-type": message.kind.value} | encode_bytes("content", message.content)
