"""An instruct's body form: the JSON of `application/grip-instruct`, and back.

Called by `grip`, which joins this with the header form. JSON stops here: what comes out are values. Strings
that could not stand in a header line are refused, for a response's headers are written from them.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

import msgspec

from handlers.errors import InstructError
from handlers.protocol.fields import Parameters, decode_base64, decode_field
from handlers.protocol.grip_headers import HIGHEST_STATUS, LOWEST_STATUS, MAX_SECONDS, check_filters, printable
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import ChannelHold, HoldMode, KeepAlive, KeepAliveMode
from handlers.protocol.names import Channel, ItemId

_Value = TypeVar("_Value")
_Object = dict[str, object]
_List = list[object]

_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")
_LINE_BREAKERS = re.compile(r"[\r\n\x00]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldForm:
    """The `hold` object; as made by default, one that says nothing.

    `timeout` is in seconds and as given, not yet raised to its minimum.
    """

    mode: HoldMode | None = None
    channels: tuple[ChannelHold, ...] = ()
    timeout: int | None = None
    keep_alive: KeepAlive | None = None
    meta: Parameters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseForm:
    """The `response` object. `code` and `reason` are None where the answer's own, or the standard, count."""

    code: int | None = None
    reason: bytes | None = None
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyForm:
    """An instruct's two halves, either of which may be missing."""

    hold: HoldForm | None = None
    response: ResponseForm | None = None


def parse_body_form(body: bytes) -> BodyForm:
    """Parse the content of `application/grip-instruct` (reference 3.4). Raises InstructError.

    Unknown members are ignored, and a null member counts as absent.
    """
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InstructError("failed to parse application/grip-instruct content as JSON") from error
    if not _is_object(decoded):
        raise InstructError("instruct must be an object")
    hold = _object(decoded, "hold", "instruct")
    response = _object(decoded, "response", "instruct")
    return BodyForm(
        hold=None if hold is None else _parse_hold(hold),
        response=None if response is None else _parse_response(response),
    )


def encode_body_form(form: BodyForm) -> bytes:
    """Encode the counterpart of `parse_body_form`. Bodies go out as base64, headers as a list of pairs.

    Raises UnicodeEncodeError for a header or reason that is not UTF-8, which JSON cannot hold.
    """
    members: _Object = {}
    if form.hold is not None:
        members["hold"] = _encode_hold(form.hold)
    if form.response is not None:
        members["response"] = _encode_response(form.response)
    return msgspec.json.encode(members)


def _parse_hold(hold: _Object) -> HoldForm:
    mode = _text(hold, "mode", "hold")
    if mode not in (None, "response", "stream"):
        raise InstructError("hold 'mode' must be set to either 'response' or 'stream'")
    channels = _present(_list(hold, "channels", "hold"), "channels", "hold")
    return HoldForm(
        mode=HoldMode.STREAM if mode == "stream" else HoldMode.RESPONSE,
        channels=tuple(_parse_channel(channel) for channel in channels),
        timeout=_seconds(hold, "hold"),
        keep_alive=_parse_keep_alive(_object(hold, "keep-alive", "hold")),
        meta=_parse_meta(_object(hold, "meta", "hold") or {}),
    )


def _parse_channel(channel: object) -> ChannelHold:
    if not _is_object(channel):
        raise InstructError("channel is not an object")
    name = _one_line(_present(_text(channel, "name", "channel"), "name", "channel"), "name", "channel")
    prev_id = _one_line(_text(channel, "prev-id", "channel") or "", "prev-id", "channel")
    filters = _list(channel, "filters", "channel") or []
    names = tuple(value for value in filters if isinstance(value, str))
    if len(names) < len(filters):
        raise InstructError("filters contains value with wrong type")
    return ChannelHold(
        name=Channel(name),
        prev_id=ItemId(prev_id) if prev_id else None,
        filters=check_filters(name, names),
    )


def _parse_keep_alive(keep_alive: _Object | None) -> KeepAlive | None:
    if keep_alive is None:
        return None
    data = _content(keep_alive, "content", "keep-alive")
    if not data:
        raise InstructError("keep-alive cannot be empty")
    timeout = _seconds(keep_alive, "keep-alive")
    mode = _text(keep_alive, "mode", "keep-alive")
    if mode not in (None, "idle", "interval"):
        raise InstructError(f"no such keep-alive mode '{printable(mode)}'")
    return KeepAlive(
        data=data,
        timeout=55 if timeout is None else max(timeout, 1),
        mode=KeepAliveMode.INTERVAL if mode == "interval" else KeepAliveMode.IDLE,
    )


def _parse_meta(meta: _Object) -> Parameters:
    for name, value in meta.items():
        if not isinstance(value, str):
            raise InstructError(f"'meta' contains '{printable(name)}' with wrong type")
    return tuple((name, value) for name, value in meta.items() if isinstance(value, str))


