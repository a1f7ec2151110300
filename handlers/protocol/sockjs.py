"""What SockJS clients are sent, and what they send: frames of text, a letter and perhaps some JSON (reference 8.1).

The same frames go by every transport of SockJS 0.3.3; each wraps them in its own way. Used by the sessions of
`handlers.sockjs` and by `proxy.sockjs`.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable
from typing import Final

from handlers.protocol.ws_frames import CloseCode, CloseReason

OPEN: Final = b"o"
HEARTBEAT: Final = b"h"

NO_CODE: Final = 3000
"""What a client is told where a close has no code of its own."""
STILL_OPEN: Final = CloseReason(code=2010, reason="Another connection still open")
INTERRUPTED: Final = CloseReason(code=CloseCode.PROTOCOL_ERROR, reason="Connection interrupted")

PAYLOAD_EXPECTED: Final = "Payload expected"
TOO_LARGE: Final = "Message too large"

_PRELUDE_BYTES: Final = 2048
"""Bytes that some clients must have got before they show a page's script what came: old Internet Explorers."""
_HTML_BYTES: Final = 1024

# SockJS has a list of characters that one browser or another loses or changes on the way: control characters, halves of
# surrogates, combining ones, all that Unicode normalisation touches. Escaping more than that does no harm; so the rest
# is put the other way round: letters of the scripts that most is written in stay as they are, for the size of it.
_ESCAPED: Final = re.compile(
    r"[^\x20-\x7e\xa1-\xac\xae-\u02af\u0388-\u03ff\u0400-\u0482\u048a-\u052f\u05d0-\u05ea\u0620-\u064a\u0671-\u06d3"
    r"\u0905-\u0939\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u2010-\u2027\u2030-\u203e\u20a0-\u20bf\u2190-\u22ff\u3001-\u3029\u3041-\u3096"
    r"\u309b-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uffee]"
)
_QUOTED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL: Final = re.compile(r'["\\]')
_CALLBACK: Final = re.compile(r"[A-Za-z0-9_$.\-]{1,200}")


class Wrapping(enum.Enum):
    """How a transport wraps a frame; the values are what its path ends in."""

    XHR = "xhr"
    XHR_STREAMING = "xhr_streaming"
    EVENT_SOURCE = "eventsource"
    HTML_FILE = "htmlfile"
    JSONP = "jsonp"

    @property
    def is_streaming(self) -> bool:
        """Whether one answer has many frames."""
        return self in (Wrapping.XHR_STREAMING, Wrapping.EVENT_SOURCE, Wrapping.HTML_FILE)

    @property
    def wants_callback(self) -> bool:
        """Whether the client names a function of its page that is to be called."""
        return self in (Wrapping.HTML_FILE, Wrapping.JSONP)


class PayloadError(Exception):
    """What a client sends is not what a transport takes; `str(error)` is what it is told."""


def encode_string(text: str) -> bytes:
    """Encode a JSON string of characters that every browser takes as they are."""
    quoted = _SPECIAL.sub(lambda found: _QUOTED[found[0]], text)
    return b'"%b"' % _ESCAPED.sub(_escape, quoted).encode()


def encode_message(content: bytes) -> bytes | None:
    """Encode a WebSocket message's content; None for what is not text."""
    try:
        return encode_string(content.decode())
    except UnicodeDecodeError:
        return None


def join_messages(messages: Iterable[bytes]) -> bytes:
    """Make one frame of messages that `encode_message` has encoded."""
    return b"a[%b]" % b",".join(messages)


def encode_closed(reason: CloseReason) -> bytes:
    """Encode the frame that says that the session has ended."""
    code = NO_CODE if reason.code is None else reason.code
    return b"c[%d,%b]" % (code, encode_string(reason.reason))


def parse_payload(body: bytes, *, limit: int) -> tuple[bytes, ...]:
    """Read a JSON array of strings, each a message, into UTF-8. Raises PayloadError.

    `limit` is for each message, in bytes. Halves of surrogates are replaced, as browsers do before a WebSocket sends.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PayloadError(PAYLOAD_EXPECTED) from error
    if not isinstance(found, list):
        raise PayloadError(PAYLOAD_EXPECTED)
    return tuple([_read_message(each, limit) for each in found])


def parse_socket_payload(text: bytes, *, limit: int) -> tuple[bytes, ...]:
    """Read what comes by a framed WebSocket: an array as above, or a string alone. An empty message is none."""
    if not text:
        return ()
    is_array = text.lstrip().startswith(b"[")
    return parse_payload(text if is_array else b"[%b]" % text, limit=limit)


def is_callback(name: bytes) -> bool:
    """Say whether a client may have us write `name` into a script."""
    return _CALLBACK.fullmatch(name.decode("latin-1")) is not None


def wrap(wrapping: Wrapping, frame: bytes, callback: bytes = b"") -> bytes:
    """Wrap a frame as its transport has it."""
    match wrapping:
        case Wrapping.XHR | Wrapping.XHR_STREAMING:
            return frame + b"\n"
        case Wrapping.EVENT_SOURCE:
            return b"data: %b\r\n\r\n" % frame
        case Wrapping.HTML_FILE:
            return b"<script>\np(%b);\n</script>\r\n" % encode_script(frame)
        case Wrapping.JSONP:
            # The comment keeps others from having a Flash file served as a script.
            return b"/**/%b(%b);\n" % (callback, encode_script(frame))


def prelude(wrapping: Wrapping, callback: bytes = b"") -> bytes:
    """Return what stands in front of a streaming transport's first frame."""
    match wrapping:
        case Wrapping.XHR_STREAMING:
            return HEARTBEAT * _PRELUDE_BYTES + b"\n"
        case Wrapping.EVENT_SOURCE:
            return b"\r\n"
        case Wrapping.HTML_FILE:
            page = _HTML % callback
            return page + b" " * max(0, _HTML_BYTES - len(page)) + b"\r\n\r\n"
        case Wrapping.XHR | Wrapping.JSONP:
            return b""


_HTML: Final = b"""\
<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body>
  <script>
    document.domain = document.domain;
    var c = parent.%b;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
"""


def encode_script(frame: bytes) -> bytes:
    """Encode a frame as a string in a script, which nothing in it can end."""
    return encode_string(frame.decode()).replace(b"<", b"\\u003c")


def _read_message(found: object, limit: int) -> bytes:
    if not isinstance(found, str):
        raise PayloadError(PAYLOAD_EXPECTED)
    try:
        message = found.encode()
    except UnicodeEncodeError:
        message = found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    if len(message) > limit:
        raise PayloadError(TOO_LARGE)
    return message


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in _QUOTED:
        return _QUOTED[character]
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
