"""The opening handshake of a WebSocket, as a server to clients and as a client to backends (RFC 6455 section 4).

Used by `proxy.websocket`. Whether a request asks for a WebSocket at all is `RequestHead.is_websocket`; extensions
towards clients are `handlers.protocol.ws_deflate`'s matter. What a backend said beside the handshake passes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection

from websockets.utils import accept_key

from handlers.protocol.http1 import Headers, encode_head, header_values, without_headers
from proxy.protocol.headers import response_headers
from proxy.protocol.request_head import RequestHead

INVALID = (
    'Request contained an Upgrade header with value "websocket" but the request was not a valid WebSocket request.'
)
"""Pushpin's text (reference 2.6)."""

VERSION = b"13"
KEY_BYTES = 16

# Said anew by whoever accepts the client, or between us and the backend alone (reference 4.3).
_OWN = frozenset(
    (b"connection", b"upgrade", b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-version")
)
_EVENTS_ONLY = frozenset((b"content-type", b"content-length", b"keep-alive-interval", b"content-bytes-accepted"))


class HandshakeError(Exception):
    """The client's fault: 400, or 426 for a version that is not spoken here (RFC 6455 section 4.4)."""

    def __init__(self, status: int, headers: Headers = ()) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class SwitchError(Exception):
    """The backend's fault: a 101 that is no acceptance of our handshake. `str(error)` says why, for the log."""


def check_handshake(head: RequestHead) -> bytes:
    """Return the key of a client's handshake (RFC 6455 section 4.2.1). Raises HandshakeError."""
    versions = header_values(head.headers, b"sec-websocket-version")
    keys = header_values(head.headers, b"sec-websocket-key")
    if head.method != b"GET" or head.chunked or head.content_length or len(keys) != 1 or len(versions) != 1:
        raise HandshakeError(400)
    if versions[0] != VERSION:
        raise HandshakeError(426, ((b"Sec-WebSocket-Version", VERSION),))
    try:
        is_key = len(base64.b64decode(keys[0], validate=True)) == KEY_BYTES
    except binascii.Error:
        is_key = False
    if not is_key:
        raise HandshakeError(400)
    return keys[0]


def encode_acceptance(key: bytes, headers: Headers, *, extension: bytes | None) -> bytes:
    """Encode the 101 for a client's handshake with `key`. `headers` are as `accepted_headers` has them."""
    lines = [*headers, (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
    lines.append((b"Sec-WebSocket-Accept", accept_value(key)))
    if extension is not None:
        lines.append((b"Sec-WebSocket-Extensions", extension))
    return encode_head(version=b"1.1", status=101, reason=b"Switching Protocols", headers=lines)


def accepted_headers(headers: Headers, *, grip: bool) -> Headers:
    """Return what a client gets of the headers with which a backend accepts, by 101 or by events (reference 4.3)."""
    passed = response_headers(headers, grip=grip, keep_length=False)
    passed = without_headers(passed, _OWN | _EVENTS_ONLY)
    return tuple(pair for pair in passed if not pair[0].lower().startswith(b"set-meta-"))


def upgrade_headers(headers: Headers, *, key: bytes, extension: bytes | None) -> Headers:
    """Turn the headers for a backend into a handshake of ours: our key, and no extension that is not ours."""
    passed = without_headers(headers, (b"sec-websocket-key", b"sec-websocket-extensions", b"connection", b"upgrade"))
    added: Headers = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", key))
    return passed + added + (((b"Sec-WebSocket-Extensions", extension),) if extension is not None else ())


def check_switch(headers: Headers, *, key: bytes, extensions: Collection[bytes]) -> None:
    """Check a backend's 101 against the handshake with `key`, which offered `extensions`. Raises SwitchError.

    RFC 6455 section 4.1 has the client fail the connection for each of these but the last: a 101 has no body (RFC 9110
    section 15.2), and whoever takes the first frames for one loses them.
    """
    options = b",".join(header_values(headers, b"connection")).lower().split(b",")
    if b"upgrade" not in (option.strip() for option in options):
        raise SwitchError("no Connection: Upgrade")
    if [value.strip().lower() for value in header_values(headers, b"upgrade")] != [b"websocket"]:
        raise SwitchError("no Upgrade: websocket")
    if [value.strip() for value in header_values(headers, b"sec-websocket-accept")] != [accept_value(key)]:
        raise SwitchError("wrong Sec-WebSocket-Accept")
    for value in header_values(headers, b"sec-websocket-extensions"):
        for extension in value.split(b","):
            name = extension.partition(b";")[0].strip()
            if name and name not in extensions:
                raise SwitchError("an extension that was not offered")
    lengths = header_values(headers, b"content-length")
    if header_values(headers, b"transfer-encoding") or any(length.strip(b" \t0") for length in lengths):
        raise SwitchError("a body")


def accept_value(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers `key`."""
    return accept_key(key.decode("latin-1")).encode()
