"""The head of a backend's answer, checked once more behind the parser, which is lenient with backends.

What it lets pass and a client or a cache could read in two ways is mended or refused here: names with white space
before the colon, control characters, codings and lengths that do not say where the body ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from handlers.protocol.http1 import Headers

# RFC 9110 section 5.5: no control character but HTAB.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SOUND = bytes(code for code in range(256) if not _CONTROL.match(bytes((code,))))
_LENGTH_DIGITS = 18
"""Below 2 to the 63, whatever counts after us."""


class AnswerHeadError(Exception):
    """The answer cannot be passed on. `str(error)` says why, for the log."""


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend answered. A Struct, because every request makes one.

    `length` is None where the body is delimited otherwise: by chunks if it is `chunked`, else, where the status lets
    it have a body, by the connection's end.
    """

    status: int
    reason: bytes
    headers: Headers
    length: int | None
    chunked: bool


def check_answer_head(*, status: int, reason: bytes, headers: Headers, lowest: int = 200) -> AnswerHead:
    """Return the head as it may be passed on; a status below `lowest` is interim. Raises AnswerHeadError."""
    if not lowest <= status <= 999:
        raise AnswerHeadError(f"status {status} is not that of an answer")
    layout = _read_names(tuple([name for name, _ in headers]))
    values = [value for _, value in headers]
    # In one go, because nearly all answers are as they should be, and without a search, which takes four times as long.
    if not layout.is_sound or (reason + b"".join(values)).translate(None, _SOUND):
        raise _explain_control(reason, headers)
    if layout.mended is not None:
        headers = tuple(zip(layout.mended, values, strict=True))
    length = None
    if layout.codings:
        _check_coding([values[index] for index in layout.codings])
    elif layout.lengths:
        length = _read_length({values[index] for index in layout.lengths})
    return AnswerHead(status=status, reason=reason, headers=headers, length=length, chunked=bool(layout.codings))


class _Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What the names of a head's lines say. The indexes are those of the lines so called."""

    is_sound: bool
    """No name has a control character."""
    mended: tuple[bytes, ...] | None
    """The names as they may be passed on, where that is not as they stood."""
    codings: tuple[int, ...]
    lengths: tuple[int, ...]


@lru_cache(maxsize=256)
def _read_names(names: tuple[bytes, ...]) -> _Layout:
    """Read the names alone, and each row of them once: a backend has few, and values that change all the time."""
    # RFC 9112 section 5.1: "A proxy MUST remove any such whitespace from a response message before forwarding".
    mended = tuple(name.rstrip(b" \t") for name in names)
    lowered = [name.lower() for name in mended]
    return _Layout(
        is_sound=not b"".join(names).translate(None, _SOUND),
        mended=None if mended == names else mended,
        codings=tuple(index for index, name in enumerate(lowered) if name == b"transfer-encoding"),
        lengths=tuple(index for index, name in enumerate(lowered) if name == b"content-length"),
    )


def _explain_control(reason: bytes, headers: Headers) -> AnswerHeadError:
    if _CONTROL.search(reason):
        return AnswerHeadError("control character in the reason")
    name = next(name for name, value in headers if _CONTROL.search(name + value))
    return AnswerHeadError(f"control character in header {name.decode('ascii', 'backslashreplace')}")


def _check_coding(codings: Sequence[bytes]) -> None:
    """Refuse all but chunks (RFC 9112 section 6.3)."""
    if [coding.strip(b" \t").lower() for coding in codings] != [b"chunked"]:
        # The parser has taken the chunks apart but not the other coding, whose name would be lost on the way.
        raise AnswerHeadError("transfer coding other than chunked")


def _read_length(lengths: set[bytes]) -> int:
    """Return the announced length (RFC 9112 section 6.3)."""
    length = lengths.pop().strip(b" \t")
    if lengths or not length.isdigit() or len(length) > _LENGTH_DIGITS:
        raise AnswerHeadError("invalid Content-Length")
    return int(length)
