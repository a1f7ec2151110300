"""Header lines of the hub's answers (reference 1.5, 6.2 point 4).

Used by whoever writes heads for the hub. CORS headers are `proxy.protocol.cors`, challenges are `identity`, those of
the subscription API are `subscription`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from handlers.protocol.http1 import Headers
from handlers.protocol.names import EventId

SECURITY_HEADERS: Final[Headers] = (
    (b"Content-Security-Policy", b"default-src 'self'"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"X-Xss-Protection", b"1; mode=block"),
)
"""On every answer of the hub but 421."""

STREAM_HEADERS: Final[Headers] = (
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"private, no-cache, no-store, must-revalidate, max-age=0"),
    (b"Pragma", b"no-cache"),
    # The reference hub writes `Expire`, which means nothing (defect B16).
    (b"Expires", b"0"),
    (b"X-Accel-Buffering", b"no"),
)
"""On an event stream. On HTTP/1.1 `Connection: keep-alive` goes with them, which is the connection's to say."""

TEXT_HEADERS: Final[Headers] = ((b"Content-Type", b"text/plain; charset=utf-8"),)
"""On an error's text and on the id that a publisher is answered."""

EARLIEST: Final = EventId("earliest")
"""The cursor before every update."""

_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


class Dialects(Protocol):
    """What of the hub's settings decides names and paths."""

    @property
    def protocols(self) -> Sequence[str]:
        """Dialects that are spoken."""
        ...


def cursor_headers(cursor: EventId | None, settings: Dialects) -> Headers:
    """Encode where a stream begins, in every dialect that has a header for it; the one of 2019 has none.

    `cursor` is the id after which the stream goes on, or `EARLIEST`. None, for a request without a cursor, gives no
    header.
    """
    if cursor is None:
        return ()
    value = event_id_bytes(cursor)
    names = []
    if "1.0" in settings.protocols:
        names.append(b"Mercure-Last-Event-ID")
    if "8" in settings.protocols or "7" in settings.protocols:
        names.append(b"Last-Event-ID")
    return tuple((name, value) for name in names)


def event_id_bytes(event_id: EventId) -> bytes:
    """Encode an id as it may stand in a header: its UTF-8, as it is (reference 1.11).

    Ids that were accepted hold no control characters. Should one hold some nevertheless, they are percent-encoded, so
    that no id ever ends a header line; a client sees another id than it knows then, and takes that for a loss.
    """
    return _CONTROL.sub(lambda found: b"%%%02X" % found[0][0], event_id.encode("utf-8", "replace"))
