"""A chunked request body, decoded as it comes (RFC 9112 section 7.1).

Driven by `framing`, which owns the bytes. Data is handed out as soon as it is here, each line is read only when it is
complete and sound. Extensions are read and dropped, as section 7.1.1 has it for those that are not known. So are
trailers (section 7.1.2): nothing here has a use for them, and merged into the headers they would get round every rule
that was applied to those.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from proxy.protocol.field_lines import CRLF, FIELD_LINES, TOKEN, Buffer, explain_field_lines, find_stray
from proxy.protocol.request_error import Refusal, too_many_headers

# RFC 9110 section 5.6.4 quoted-string. Section 7.1.1's BWS around ";" and "=", which no sender may generate, is
# refused: white space in this line is read in too many ways. No group with an alternative is possessive: Python
# before 3.11.5 gets it wrong (gh-106052). The alternatives begin differently, so there is little to backtrack into.
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]++|\\[\t \x21-\x7e\x80-\xff])*"'
_EXTENSIONS: Final = rb"(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + _QUOTED + rb"))?)*"
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})" + _EXTENSIONS + rb"\r\n")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]*+")
_TRAILERS: Final = re.compile(FIELD_LINES)
# RFC 9110 section 6.5.1: no trailer may bear on framing or routing. We drop them all, but a message that tries is
# meant for a parser that does not.
_FRAMING_TRAILER: Final = re.compile(rb"(?i)(?:^|\n)(?:content-length|host|transfer-encoding):")


class _State(enum.Enum):
    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILERS = enum.auto()
    COMPLETE = enum.auto()


class ChunkedBody:
    """The place reached in one chunked body. Memory: a few integers; unread bytes stay with the caller."""

    __slots__ = ("_left", "_line_limit", "_max_trailers", "_scanned", "_state", "_trailers_limit")

    def __init__(self, *, line_limit: int, trailers_limit: int, max_trailers: int) -> None:
        """Bound a size line with its extensions and the trailer section, both in bytes, and the trailers' number."""
        self._line_limit = line_limit
        self._trailers_limit = trailers_limit
        self._max_trailers = max_trailers
        self._state = _State.SIZE
        self._left = 0  # bytes of the current chunk's data still to come
        self._scanned = 0  # bytes of an incomplete trailer section searched before

    @property
    def is_complete(self) -> bool:
        """The last byte of the body has been taken."""
        return self._state is _State.COMPLETE

    def advance(self, buffer: Buffer, start: int) -> tuple[bytes, int]:
        """Take what can be taken of buffer[start:]; return (decoded data, index of the first byte not taken).

        The bytes not taken must lead the next call's buffer. Raises RequestError (400).
        """
        position = start
        data: list[tuple[int, int]] = []  # where it stands in the buffer
        while True:
            is_data = self._state is _State.DATA
            end = self._take(buffer, position)
            if end is None:
                break
            if is_data:
                data.append((position, end))
            position = end
            if self.is_complete:
                break
        return _join(buffer, data), position

    def _take(self, buffer: Buffer, position: int) -> int | None:
        """Take one piece; return where it ends, None when more bytes are needed."""
        match self._state:
            case _State.SIZE:
                return self._take_size_line(buffer, position)
            case _State.DATA:
                return self._take_data(buffer, position)
            case _State.DATA_END:
                return self._take_data_end(buffer, position)
            case _State.TRAILERS:
                return self._take_trailers(buffer, position)
            case _State.COMPLETE:
                raise RuntimeError("a chunked body ends with its trailers, and this one has ended")

    def _take_size_line(self, buffer: Buffer, position: int) -> int | None:
        limit = position + self._line_limit
        line = _SIZE_LINE.match(buffer, position, limit)
        if line is not None:
            self._left = int(line[1], 16)
            self._state = _State.DATA if self._left else _State.TRAILERS
            return line.end()
        end = buffer.find(CRLF, position, limit)
        _refuse_stray(buffer, position, limit if end < 0 else end + 2)
        if end >= 0:
            raise _explain_size_line(bytes(buffer[position:end])).error()
        if len(buffer) > limit:
            raise Refusal.CHUNK_LINE.error()
        return None

    def _take_data(self, buffer: Buffer, position: int) -> int | None:
        taken = min(self._left, len(buffer) - position)
        self._left -= taken
        if not self._left:
            self._state = _State.DATA_END
        return position + taken if taken else None

    def _take_data_end(self, buffer: Buffer, position: int) -> int | None:
        # RFC 9112 section 7.1: chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
        if buffer.startswith(CRLF, position):
            self._state = _State.SIZE
            return position + 2
        if not CRLF.startswith(bytes(buffer[position : position + 2])):
            raise Refusal.CHUNK_END.error()
        return None

    def _take_trailers(self, buffer: Buffer, position: int) -> int | None:
        """Return the end of the trailer section (RFC 9112 section 7.1.2) at `position`, None when it is incomplete."""
        limit = position + self._trailers_limit
        if buffer.startswith(CRLF, position):
            self._state = _State.COMPLETE
            return position + 2
        end = buffer.find(CRLF + CRLF, max(position, position + self._scanned - 3), limit)
        if end < 0:
            _refuse_stray(buffer, max(position, position + self._scanned - 1), limit)
            if len(buffer) > limit:
                raise Refusal.TRAILERS_TOO_LARGE.error()
            self._scanned = len(buffer) - position
            return None
        self._check_trailers(bytes(buffer[position : end + 4]))
        self._state = _State.COMPLETE
        return end + 4

    def _check_trailers(self, section: bytes) -> None:
        if not _TRAILERS.fullmatch(section):
            _refuse_stray(section, 0, len(section))
            raise explain_field_lines(section[:-4].split(CRLF)).error()
        if section.count(CRLF) - 1 > self._max_trailers:
            raise too_many_headers(self._max_trailers)
        if _FRAMING_TRAILER.search(section):
            raise Refusal.TRAILER_NAME.error()


def _join(buffer: Buffer, places: list[tuple[int, int]]) -> bytes:
    """Return the bytes at `places`, copied once, or not at all where they are the whole buffer."""
    if len(places) == 1:
        [(start, end)] = places
        return bytes(buffer[start:end])
    with memoryview(buffer) as view:
        return b"".join([view[start:end] for start, end in places])


def _refuse_stray(buffer: Buffer, start: int, end: int) -> None:
    refusal = find_stray(buffer, start, end)
    if refusal is not None:
        raise refusal.error()


def _explain_size_line(line: bytes) -> Refusal:
    digits = _HEX.match(line)
    size = digits[0] if digits else b""
    rest = line[len(size) :]
    # RFC 9112 section 7.1: chunk-size = 1*HEXDIG. A sign, 0x and white space are read as a number by many.
    if not size or (rest and not rest.startswith(b";")):
        return Refusal.CHUNK_SIZE
    # RFC 9112 section 7.1: "recipients MUST anticipate potentially large hexadecimal numerals and prevent parsing
    # errors due to integer conversion overflows".
    if len(size) > 15:
        return Refusal.CHUNK_TOO_LARGE
    return Refusal.CHUNK_EXTENSION
