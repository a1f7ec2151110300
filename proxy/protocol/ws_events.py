r"""The codec of `application/websocket-events`: a WebSocket's messages as the body of a request or an answer.

The body is `EVENT[ SIZE]\r\n[CONTENT\r\n]`, concatenated (reference 4.1). `ws_exchange` parses answers with it
and `ws_over_http` writes requests. Here no event has a meaning, but that nothing is read behind CLOSE and DISCONNECT.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

EVENTS_TYPE: Final = b"application/websocket-events"

_CRLF: Final = b"\r\n"
# No sign, no 0x, no underscore, no white space, all of which int() takes. Eight digits are far above any body.
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")


class EventsError(Exception):
    """The backend's fault: its answer is not what it says it is. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


@enum.unique
class EventKind(enum.Enum):
    """Every event there is, with its name on the wire. Names know letter case."""

    OPEN = b"OPEN"
    TEXT = b"TEXT"
    BINARY = b"BINARY"
    PING = b"PING"
    PONG = b"PONG"
    CLOSE = b"CLOSE"
    DISCONNECT = b"DISCONNECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. A CLOSE's content is as in its frame: nothing, or the code in two bytes and a reason in UTF-8.

    Contents are not judged here: a TEXT's may be no UTF-8, a CLOSE's code may be one that must not be sent.
    """

    kind: EventKind
    content: bytes = b""


_KINDS: Final = {kind.value: kind for kind in EventKind}
_LAST: Final = frozenset((EventKind.CLOSE, EventKind.DISCONNECT))


def encode_events(events: Iterable[Event]) -> bytes:
    """Encode a body. What has no content has no size, a text or binary message neither, as Pushpin sends them."""
    return b"".join(map(_encode, events))


def parse_events(body: bytes) -> tuple[Event, ...]:
    """Parse a body up to the first CLOSE or DISCONNECT, behind which anything may stand. An empty one is no events.

    Unknown events are left out together with their contents. Raises EventsError for a line without its end, for a
    size that is none, and for a content that is not as long as announced, which Pushpin does not notice.
    """
    events: list[Event] = []
    position = 0
    while position < len(body):
        name, content, position = _parse_one(body, position)
        kind = _KINDS.get(name)
        if kind is None:
            continue
        events.append(Event(kind=kind, content=content))
        if kind in _LAST:
            break
    return tuple(events)


def _encode(event: Event) -> bytes:
    if not event.content:
        return event.kind.value + _CRLF
    return b"%b %x\r\n%b\r\n" % (event.kind.value, len(event.content), event.content)


def _parse_one(body: bytes, position: int) -> tuple[bytes, bytes, int]:
    """Return the name, the content, and where the next event begins."""
    end = body.find(_CRLF, position)
    if end < 0:
        raise EventsError("an event's line does not end in CRLF")
    name, blank, size = body[position:end].partition(b" ")
    start = end + 2
    if not blank:
        return name, b"", start
    if not _SIZE.fullmatch(size):
        raise EventsError("an event's size is not a hexadecimal number of at most eight digits")
    end = start + int(size, 16)
    if end > len(body):
        raise EventsError("an event's content is shorter than announced")
    if not body.startswith(_CRLF, end):
        raise EventsError("an event's content does not end in CRLF where announced")
    return name, body[start:end], end + 2
