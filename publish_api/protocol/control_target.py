"""What a request on `/channels/` or `/connections/` asks for: method, path and query, made a question.

Called by `publish_api.control`. Names and ids stand in the path percent-encoded; a slash in them may stand as it is,
but at the end, where one is ignored as everywhere on the publish port. Channels may be any bytes, all else is UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from handlers.protocol.carried_name import carry, is_text, show
from handlers.protocol.fields import decode_field
from handlers.protocol.hold_id import FIRST, HoldId, parse_hold_id
from handlers.protocol.survey import (
    CloseConnection,
    CountChannel,
    FindConnections,
    Kind,
    ListChannels,
    ListConnections,
    Question,
)
from handlers.protocol.ws_frames import CloseReason, sendable_close
from publish_api.errors import RequestRefused

DESCRIPTION: Final = "/openapi.json"
"""Where the description of the whole port is."""

LARGEST_PAGE: Final = 1000
"""What a page of a list may hold at most. Without a `limit` it is a tenth."""

OF_BYTES: Final = ("channel", "prefix", "after")
"""Parameters that are channels, or what those begin with."""

NO_QUERY: Final = "Query is not name=value in UTF-8."

_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def is_control(path: str) -> bool:
    """Say whether a path, without its query, is one of these."""
    return path.removesuffix("/") in ("/channels", "/connections") or path.startswith(("/channels/", "/connections/"))


def parse_control(method: str, target: str) -> Question:
    """Return what is asked for. Raises RequestRefused, with 400 or 405.

    Lists have one more than the page may hold: whether there is a next page.
    """
    path, _, query = target.partition("?")
    _, room, *rest = path.removesuffix("/").split("/", 2)
    name = decode_field(unquote_to_bytes(rest[0])) if rest else None
    if name is not None and room == "connections" and method == "DELETE":
        return _close(as_id(name), _parse_query(query, "code", "reason"))
    if method not in ("GET", "HEAD"):
        allow = b"GET, HEAD, DELETE" if room == "connections" and rest else b"GET, HEAD"
        raise RequestRefused(405, f"Method not allowed: {method}.", ((b"Allow", allow),))
    if name is not None:
        _parse_query(query)
        return CountChannel(carry(name)) if room == "channels" else FindConnections((as_id(name),))
    if room == "channels":
        return _list_channels(_parse_query(query, "prefix", "after", "limit"))
    return _list_connections(_parse_query(query, "channel", "kind", "after", "limit"))


def page_of(question: ListChannels | ListConnections) -> int:
    """Return how many the page may hold that a list is for."""
    return question.limit - 1


def as_id(name: str) -> str:
    """Return a name that must be text. Raises RequestRefused."""
    if not is_text(name):
        raise RequestRefused(400, "Path is not UTF-8.")
    return name


def _list_channels(given: Mapping[str, str]) -> ListChannels:
    after = given.get("after")
    return ListChannels(
        prefix=carry(given.get("prefix", "")),
        after=after if after is None or is_text(after) else carry(after),  # as text it may be what `next` was
        limit=_parse_limit(given) + 1,
    )


def _list_connections(given: Mapping[str, str]) -> ListConnections:
    kind, channel = given.get("kind"), given.get("channel")
    if kind is not None and kind not in (each.value for each in Kind):
        raise RequestRefused(400, "kind must be stream, response or ws.")
    return ListConnections(
        channel=None if channel is None else carry(channel),
        kind=None if kind is None else Kind(kind),
        after=_parse_after(given.get("after")),
        limit=_parse_limit(given) + 1,
    )


def _close(name: str, given: Mapping[str, str]) -> CloseConnection:
    code, reason = given.get("code"), given.get("reason", "")
    if code is None:
        if reason:
            raise RequestRefused(400, "reason needs a code.")
        return CloseConnection(name)
    asked = CloseReason(code=int(code) if _NUMBER.fullmatch(code) else 0, reason=reason)
    sendable = sendable_close(asked)
    if sendable.code != asked.code:
        raise RequestRefused(400, "code must be one that may be sent: 1000, 1001, 3000 to 4999 and the like.")
    if sendable != asked:
        raise RequestRefused(400, "reason must have 123 bytes at most.")
    return CloseConnection(name, code=asked.code, reason=reason)


def _parse_query(query: str, *known: str) -> dict[str, str]:
    """Return the parameters; each may be given once. Raises RequestRefused."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="surrogateescape")
    except ValueError as error:
        raise RequestRefused(400, NO_QUERY) from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise RequestRefused(400, f"Unknown parameter: {show(name):.100}.")
        if name not in OF_BYTES and not is_text(value):
            raise RequestRefused(400, NO_QUERY)
        if name in given:
            raise RequestRefused(400, f"Parameter given twice: {name}.")
        given[name] = value
    return given


def _parse_limit(given: Mapping[str, str]) -> int:
    text = given.get("limit", str(LARGEST_PAGE // 10))
    limit = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= LARGEST_PAGE:
        raise RequestRefused(400, f"limit must be a number from 1 to {LARGEST_PAGE}.")
    return limit


def _parse_after(text: str | None) -> HoldId:
    if text is None:
        return FIRST
    after = parse_hold_id(text)
    if after is None:
        raise RequestRefused(400, "after must be what next was.")
    return after
