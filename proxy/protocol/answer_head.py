"""The head of a backend's answer, checked once more behind aiohttp's parser, which is lenient with backends.

What it lets pass and a client or a cache could read in two ways is mended or refused here: names with white space
before the colon, control characters, codings and lengths that do not say where the body ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from handlers.protocol.http1 import Headers, header_values

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5, HTAB left out
_LENGTH = re.compile(rb"[0-9]{1,18}")  # below 2 to the 63, whatever counts after us


class AnswerHeadError(Exception):
    """The answer cannot be passed on. `str(error)` says why, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """What a backend answered. `length` is None where the body is delimited otherwise."""

    status: int
    reason: bytes
    headers: Headers
    length: int | None


def check_answer_head(*, status: int, reason: bytes, headers: Headers, lowest: int = 200) -> AnswerHead:
    """Return the head as it may be passed on; a status below `lowest` is interim. Raises AnswerHeadError."""
    if not lowest <= status <= 999:
        raise AnswerHeadError(f"status {status} is not that of an answer")
    if _CONTROL.search(reason):
        raise AnswerHeadError("control character in the reason")
    # RFC 9112 section 5.1: "A proxy MUST remove any such whitespace from a response message before forwarding".
    headers = tuple((name.rstrip(b" \t"), value) for name, value in headers)
    for name, value in headers:
        if _CONTROL.search(name) or _CONTROL.search(value):
            raise AnswerHeadError(f"control character in header {name.decode('ascii', 'backslashreplace')}")
    return AnswerHead(status=status, reason=reason, headers=headers, length=_read_length(headers))


def _read_length(headers: Headers) -> int | None:
    """Return the announced length, or None (RFC 9112 section 6.3)."""
    codings = header_values(headers, b"transfer-encoding")
    if codings:
        if [coding.strip(b" \t").lower() for coding in codings] != [b"chunked"]:
            # The parser has taken the chunks apart but not the other coding, whose name would be lost on the way.
            raise AnswerHeadError("transfer coding other than chunked")
        return None
    lengths = header_values(headers, b"content-length")
    if not lengths:
        return None
    if len(set(lengths)) > 1 or not _LENGTH.fullmatch(lengths[0].strip(b" \t")):
        raise AnswerHeadError("invalid Content-Length")
    return int(lengths[0])
