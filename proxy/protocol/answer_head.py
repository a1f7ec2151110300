"""The head of a backend's answer, checked once more behind the parser, which is lenient with backends.

What it lets pass and a client or a cache could read in two ways is mended or refused here: names with white space
before the colon, names that are none, control characters, codings and lengths that do not say where the body ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from handlers.protocol.http1 import Headers, is_field_value, is_token
from proxy.protocol.answer_mending import resembles_framing

_SOUND = bytes(code for code in range(256) if is_field_value(bytes((code,))))
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
    dropped: tuple[bytes, ...] = ()
    """The names, which are none, of the lines that are left out."""


def check_answer_head(
    *, status: int, reason: bytes, headers: Headers, lowest: int = 200, dropped: tuple[bytes, ...] = ()
) -> AnswerHead:
    """Return the head as it may be passed on; a status below `lowest` is interim. Raises AnswerHeadError.

    `dropped` are the names of lines that were left out before, to be told with those left out here.
    """
    if not lowest <= status <= 999:
        raise AnswerHeadError(f"status {status} is not that of an answer")
    layout = _read_names(tuple([name for name, _ in headers]))
    values = [value for _, value in headers]
    # In one go, because nearly all answers are as they should be, and without a search, which takes four times as long.
    if not layout.is_sound or (reason + b"".join(values)).translate(None, _SOUND):
        raise _explain(reason, headers)
    if layout.mended is not None:
        headers = tuple([pair for pair in zip(layout.mended, values, strict=True) if pair[0] not in layout.no_names])
        dropped += tuple([name for name in layout.mended if name in layout.no_names])
    length = None
    if layout.codings:
        _check_coding([values[index] for index in layout.codings])
    elif layout.lengths:
        length = _read_length({values[index] for index in layout.lengths})
    return AnswerHead(
        status=status, reason=reason, headers=headers, length=length, chunked=bool(layout.codings), dropped=dropped
    )


class _Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What the names of a head's lines say. The indexes are those of the lines so called."""

    is_sound: bool
    """No name has a control character, or is almost one that says where the body ends."""
    mended: tuple[bytes, ...] | None
    """The names without white space behind them, where that changes one or some are none."""
    no_names: frozenset[bytes]
    """Those that are none."""
    codings: tuple[int, ...]
    lengths: tuple[int, ...]


@lru_cache(maxsize=256)
def _read_names(names: tuple[bytes, ...]) -> _Layout:
    """Read the names alone, and each row of them once: a backend has few, and values that change all the time."""
    # RFC 9112 section 5.1: "A proxy MUST remove any such whitespace from a response message before forwarding".
    mended = tuple(name.rstrip(b" \t") for name in names)
    no_names = frozenset(name for name in mended if not is_token(name))
    lowered = [name.lower() for name in mended]
    return _Layout(
        is_sound=not b"".join(names).translate(None, _SOUND) and not any(map(resembles_framing, no_names)),
        mended=None if mended == names and not no_names else mended,
        no_names=no_names,
        codings=tuple(index for index, name in enumerate(lowered) if name == b"transfer-encoding"),
        lengths=tuple(index for index, name in enumerate(lowered) if name == b"content-length"),
    )


def _explain(reason: bytes, headers: Headers) -> AnswerHeadError:
    if not is_field_value(reason):
        return AnswerHeadError("control character in the reason")
    for name, value in headers:
        if not is_field_value(name + value):
            return AnswerHeadError(f"control character in header {name.decode('ascii', 'backslashreplace')}")
    return AnswerHeadError("a header is almost called Content-Length or Transfer-Encoding")


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
