"""Which requests may have one answer between them, and which answers may be several requests' (reference 3.15).

Asked by `proxy.sharing`. Unlike Pushpin, which goes by method and URI alone and so hands one user's answer to another,
requests are equal only if their backend would be sent the same bytes, and an answer that is somebody's own is no
other's.
"""

from __future__ import annotations

from typing import Final

from handlers.protocol.grip import is_grip
from handlers.protocol.http1 import Headers, header_values

# It differs from second to second, and says only that it is we who ask.
_SIGNATURE: Final = b"grip-sig"
_PERSONAL: Final = frozenset((b"set-cookie", b"grip-session-id"))
_OWN: Final = frozenset((b"private", b"no-store"))
_EVENT_STREAM: Final = b"text/event-stream"

RequestKey = tuple[bytes, Headers]
"""The path with its query, and the headers; Host is among them."""


def request_key(path: bytes, headers: Headers) -> RequestKey:
    """Return that by which GETs to one place are told apart. `headers` are as the backend is sent them."""
    return path, tuple([pair for pair in headers if pair[0].lower() != _SIGNATURE])


def may_share(headers: Headers) -> bool:
    """Say whether an answer with these headers may be given to several.

    Not one that sets a cookie or names a session, nor one that its backend says is for one only (RFC 9111 section
    5.2.2) or would not be the same again (`Vary: *`), nor a stream that goes on, which others would wait for in vain.
    """
    if any(name.lower() in _PERSONAL for name, _ in headers) or b"*" in header_values(headers, b"vary"):
        return False
    if any(
        _name(directive) in _OWN for line in header_values(headers, b"cache-control") for directive in line.split(b",")
    ):
        return False
    types = header_values(headers, b"content-type")
    return is_grip(headers) or not any(kind.lower().startswith(_EVENT_STREAM) for kind in types)


def _name(directive: bytes) -> bytes:
    return directive.partition(b"=")[0].strip(b" \t").lower()
