"""Events of WebSocket-over-HTTP as frames, and frames as events.

Used by `proxy.over_http`. Events' contents come unjudged (`ws_events`); what no client may be sent stops here.
"""

from __future__ import annotations

from typing import Final

from handlers.protocol.format_json import CONTROL_FRAME_LIMIT, as_text
from handlers.protocol.ws_frames import CloseReason, Frame, Opcode
from proxy.protocol.ws_events import Event, EventKind, EventsError

_KINDS: Final = {
    Opcode.TEXT: EventKind.TEXT,
    Opcode.BINARY: EventKind.BINARY,
    Opcode.PING: EventKind.PING,
    Opcode.PONG: EventKind.PONG,
    Opcode.CLOSE: EventKind.CLOSE,
}
_OPCODES: Final = {kind: opcode for opcode, kind in _KINDS.items()}


def message_event(opcode: Opcode, content: bytes) -> Event:
    """Return the event that tells a backend of a client's whole message, ping, pong or close."""
    return Event(kind=_KINDS[opcode], content=content)


def event_frame(event: Event) -> Frame:
    """Return the frame that a backend's event is for the client. Raises EventsError for one that no client may get."""
    match event.kind:
        case EventKind.TEXT if as_text(event.content) is None:
            raise EventsError("a TEXT event's content is not UTF-8")
        case EventKind.PING | EventKind.PONG if len(event.content) > CONTROL_FRAME_LIMIT:
            raise EventsError(f"a {event.kind.name} event's content is longer than {CONTROL_FRAME_LIMIT} bytes")
        case _:
            pass
    return Frame(_OPCODES[event.kind], event.content)


def read_close(content: bytes) -> CloseReason:
    """Return what a CLOSE event says, whatever it says: whoever sends it puts it right."""
    code = int.from_bytes(content[:2], "big") if len(content) >= 2 else None
    return CloseReason(code=code, reason=content[2:].decode("utf-8", "replace"))
