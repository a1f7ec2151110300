"""ZHTTP messages: HTTP requests and answers as maps of tagged netstrings (reference 11, last paragraph).

Used by the machine of an exchange (`zhttp_exchange`) and by the sockets' side (`proxy.zhttp`). What a message means in
an exchange is not here. Members that nobody here needs are skipped, as the protocol's other speakers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from handlers.protocol.http1 import Headers, is_token
from handlers.protocol.tnetstring import Encodable, TnetStringError, Value, encode_tnetstring, parse_tnetstring

DATA = ""
CREDIT = "credit"
KEEP_ALIVE = "keep-alive"
CANCEL = "cancel"
ERROR = "error"
HANDOFF_START = "handoff-start"
HANDOFF_PROCEED = "handoff-proceed"

IDS_LIMIT = 128
"""Exchanges that one message may be for: as many as Pushpin puts in one."""

_LIMIT = 2**31 - 1
_TEXT = b"T"  # a map of tagged netstrings; no other form is spoken


class ZhttpError(ValueError):
    """Bytes are no ZHTTP message. `str(error)` says why."""


class RequestStart(msgspec.Struct, frozen=True, kw_only=True):
    """What only the first message of a request has. `uri` is whole: scheme, host, path and query."""

    method: bytes
    uri: bytes
    headers: Headers
    stream: bool
    """Whether the answer may come in several messages."""
    ignore_policies: bool = False
    """The worker may connect to internal addresses."""
    trust_connect_host: bool = False
    ignore_tls_errors: bool = False
    max_size: int | None = None
    """Bytes that the body of an answer in one message may have."""


class ZhttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a worker. `sender` is our address, `seq` counts our messages of a streamed exchange from 0."""

    sender: bytes
    id: bytes
    seq: int | None = None
    type: str = DATA
    credits: int = 0
    more: bool = False
    body: bytes = b""
    start: RequestStart | None = None


class ZhttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a worker. `sender` is its address; `ids` are the exchanges it is for, each with its number.

    `status` is None where there is none, as in all but the first that carries data.
    """

    sender: bytes
    ids: tuple[tuple[bytes, int | None], ...]
    type: str = DATA
    condition: str = ""
    credits: int = 0
    more: bool = False
    status: int | None = None
    reason: bytes = b""
    headers: Headers = ()
    body: bytes = b""


def encode_request(request: ZhttpRequest) -> bytes:
    """Encode a message to a worker, without the envelope that its socket may want."""
    fields: dict[str, Encodable] = {"from": request.sender, "id": request.id}
    if request.seq is not None:
        fields["seq"] = request.seq
    if request.type != DATA:
        fields["type"] = request.type
    if request.credits:
        fields["credits"] = request.credits
    if request.more:
        fields["more"] = True
    if request.start is not None:
        fields.update(_start_fields(request.start))
    if request.body or request.start is not None:
        fields["body"] = request.body
    return _TEXT + encode_tnetstring(fields)


def parse_answer(data: bytes) -> ZhttpAnswer:
    """Read a worker's message. Raises ZhttpError."""
    if data[:1] != _TEXT:
        raise ZhttpError("not a map of tagged netstrings")
    try:
        fields, _ = parse_tnetstring(data[1:])
    except TnetStringError as error:
        raise ZhttpError(str(error)) from error
    if not isinstance(fields, dict):
        raise ZhttpError("not a map")
    status = _number(fields, "code", None)
    if status is not None and not 100 <= status <= 999:
        raise ZhttpError("'code' is no status")
    return ZhttpAnswer(
        sender=_bytes(fields, "from"),
        ids=_parse_ids(fields),
        type=_text(fields, "type"),
        condition=_text(fields, "condition"),
        credits=_number(fields, "credits", 0) or 0,
        more=_flag(fields, "more"),
        status=status,
        reason=_bytes(fields, "reason"),
        headers=_parse_headers(fields.get("headers")),
        body=_bytes(fields, "body"),
    )


def strip_address(data: bytes, address: bytes) -> bytes:
    """Return what a PUB socket sent behind our address and a space; a message without them as it is."""
    return data.removeprefix(address + b" ")


def _start_fields(start: RequestStart) -> Mapping[str, Encodable]:
    fields: dict[str, Encodable] = {
        "method": start.method,
        "uri": start.uri,
        "headers": [[name, value] for name, value in start.headers],
    }
    if start.stream:
        # Answers may also come on the socket that later messages go out on, and for several exchanges at once.
        fields |= {"stream": True, "router-resp": True, "ext": {"multi": True}}
    if start.max_size is not None:
        fields["max-size"] = start.max_size
    for name, is_on in (
        ("ignore-policies", start.ignore_policies),
        ("trust-connect-host", start.trust_connect_host),
        ("ignore-tls-errors", start.ignore_tls_errors),
    ):
        if is_on:
            fields[name] = True
    return fields


def _parse_ids(fields: Mapping[str, Value]) -> tuple[tuple[bytes, int | None], ...]:
    value = fields.get("id")
    if isinstance(value, bytes):
        return ((value, _number(fields, "seq", None)),)
    if not isinstance(value, list) or not 0 < len(value) <= IDS_LIMIT:
        raise ZhttpError("no 'id'")
    return tuple(_parse_id(each) for each in value)


def _parse_id(value: Value) -> tuple[bytes, int | None]:
    each = value.get("id") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(each, bytes):
        raise ZhttpError("one of several ids is none")
    return each, _number(value, "seq", None)


def _parse_headers(value: Value) -> Headers:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ZhttpError("'headers' is no list")
    return tuple([_parse_header(pair) for pair in value])


def _parse_header(pair: Value) -> tuple[bytes, bytes]:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, bytes) for part in pair):
        raise ZhttpError("a header is no pair of strings")
    name, value = cast("list[bytes]", pair)
    if not is_token(name):
        raise ZhttpError("a header's name is none")
    return name, value


def _bytes(fields: Mapping[str, Value], key: str) -> bytes:
    value = fields.get(key)
    if value is None:
        return b""
    if not isinstance(value, bytes):
        raise ZhttpError(f"{key!r} is no string")
    return value


def _text(fields: Mapping[str, Value], key: str) -> str:
    return _bytes(fields, key).decode("utf-8", "replace")


def _number(fields: Mapping[str, Value], key: str, default: int | None) -> int | None:
    value = fields.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LIMIT:
        raise ZhttpError(f"{key!r} is no number that can be")
    return value


def _flag(fields: Mapping[str, Value], key: str) -> bool:
    value = fields.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ZhttpError(f"{key!r} is neither true nor false")
    return value
