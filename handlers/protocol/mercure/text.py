"""Which text the Mercure protocol allows, how refused text is shown, and where patterns may be filed (reference 1.7).

Topics, ids, types and matcher values are checked here by those who parse requests and tokens. Callers decode UTF-8 with
`surrogateescape`, so that bytes that are none become lone surrogates; those are never allowed.
"""

from __future__ import annotations

import re

SLASHES = 16
"""An anchor has at most this many slashes ..."""
ANCHOR_LENGTH = 256
"""... and characters, so that a topic has few anchors, however long it is."""

# Category Cf of Unicode 17, which the protocol names; Python 3.11 knows Unicode 14 and would let some through.
_FORMAT = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f"
)
_FORBIDDEN = re.compile(f"[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff{_FORMAT}]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_GO_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}


def is_plain_text(value: str) -> bool:
    """Say whether `value` is valid UTF-8 without control (C0, DEL, C1) and format characters (category Cf)."""
    return _FORBIDDEN.search(value) is None


def is_utf8(value: str) -> bool:
    """Say whether `value` came from valid UTF-8."""
    return _SURROGATE.search(value) is None


def quote_go(value: str) -> str:
    """Put `value` in double quotes, escaped as Go's `%q` does: what cannot be printed becomes ASCII."""
    return f'"{"".join(map(_quoted, value))}"'


def slash_prefixes(value: str) -> tuple[str, ...]:
    """Return the beginnings of `value` that end in a slash, shortest first, up to the bounds of an anchor.

    Those of a beginning of `value` are among them: this is what lets a pattern be found by its literal beginning.
    """
    prefixes: list[str] = []
    end = value.find("/", 0, ANCHOR_LENGTH) + 1
    while end and len(prefixes) < SLASHES:
        prefixes.append(value[:end])
        end = value.find("/", end, ANCHOR_LENGTH) + 1
    return tuple(prefixes)


def _quoted(character: str) -> str:
    escape = _GO_ESCAPES.get(character)
    if escape is not None:
        return escape
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code <= 0xDFFF:  # as UTF-8 has no such character, Go sees three bytes that are none
        return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogatepass"))
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