def _parse_response(response: _Object) -> ResponseForm:
    code = _integer(response, "code", "response")
    if code is not None and not LOWEST_STATUS <= code <= HIGHEST_STATUS:
        raise InstructError("response contains 'code' with invalid value")
    reason = _one_line(_text(response, "reason", "response") or "", "reason", "response")
    return ResponseForm(
        code=code,
        reason=reason.encode() or None,
        headers=_parse_headers(response.get("headers")),
        body=_content(response, "body", "response") or b"",
    )


def _parse_headers(headers: object) -> Headers:
    if headers is None:
        return ()
    if _is_object(headers):
        return tuple(_named_header(name, value) for name, value in headers.items())
    if _is_list(headers):
        return tuple(_paired_header(pair) for pair in headers)
    raise _wrong_type("headers", "response")


def _named_header(name: str, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, str):
        raise _wrong_type(name, "headers")
    return name.encode(), value.encode()


def _paired_header(pair: object) -> tuple[bytes, bytes]:
    if not _is_list(pair):
        raise InstructError("headers contains element with wrong type")
    if len(pair) != 2:
        raise InstructError("headers contains list with wrong number of elements")
    name, value = pair
    if not isinstance(name, str):
        raise InstructError("header contains name element with wrong type")
    if not isinstance(value, str):
        raise InstructError("header contains value element with wrong type")
    return name.encode(), value.encode()


def _content(holder: _Object, name: str, parent: str) -> bytes | None:
    """Return `name-bin`, decoded from base64, or else `name`; None when there is neither."""
    encoded = _text(holder, f"{name}-bin", parent)
    if encoded is None:
        text = _text(holder, name, parent)
        return None if text is None else text.encode()
    try:
        return decode_base64(encoded)
    except ValueError as error:
        raise InstructError(f"{parent} contains '{name}-bin' with invalid value") from error


def _is_object(value: object) -> TypeGuard[_Object]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[_List]:
    return isinstance(value, list)


def _object(holder: _Object, name: str, parent: str) -> _Object | None:
    value = holder.get(name)
    if value is None or _is_object(value):
        return value
    raise _wrong_type(name, parent)


def _list(holder: _Object, name: str, parent: str) -> _List | None:
    value = holder.get(name)
    if value is None or _is_list(value):
        return value
    raise _wrong_type(name, parent)


def _text(holder: _Object, name: str, parent: str) -> str | None:
    value = holder.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _wrong_type(name, parent)


def _wrong_type(name: str, parent: str) -> InstructError:
    return InstructError(f"{parent} contains '{printable(name)}' with wrong type")


def _present(value: _Value | None, name: str, parent: str) -> _Value:
    if value is None:
        raise InstructError(f"{parent} does not contain '{name}'")
    return value


def _one_line(text: str, name: str, parent: str) -> str:
    if _LINE_BREAKERS.search(text):
        raise InstructError(f"{parent} contains '{name}' with invalid value")
    return text


def _integer(holder: _Object, name: str, parent: str) -> int | None:
    """Return a whole number, which backends also write as `5.0` or `"5"`."""
    value = holder.get(name)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _wrong_type(name, parent)


def _seconds(holder: _Object, parent: str) -> int | None:
    seconds = _integer(holder, "timeout", parent)
    if seconds is not None and not 0 <= seconds <= MAX_SECONDS:
        raise InstructError(f"{parent} contains 'timeout' with invalid value")
    return seconds


def _encode_hold(hold: HoldForm) -> _Object:
    members: _Object = {"channels": [_encode_channel(channel) for channel in hold.channels]}
    if hold.mode is not None:
        members["mode"] = hold.mode.value
    if hold.timeout is not None:
        members["timeout"] = hold.timeout
    if hold.keep_alive is not None:
        members["keep-alive"] = {
            "content-bin": base64.b64encode(hold.keep_alive.data).decode(),
            "timeout": hold.keep_alive.timeout,
            "mode": hold.keep_alive.mode.value,
        }
    if hold.meta:
        members["meta"] = dict(hold.meta)
    return members


def _encode_channel(channel: ChannelHold) -> _Object:
    members: _Object = {"name": channel.name}
    if channel.prev_id is not None:
        members["prev-id"] = channel.prev_id
    if channel.filters:
        members["filters"] = channel.filters
    return members


def _encode_response(response: ResponseForm) -> _Object:
    members: _Object = {
        "headers": [(decode_field(name), decode_field(value)) for name, value in response.headers],
        "body-bin": base64.b64encode(response.body).decode(),
    }
    if response.code is not None:
        members["code"] = response.code
    if response.reason is not None:
        members["reason"] = decode_field(response.reason)
    return members
