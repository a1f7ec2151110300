"""Answers' heads that the parser refuses though they can be read in one way only, made such that it takes them.

Backends that get away with a slip elsewhere shall not fail here. What is mended: the same length said twice, a length
beside chunks, white space before a colon, names that are none (the line goes), and versions written otherwise. Nothing
that says in two ways where the body ends, no control character, no line without a colon. Used by
`proxy.protocol.answer_parser`, which is told what was left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from handlers.protocol.http1 import is_field_value, is_token

_HEAD_END: Final = re.compile(rb"\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/([1-9](?:\.[0-9])?)( [0-9]{3}(?: .*)?)")
_VERSIONS: Final = frozenset((b"1.0", b"1.1"))
_PROTOCOL: Final = b"HTTP/"
_FRAMING: Final = frozenset((b"contentlength", b"transferencoding"))
_NO_LETTERS: Final = bytes(code for code in range(256) if not chr(code).isascii() or not chr(code).isalpha())


class BeyondMending(Exception):
    """It is no head, or can be read in more than one way."""


class MendedHead(msgspec.Struct, frozen=True, kw_only=True):
    """A head as it should have been."""

    data: bytes
    dropped: tuple[bytes, ...]
    """The names, which are none, of the lines that were left out."""
    is_certain: bool
    """Nothing in it makes it doubtful what follows on the connection."""


def mend_head(head: bytes) -> MendedHead:
    """Mend a whole head, the empty line included. Raises BeyondMending."""
    first, *lines = [line.removesuffix(b"\r") for line in head.split(b"\n")[:-2]]
    status_line, is_version_sound = _mend_status_line(first)
    found = _read_lines(lines)
    fields = found.kept
    if found.lengths:
        length = _one_length(found.lengths)
        # RFC 9112 section 6.3: "An intermediary that chooses to forward the message MUST first remove the received
        # Content-Length field".
        if not found.has_coding:
            fields.append(b"Content-Length: " + length)
    return MendedHead(
        data=b"\r\n".join((status_line, *fields, b"", b"")),
        dropped=tuple(found.dropped),
        is_certain=is_version_sound and not (found.lengths and found.has_coding),
    )


class HeadMender:
    """Gathers what the parser has refused, and gives it back head by head: interim answers have one, too."""

    __slots__ = ("_gathered", "_is_begun", "_searched", "fault")

    def __init__(self, fault: str) -> None:
        """`fault` is what the parser had to say."""
        self.fault = fault
        self._gathered = bytearray()
        self._searched = 0
        self._is_begun = False  # the status line of the next head has been looked at

    def __len__(self) -> int:
        return len(self._gathered)

    def gather(self, data: bytes) -> None:
        """Take what has come."""
        self._gathered += data

    def next_head(self) -> MendedHead | None:
        """Return the next head, mended, None while it is not whole. Raises BeyondMending, as soon as may be."""
        gathered = self._gathered
        end = _HEAD_END.search(gathered, self._searched)
        if end is None:
            self._searched = max(0, len(gathered) - 2)
            self._is_begun = self._is_begun or _check_start(gathered)
            return None
        mended = mend_head(bytes(gathered[: end.end()]))
        del gathered[: end.end()]
        self._searched = 0
        self._is_begun = False
        return mended

    def rest(self) -> bytes:
        """Return what stands behind the heads that were taken."""
        return bytes(self._gathered)


class _Lines:
    """A head's lines, sorted."""

    __slots__ = ("dropped", "has_coding", "kept", "lengths")

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.dropped: list[bytes] = []
        self.lengths: list[bytes] = []
        self.has_coding = False

    def take(self, name: bytes, value: bytes) -> bool:
        """Take a line; say whether one that continues it is to be kept."""
        if not is_token(name):
            if resembles_framing(name):
                raise BeyondMending
            self.dropped.append(name)
            return False
        lowered = name.lower()
        if lowered == b"content-length":
            self.lengths.append(value)
            return False
        self.has_coding = self.has_coding or lowered == b"transfer-encoding"
        self.kept.append(name + b":" + value)
        return True


def resembles_framing(name: bytes) -> bool:
    """Say whether somebody might take a name that is none for one that says where the body ends."""
    return name.lower().translate(None, _NO_LETTERS) in _FRAMING


def _read_lines(lines: Sequence[bytes]) -> _Lines:
    found = _Lines()
    is_kept = False
    is_framing = True  # nothing stands before the first line that it could continue
    for line in lines:
        if not is_field_value(line):
            raise BeyondMending
        if line.startswith((b" ", b"\t")):
            if is_framing:
                raise BeyondMending
            if is_kept:
                found.kept.append(line)
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise BeyondMending
        name = name.rstrip(b" \t")
        is_framing = resembles_framing(name)
        is_kept = found.take(name, value)
    return found


def _one_length(values: Sequence[bytes]) -> bytes:
    """Return the length that all values are (RFC 9110 section 8.6, at its end)."""
    lengths = {length.strip(b" \t") for value in values for length in value.split(b",")}
    length = lengths.pop()
    if lengths or not length.isdigit():
        raise BeyondMending
    return length


def _mend_status_line(line: bytes) -> tuple[bytes, bool]:
    """Return it in a version that this connection can be, and whether it was in one."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BeyondMending
    if match[1] in _VERSIONS:
        return line, True
    return b"HTTP/1.1" + match[2], False


def _check_start(gathered: bytearray) -> bool:
    """Don't wait for the end of what does not begin like a head; say whether the whole status line is here."""
    start = bytes(gathered[: len(_PROTOCOL)])
    if not _PROTOCOL.startswith(start):
        raise BeyondMending
    end = gathered.find(b"\n")
    if end >= 0:
        _mend_status_line(bytes(gathered[:end]).removesuffix(b"\r"))
    return end >= 0
