"""The grammar of header and trailer lines, shared by `request_head` and `chunked`.

Sound sections are recognised by one regular expression; only for an unsound one is looked up what is wrong
with it. A section that is still incomplete is searched for bytes that no continuation could make sound, so
that the first such byte decides, however the bytes were split on their way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.protocol.request_error import Refusal

Buffer = bytes | bytearray

CRLF: Final = b"\r\n"

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
"""RFC 9110 section 5.6.2, as a pattern."""

FIELD_LINES: Final = rb"(?:" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
"""RFC 9112 section 5: any number of field lines and the empty line after them, as a pattern. Neither a space
before the colon (5.1) nor obs-fold (5.2) fits it, nor any control character but HTAB (RFC 9110 section 5.5)."""

_STRAY: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r[^\n]")
_NAME: Final = re.compile(TOKEN)


def find_stray(buffer: Buffer, start: int, end: int) -> Refusal | None:
    """Return what is wrong with the first byte of buffer[start:end] that fits no line, or None.

    RFC 9112 section 2.2 lets a recipient take a bare LF for a line's end, and has it refuse a bare CR or take
    it for a space. Either leniency is read differently by the next parser, so both are refused. A CR just
    before `end` may still be followed by its LF and passes: search again from there when more has come.
    """
    found = _STRAY.search(buffer, start, end)
    if found is None:
        return None
    match found[0][:1]:
        case b"\n":
            return Refusal.BARE_LF
        case b"\r":
            return Refusal.BARE_CR
        case b"\x00":
            return Refusal.NUL
        case _:
            return Refusal.CONTROL


def explain_field_lines(lines: Iterable[bytes]) -> Refusal:
    """Return what is wrong with the first unsound line; there must be one, and `find_stray` found nothing."""
    return next(refusal for refusal in map(_explain_line, lines) if refusal is not None)


def _explain_line(line: bytes) -> Refusal | None:
    # RFC 9112 section 5.2: "A server that receives an obs-fold in a request message [...] MUST either reject the
    # message by sending a 400 (Bad Request) [...] or replace each received obs-fold with [...] SP octets."
    # Section 2.2 says the same of white space between the request line and the first header.
    if line.startswith((b" ", b"\t")):
        return Refusal.OBS_FOLD
    name, colon, _ = line.partition(b":")
    if not colon:
        return Refusal.NO_COLON
    if not name:
        return Refusal.NAME_EMPTY
    # RFC 9112 section 5.1: "A server MUST reject, with a response status code of 400 (Bad Request), any received
    # request message that contains whitespace between a header field name and colon."
    if name.endswith((b" ", b"\t")):
        return Refusal.NAME_SPACE
    return None if _NAME.fullmatch(name) else Refusal.NAME
