"""HTTP/1 heads and chunks as bytes: what Holdfast writes to a client without a library between.

Headers stay the raw pairs that came in, in their order and letter case, so that nothing on the
way through can alter them. Used by the held sessions here and by the proxy's own answers.
Parsing is not here: requests and responses are parsed by aiohttp.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from http import HTTPStatus

Headers = tuple[tuple[bytes, bytes], ...]
"""Header lines in wire order: (name, value), both as they stood on the wire."""

LAST_CHUNK = b"0\r\n\r\n"


def header_values(headers: Headers, name: bytes) -> tuple[bytes, ...]:
    """Return the values of every line called `name` (lower case), in order."""
    return tuple(value for key, value in headers if key.lower() == name)


def without_headers(headers: Headers, names: Collection[bytes]) -> Headers:
    """Return `headers` less the lines whose name, in lower case, is in `names`."""
    return tuple(pair for pair in headers if pair[0].lower() not in names)


def encode_head(*, version: bytes, status: int, reason: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a response head, blank line included (RFC 9112 section 4)."""
    lines = [b"HTTP/%b %d %b" % (version, status, reason)]
    lines.extend(b"%b: %b" % pair for pair in headers)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def encode_chunk(data: bytes) -> bytes:
    """Encode one chunk (RFC 9112 section 7.1). Empty data gives no bytes: a zero chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def has_body(*, method: bytes, status: int) -> bool:
    """Say whether an answer may carry a body at all (RFC 9112 section 6.3, rules 1 and 2)."""
    return method != b"HEAD" and status >= 200 and status not in (204, 304)


def standard_reason(status: int) -> bytes:
    """Return the registered reason phrase for `status`, or `Undefined Reason`."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Undefined Reason"
