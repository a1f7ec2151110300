"""Events as frames for the client, and frames as events for the backend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.ws_frames import CloseReason, Opcode, encode_close_payload, parse_close
from proxy.protocol.ws_event_frames import event_frame, message_event, read_close
from proxy.protocol.ws_events import Event, EventKind, EventsError

MESSAGES = [
    (Opcode.TEXT, EventKind.TEXT),
    (Opcode.BINARY, EventKind.BINARY),
    (Opcode.PING, EventKind.PING),
    (Opcode.PONG, EventKind.PONG),
]


@pytest.mark.parametrize(("opcode", "kind"), MESSAGES)
@pytest.mark.parametrize("content", [b"", b"hello", "h\u00e9".encode(), b"x" * 125])
def test_a_message_is_the_same_both_ways(opcode: Opcode, kind: EventKind, content: bytes) -> None:
    assert message_event(opcode, content) == Event(kind=kind, content=content)
    frame = event_frame(Event(kind=kind, content=content))
    assert (frame.opcode, frame.data, frame.fin, frame.rsv1) == (opcode, content, True, False)


def test_a_clients_close_is_an_event_with_its_payload() -> None:
    assert message_event(Opcode.CLOSE, b"\x03\xe8bye") == Event(kind=EventKind.CLOSE, content=b"\x03\xe8bye")


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Event(kind=EventKind.TEXT, content=b"\xff"), "not UTF-8"),
        (Event(kind=EventKind.TEXT, content=b"\xed\xa0\x80"), "not UTF-8"),
        (Event(kind=EventKind.TEXT, content=b"caf\xc3"), "not UTF-8"),
        (Event(kind=EventKind.PING, content=b"x" * 126), "PING event's content is longer than 125"),
        (Event(kind=EventKind.PONG, content=b"x" * 126), "PONG event's content is longer than 125"),
    ],
    ids=["no text", "half a surrogate", "half a character", "long ping", "long pong"],
)
def test_what_no_client_may_get_is_an_error(event: Event, why: str) -> None:
    with pytest.raises(EventsError, match=why):
        event_frame(event)


def test_binary_is_not_judged() -> None:
    assert event_frame(Event(kind=EventKind.BINARY, content=b"\xff" * 1000)).data == b"\xff" * 1000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", CloseReason()),
        (b"\x03", CloseReason()),
        (b"\x03\xe8", CloseReason(code=1000)),
        (b"\x0f\xa0no", CloseReason(code=4000, reason="no")),
        (b"\x00\x00", CloseReason(code=0)),
        (b"\x03\xe9\xff", CloseReason(code=1001, reason="\ufffd")),
    ],
)
def test_a_close_is_read_whatever_it_says(content: bytes, reason: CloseReason) -> None:
    assert read_close(content) == reason


@given(st.binary())
def test_any_close_can_be_sent_on(content: bytes) -> None:
    payload = encode_close_payload(read_close(content))
    assert len(payload) <= 125
    parse_close(payload)
