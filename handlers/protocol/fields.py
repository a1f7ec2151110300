"""The values of header fields: comma lists, `;` parameters, and the escapes used inside them.

Called by the parsers of GRIP headers and by whatever writes such headers. Works on text; bytes become
text by UTF-8 with surrogateescape, so that nothing is lost on the way. It gives no meaning to any name.
"""

from __future__ import annotations

import base64
import re

Parameters = tuple[tuple[str, str], ...]
"""(name, value) in wire order, names as written."""

_BLANKS = " \t"
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.|\Z)", re.DOTALL)
_ASCII_BLANKS = re.compile(r"[ \t\r\n]+")


def decode_field(value: bytes) -> str:
    """Decode a header value. Bytes that are not UTF-8 survive the way back through `encode_field`."""
    return value.decode("utf-8", "surrogateescape")


def encode_field(text: str) -> bytes:
    """Encode what `decode_field` decoded."""
    return text.encode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Return `text` fit to be quoted in an error: no control characters, nothing that UTF-8 cannot hold."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def split_list(value: str) -> tuple[str, ...]:
    """Split a list at the commas that stand outside double quotes and outside `<...>`.

    Brackets count where an element begins with one and closes it, as a link does (RFC 8288 section 3).
    Elements come trimmed, with their quotes; empty ones are left out (RFC 9110 section 5.6.1.2).
    """
    elements: list[str] = []
    start = 0
    while start <= len(value):
        end = _find_bare(value, ",", _after_link(value, start))
        elements.append(value[start:end].strip(_BLANKS))
        start = end + 1
    return tuple(element for element in elements if element)


def encode_list(elements: tuple[str, ...]) -> str:
    """Join list elements, none of which may hold a bare comma."""
    return ", ".join(elements)


def parse_parameters(text: str) -> tuple[str, Parameters]:
    """Parse `first; name=value; name="quoted"`.

    `first` is raw, trimmed, quotes kept, and ends at the first `;` (outside the `<...>` it may begin with).
    """
    end = text.find(";", _after_link(text, 0))
    if end < 0:
        return text.strip(_BLANKS), ()
    return text[:end].strip(_BLANKS), parse_pairs(text[end + 1 :])


def encode_parameters(first: str, parameters: Parameters) -> str:
    """Encode the counterpart of `parse_parameters`. `first` must hold no `;`, and names no `=` or `;`."""
    return "; ".join((first, *(f"{name}={_quote_if_needed(value)}" for name, value in parameters)))


def parse_pairs(text: str) -> Parameters:
    """Parse `name=value; name="quoted"`: parameters alone. A name without `=` has an empty value."""
    pairs: list[tuple[str, str]] = []
    start = 0
    while start <= len(text):
        end = _find_bare(text, ";", start)
        name, _, value = text[start:end].partition("=")
        if name.strip(_BLANKS):
            pairs.append((name.strip(_BLANKS), _unquote(value.strip(_BLANKS))))
        start = end + 1
    return tuple(pairs)


def parameter(parameters: Parameters, name: str) -> str | None:
    """Return the first value of `name` (given in lower case; letter case is ignored), or None."""
    return next((value for key, value in parameters if key.lower() == name), None)


def unescape_cstring(text: bytes) -> bytes:
    r"""Decode the escapes `\\`, `\r`, `\n` and `\xHH` (reference 3.3, `format=cstring`).

    Another escaped character disappears together with its backslash. Raises ValueError for a backslash
    at the end and for `\x` without two hexadecimal digits.
    """
    return _ESCAPE.sub(_unescape, text)


def escape_cstring(data: bytes) -> bytes:
    r"""Encode `data` so that it may stand in a header: `;` and everything but visible ASCII is escaped."""
    return b"".join(_CSTRING_ESCAPES.get(byte, bytes((byte,))) for byte in data)


def decode_base64(text: str) -> bytes:
    """Decode base64 that may be wrapped in lines or lack its padding, as some libraries write it.

    Raises ValueError for anything outside the standard alphabet (RFC 4648 section 4).
    """
    compact = _ASCII_BLANKS.sub("", text).rstrip("=")
    return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)


def _find_bare(text: str, stop: str, start: int) -> int:
    """Return where `stop` first stands outside double quotes at or after `start`, or the length of `text`."""
    if '"' not in text:  # nearly always
        found = text.find(stop, start)
        return found if found >= 0 else len(text)
    quoted = False
    index = start
    while index < len(text):
        char = text[index]
        if char == '"':
            quoted = not quoted
        elif quoted and char == "\\":
            index += 1
        elif char == stop and not quoted:
            return index
        index += 1
    return len(text)


def _after_link(text: str, start: int) -> int:
    """Return the index behind the `<...>` that stands at `start`, or `start` when none does."""
    while start < len(text) and text[start] in _BLANKS:
        start += 1
    if not text.startswith("<", start):
        return start
    close = text.find(">", start)
    return close + 1 if close >= 0 else start


def _unquote(value: str) -> str:
    """Remove the quotes of a quoted string, and its backslashes. What follows the closing quote is dropped."""
    if not value.startswith('"'):
        return value
    out: list[str] = []
    chars = iter(value[1:])
    for char in chars:
        if char == '"':
            break
        out.append(next(chars, "") if char == "\\" else char)
    return "".join(out)


def _quote_if_needed(value: str) -> str:
    if value == value.strip(_BLANKS) and not any(char in value for char in ',;"'):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unescape(escape: re.Match[bytes]) -> bytes:
    match code := escape[1]:
        case b"":
            raise ValueError("backslash at the end")
        case b"x":
            raise ValueError("\\x without two hexadecimal digits")
        case b"r":
            return b"\r"
        case b"n":
            return b"\n"
        case b"\\":
            return b"\\"
        case _:
            return bytes.fromhex(code[1:].decode("ascii")) if code.startswith(b"x") else b""


_CSTRING_ESCAPES = {
    **{byte: b"\\x%02x" % byte for byte in range(256) if not 0x20 < byte < 0x7F or byte == ord(";")},
    ord("\\"): b"\\\\",
    ord("\r"): b"\\r",
    ord("\n"): b"\\n",
}
