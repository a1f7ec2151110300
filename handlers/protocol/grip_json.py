"""An instruct's body form: the JSON of `application/grip-instruct`, and back.

Called by `grip`, which joins this with the header form and checks the response's headers. JSON stops here: what
comes out are values. Names, ids and a reason that could not stand in a header line are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import msgspec

from handlers.errors import InstructError
from handlers.protocol.fields import Parameters, decode_field, printable
from handlers.protocol.grip_headers import HIGHEST_STATUS, LOWEST_STATUS, MAX_SECONDS, check_filters
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import ChannelHold, HoldMode, KeepAlive, KeepAliveMode
from handlers.protocol.json_object import JsonObject
from handlers.protocol.names import ItemId


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
    if not isinstance(decoded, dict):
        raise InstructError("instruct must be an object")
    instruct = _object(cast("object", decoded), "instruct")
    hold = instruct.child("hold", name="hold")
    response = instruct.child("response", name="response")
    return BodyForm(
        hold=None if hold is None else _parse_hold(hold),
        response=None if response is None else _parse_response(response),
    )


def encode_body_form(form: BodyForm) -> bytes:
    """Encode the counterpart of `parse_body_form`. Bodies go out as base64, headers as a list of pairs.

    Raises UnicodeEncodeError for a header or reason that is not UTF-8, which JSON cannot hold.
    """
    members: dict[str, object] = {}
    if form.hold is not None:
        members["hold"] = _encode_hold(form.hold)
    if form.response is not None:
        members["response"] = _encode_response(form.response)
    return msgspec.json.encode(members)  # which writes bytes as base64


def _object(value: object, name: str) -> JsonObject:
    return JsonObject(value, name, error=InstructError, null_is_absent=True)


def _parse_hold(hold: JsonObject) -> HoldForm:
    mode = hold.text("mode")
    if mode not in (None, "response", "stream"):
        raise InstructError("hold 'mode' must be set to either 'response' or 'stream'")
    hold.required("channels")
    channels = tuple(_parse_channel(_object(channel, "channel")) for channel in hold.items("channels") or ())
    timeout = hold.integer("timeout", low=0, high=MAX_SECONDS)
    keep_alive = hold.child("keep-alive", name="keep-alive")
    return HoldForm(
        mode=HoldMode.STREAM if mode == "stream" else HoldMode.RESPONSE,
        channels=channels,
        timeout=timeout,
        keep_alive=None if keep_alive is None else _parse_keep_alive(keep_alive),
        meta=hold.strings("meta"),
    )


def _parse_channel(channel: JsonObject) -> ChannelHold:
    channel.required("name")
    name = channel.line("name") or ""
    prev_id = channel.line("prev-id")
    filters = channel.items("filters") or []
    names = tuple(value for value in filters if isinstance(value, str))
    if len(names) < len(filters):
        raise InstructError("filters contains value with wrong type")
    return ChannelHold(
        name=name,
        prev_id=ItemId(prev_id) if prev_id else None,
        filters=check_filters(name, names),
    )


def _parse_keep_alive(keep_alive: JsonObject) -> KeepAlive:
    data = keep_alive.content("content")
    if not data:
        raise InstructError("keep-alive cannot be empty")
    timeout = keep_alive.integer("timeout", low=0, high=MAX_SECONDS)
    mode = keep_alive.text("mode")
    if mode not in (None, "idle", "interval"):
        raise InstructError(f"no such keep-alive mode '{printable(mode)}'")
    return KeepAlive(
        data=data,
        timeout=55 if timeout is None else max(timeout, 1),
        mode=KeepAliveMode.INTERVAL if mode == "interval" else KeepAliveMode.IDLE,
    )


def _parse_response(response: JsonObject) -> ResponseForm:
    code = response.integer("code", low=LOWEST_STATUS, high=HIGHEST_STATUS)
    reason = response.line("reason")
    return ResponseForm(
        code=code,
        reason=reason.encode() if reason else None,
        headers=response.headers("headers", are_checked=False),
        body=response.content("body") or b"",
    )


def _encode_hold(hold: HoldForm) -> dict[str, object]:
    members: dict[str, object] = {"channels": [_encode_channel(channel) for channel in hold.channels]}
    if hold.mode is not None:
        members["mode"] = hold.mode.value
    if hold.timeout is not None:
        members["timeout"] = hold.timeout
    if hold.keep_alive is not None:
        members["keep-alive"] = {
            "content-bin": hold.keep_alive.data,
            "timeout": hold.keep_alive.timeout,
            "mode": hold.keep_alive.mode.value,
        }
    if hold.meta:
        members["meta"] = dict(hold.meta)
    return members


def _encode_channel(channel: ChannelHold) -> dict[str, object]:
    members: dict[str, object] = {"name": channel.name}
    if channel.prev_id is not None:
        members["prev-id"] = channel.prev_id
    if channel.filters:
        members["filters"] = channel.filters
    return members


def _encode_response(response: ResponseForm) -> dict[str, object]:
    members: dict[str, object] = {
        "headers": [(decode_field(name), decode_field(value)) for name, value in response.headers],
        "body-bin": response.body,
    }
    if response.code is not None:
        members["code"] = response.code
    if response.reason is not None:
        members["reason"] = decode_field(response.reason)
    return members
