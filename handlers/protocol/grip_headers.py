"""An instruct's header form: the `Grip-*` lines of a backend's answer.

Called by `grip`, which joins this with the body form. It reads the headers only: it neither knows the
answer's body nor decides what the client gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from handlers.errors import InstructError
from handlers.protocol.fields import (
    Parameters,
    decode_base64,
    decode_field,
    encode_field,
    encode_parameters,
    parameter,
    parse_pairs,
    parse_parameters,
    printable,
    split_list,
    unescape_cstring,
)
from handlers.protocol.http1 import Headers, header_values, standard_reason
from handlers.protocol.instruct import ChannelHold, HoldMode, KeepAlive, KeepAliveMode, NextLink
from handlers.protocol.names import ItemId

MAX_FILTERS = 5
"""Filters a channel may name (reference 3.3)."""

MAX_SECONDS = 2**31 - 1
"""The longest time an instruct may name: what the protocol's other speakers can hold."""

LOWEST_STATUS, HIGHEST_STATUS = 200, 999
"""The codes an answer may be given. An interim code (1xx) would leave the client waiting for another answer."""

_SECONDS = re.compile(r"[+-]?[0-9]{1,12}")
_STATUS_LINE = re.compile(r"([0-9]{1,3})(?: (.*))?", re.DOTALL)
# What RFC 3986 lets stand in a URI as it is, and what people put there all the same without harm.
_URI_TEXT = re.compile(r"[!#-;=?-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusLine:
    """`Grip-Status`: the status line the client is to get."""

    status: int
    reason: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderForm:
    """What the `Grip-*` headers of an answer say. None, or empty, where they say nothing.

    `timeout` is in seconds and as given, not yet raised to its minimum. `exposed` holds header names in
    lower case; empty means that every header may pass.
    """

    hold: HoldMode | None
    channels: tuple[ChannelHold, ...]
    timeout: int | None
    keep_alive: KeepAlive | None
    meta: Parameters
    next_link: NextLink | None
    gone_link: str | None
    status_line: StatusLine | None
    exposed: frozenset[bytes]


def parse_header_form(headers: Headers) -> HeaderForm:
    """Parse the `Grip-*` lines of an answer (reference 3.3). Raises InstructError."""
    headers = tuple([pair for pair in headers if pair[0][:5].lower() == b"grip-"])  # looked through nine times
    next_link, gone_link = _parse_links(headers)
    return HeaderForm(
        hold=_parse_hold(headers),
        channels=tuple(_parse_channel(element) for element in _elements(headers, b"grip-channel")),
        timeout=_parse_timeout(headers),
        keep_alive=_parse_keep_alive(headers),
        meta=tuple(pair for element in _elements(headers, b"grip-set-meta") for pair in parse_pairs(element)),
        next_link=next_link,
        gone_link=gone_link,
        status_line=_parse_status(headers),
        exposed=frozenset(encode_field(name.lower()) for name in _elements(headers, b"grip-expose-headers")),
    )


def encode_links(next_link: NextLink | None, gone_link: str | None) -> Headers:
    """Encode the `Grip-Link` lines, which have no place in the body form."""
    lines: list[str] = []
    if next_link is not None:
        lines.append(encode_parameters(f"<{next_link.uri}>", (("rel", "next"), ("timeout", str(next_link.timeout)))))
    if gone_link is not None:
        lines.append(encode_parameters(f"<{gone_link}>", (("rel", "gone"),)))
    return tuple((b"Grip-Link", encode_field(line)) for line in lines)


def check_filters(channel: str, filters: tuple[str, ...]) -> tuple[str, ...]:
    """Return `filters`, or raise InstructError when they are too many for one channel."""
    if len(filters) > MAX_FILTERS:
        raise InstructError(f"too many filters for channel '{printable(channel)}'")
    return filters


def _first(headers: Headers, name: bytes) -> str | None:
    return next((decode_field(value).strip(" \t") for value in header_values(headers, name)), None)


def _elements(headers: Headers, name: bytes) -> Iterable[str]:
    return (element for value in header_values(headers, name) for element in split_list(decode_field(value)))


def _parse_hold(headers: Headers) -> HoldMode | None:
    match _first(headers, b"grip-hold"):
        case None:
            return None
        case "response":
            return HoldMode.RESPONSE
        case "stream":
            return HoldMode.STREAM
        case _:
            raise InstructError("Grip-Hold must be set to either 'response' or 'stream'")


def _parse_channel(element: str) -> ChannelHold:
    name, parameters = parse_parameters(element)
    prev_id = parameter(parameters, "prev-id")
    filters = tuple(value for key, value in parameters if key == "filter")
    return ChannelHold(
        name=name,
        prev_id=ItemId(prev_id) if prev_id else None,
        filters=check_filters(name, filters),
    )


def _parse_timeout(headers: Headers) -> int | None:
    text = _first(headers, b"grip-timeout")
    if text is None:
        return None
    return _parse_seconds(text, unparsable="failed to parse Grip-Timeout", negative="Grip-Timeout has invalid value")


def _parse_seconds(text: str, *, unparsable: str, negative: str) -> int:
    """Parse a whole number of seconds; the two texts are those of the InstructError raised otherwise."""
    seconds = int(text) if _SECONDS.fullmatch(text) else None
    if seconds is None or seconds > MAX_SECONDS:
        raise InstructError(unparsable)
    if seconds < 0:
        raise InstructError(negative)
    return seconds


def _parse_keep_alive(headers: Headers) -> KeepAlive | None:
    value = _first(headers, b"grip-keep-alive")  # not a list: data may hold commas
    if value is None:
        return None
    text, parameters = parse_parameters(value)
    mode = _parse_mode(parameter(parameters, "mode") or "idle")
    timeout = 55
    if (given := parameter(parameters, "timeout")) is not None:
        timeout = _parse_seconds(
            given,
            unparsable="failed to parse Grip-Keep-Alive timeout value",
            negative="Grip-Keep-Alive timeout has invalid value",
        )
    data = _decode_keep_alive(text, parameter(parameters, "format") or "raw")
    if not data:
        raise InstructError("Grip-Keep-Alive cannot be empty")
    return KeepAlive(data=data, timeout=max(timeout, 1), mode=mode)


def _parse_mode(text: str) -> KeepAliveMode:
    try:
        return KeepAliveMode(text)
    except ValueError as error:
        raise InstructError(f"no such Grip-Keep-Alive mode '{printable(text)}'") from error


def _decode_keep_alive(text: str, encoding: str) -> bytes:
    try:
        match encoding:
            case "raw":
                return encode_field(text)
            case "cstring":
                return unescape_cstring(encode_field(text))
            case "base64":
                return decode_base64(text)
            case _:
                raise InstructError(f"no such Grip-Keep-Alive format '{printable(encoding)}'")
    except ValueError as error:
        raise InstructError(f"failed to parse Grip-Keep-Alive {encoding} format") from error


def _parse_status(headers: Headers) -> StatusLine | None:
    text = _first(headers, b"grip-status")
    if not text:
        return None
    line = _STATUS_LINE.fullmatch(text)
    if line is None or not LOWEST_STATUS <= int(line[1]) <= HIGHEST_STATUS:
        raise InstructError("Grip-Status contains invalid status code")
    status = int(line[1])
    return StatusLine(status=status, reason=encode_field(line[2]) if line[2] else standard_reason(status))


def _parse_links(headers: Headers) -> tuple[NextLink | None, str | None]:
    """Return the last `rel=next` and the last `rel=gone` link; other relations are ignored (reference 3.3)."""
    next_link, gone_link = None, None
    for element in _elements(headers, b"grip-link"):
        target, parameters = parse_parameters(element)
        if not parameters:
            continue
        uri = _parse_link_target(target)
        match (parameter(parameters, "rel") or "").lower():
            case "next":
                next_link = NextLink(uri=uri, timeout=_parse_link_timeout(parameters))
            case "gone":
                gone_link = uri
            case _:
                pass  # RFC 8288 section 2.1.2: relations that mean nothing here
    return next_link, gone_link


def _parse_link_timeout(parameters: Parameters) -> int:
    given = parameter(parameters, "timeout")
    if given is None:
        return 120
    seconds = _parse_seconds(
        given,
        unparsable="failed to parse Grip-Link timeout value",
        negative="Grip-Link timeout has invalid value",
    )
    return max(seconds, 1)  # 0 would ask the backend again without a pause


def _parse_link_target(target: str) -> str:
    """Return the URI reference inside `<...>`, relative or http(s), with non-ASCII bytes percent-encoded."""
    if len(target) <= 2 or not (target.startswith("<") and target.endswith(">")):
        raise InstructError("failed to parse Grip-Link value")
    uri = re.sub(r"[^\x00-\x7f]+", lambda run: quote(encode_field(run[0])), target[1:-1])
    if not _URI_TEXT.fullmatch(uri) or not _is_web_reference(uri):
        raise InstructError("Grip-Link contains invalid link")
    return uri


def _is_web_reference(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # a bad IPv6 address or port
        return False
    return port != 0 and parts.scheme in ("", "http", "https") and bool(parts.netloc or not parts.scheme)
