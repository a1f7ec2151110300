"""HTTP/1 heads and chunks as bytes: what Holdfast writes to a client without a library between.

Headers stay the raw pairs that came in, in their order and letter case, so that nothing on the
way through can alter them. Used by the held sessions here and by the proxy's own answers.
Parsing is not here: requests are parsed by `proxy.protocol.framing`, responses by aiohttp.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from http import HTTPStatus

Headers = tuple[tuple[bytes, bytes], ...]
"""Header lines in wire order: (name, value), both as they stood on the wire."""

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# RFC 9110 section 7.6.1: to be removed before forwarding whether or not Connection names them. Trailer is
# added because trailer sections are not forwarded, and what will not come must not be announced.
HOP_BY_HOP = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade", b"trailer")
)
"""Names in lower case of the headers that concern one hop alone, whatever Connection says."""
# "Connection: Host" must not take from the next hop what it cannot do without. Empty options are none.
_NOT_HOP_BY_HOP = frozenset((b"host", b"content-length", b""))


def is_token(name: bytes) -> bool:
    """Say whether `name` may be the name of a header (RFC 9110 sections 5.1 and 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def is_field_value(value: bytes) -> bool:
    """Say whether `value` may be a header's value or a reason phrase: no control character but HTAB.

    RFC 9110 section 5.5, RFC 9112 section 4.
    """
    return _CONTROL.search(value) is None


def header_values(headers: Headers, name: bytes) -> tuple[bytes, ...]:
    """Return the values of every line called `name` (lower case), in order."""
    return tuple([value for key, value in headers if key.lower() == name])


def first_header(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of the first line called `name` (lower case), None without one."""
    return next((value for key, value in headers if key.lower() == name), None)


def without_headers(headers: Headers, names: Collection[bytes]) -> Headers:
    """Return `headers` less the lines whose name, in lower case, is in `names`."""
    return tuple([pair for pair in headers if pair[0].lower() not in names])


def hop_by_hop_names(headers: Headers) -> frozenset[bytes]:
    """Return, in lower case, the names that concern this hop alone: the fixed ones and those Connection names."""
    lines = header_values(headers, b"connection")
    return _hop_by_hop(lines) if lines else HOP_BY_HOP


@functools.lru_cache(maxsize=256)
def _hop_by_hop(lines: tuple[bytes, ...]) -> frozenset[bytes]:
    # There are few that are really in use: keep-alive, close, Upgrade.
    options = {option.strip() for line in lines for option in line.lower().split(b",")}
    return HOP_BY_HOP | (options - _NOT_HOP_BY_HOP)


def encode_head(*, version: bytes, status: int, reason: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a response head, blank line included (RFC 9112 section 4)."""
    lines = b"\r\n".join(map(b": ".join, headers))
    start = b"HTTP/%b %d %b" % (version, status, reason)
    return b"%b\r\n%b\r\n\r\n" % (start, lines) if lines else start + b"\r\n\r\n"


def encode_chunk(data: bytes) -> bytes:
    """Encode one chunk (RFC 9112 section 7.1). Empty data gives no bytes: a zero chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def has_body(*, method: bytes, status: int) -> bool:
    """Say whether an answer may carry a body at all (RFC 9112 section 6.3, rules 1 and 2)."""
    return method != b"HEAD" and status >= 200 and status not in (204, 304)


def standard_reason(status: int) -> bytes:
    """Return the registered reason phrase for `status`, or `Undefined Reason`."""
    return _REASONS.get(status, b"Undefined Reason")
