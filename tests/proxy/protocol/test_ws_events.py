from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.ws_events import Event, EventKind, EventsError, encode_events, parse_events

NO_LINE = "an event's line does not end in CRLF"
NO_SIZE = "an event's size is not a hexadecimal number of at most eight digits"
SHORT = "an event's content is shorter than announced"
NO_END = "an event's content does not end in CRLF where announced"


def event(kind: str, content: bytes = b"") -> Event:
    return Event(kind=EventKind[kind], content=content)


# A body in Pushpin's form, and its events.
BODIES = [
    (b"", ()),
    (b"OPEN\r\n", (event("OPEN"),)),
    (b"TEXT 5\r\nhello\r\n", (event("TEXT", b"hello"),)),
    (b"TEXT 3\r\na -\r\nPING\r\n", (event("TEXT", b"a -"), event("PING"))),
    (b"TEXT\r\n", (event("TEXT"),)),
    (b"BINARY\r\n", (event("BINARY"),)),
    (b"BINARY 3\r\n\x00\r\n\r\n", (event("BINARY", b"\x00\r\n"),)),
    (b"PING\r\nPONG\r\n", (event("PING"), event("PONG"))),
    (b"PING 1\r\na\r\nPONG 2\r\nbc\r\n", (event("PING", b"a"), event("PONG", b"bc"))),
    (b"TEXT 10\r\n0123456789abcdef\r\nTEXT\r\n", (event("TEXT", b"0123456789abcdef"), event("TEXT"))),
    (b"TEXT 1a\r\n" + b"x" * 26 + b"\r\n", (event("TEXT", b"x" * 26),)),
    (b"TEXT 6\r\nOPEN\r\n\r\nCLOSE\r\n", (event("TEXT", b"OPEN\r\n"), event("CLOSE"))),
    (b"CLOSE 5\r\n\x03\xe8bye\r\n", (event("CLOSE", b"\x03\xe8bye"),)),
    (b"DISCONNECT\r\n", (event("DISCONNECT"),)),
]

# A body in a form we read and don't write, and its events.
READ_ONLY = [
    (b"TEXT 0\r\n\r\n", (event("TEXT"),)),
    (b"TEXT 00000002\r\nab\r\n", (event("TEXT", b"ab"),)),
    (b"TEXT 1A\r\n" + b"x" * 26 + b"\r\n", (event("TEXT", b"x" * 26),)),
    (b"OPEN 0\r\n\r\nTEXT 0\r\n\r\n", (event("OPEN"), event("TEXT"))),
    (b"HELLO\r\nOPEN\r\nHELLO 4\r\nPING\r\nPONG\r\n", (event("OPEN"), event("PONG"))),
    (b"open\r\nText 1\r\na\r\n\r\n", ()),
    (b"CLOSE\r\nTEXT 1\r\na\r\n", (event("CLOSE"),)),
    (b"PING\r\nDISCONNECT\r\nOPEN", (event("PING"), event("DISCONNECT"))),
    (b"CLOSE 2\r\n\x03\xe8\r\nTEXT -1\r\n", (event("CLOSE", b"\x03\xe8"),)),
]

UNSOUND = [
    *((body, NO_LINE) for body in (b"OPEN", b"OPEN\n", b"OPEN\r", b"OPEN\r\nTEXT 1", b"TEXT 5\nhello\n")),
    *(
        (b"TEXT %b\r\na\r\n" % size, NO_SIZE)
        for size in (b"", b" 1", b"1 ", b"+1", b"-1", b"0x1", b"g", b"1;a", b"\t1")
    ),
    *((b"TEXT %b\r\n0123456789abcdefg\r\n" % size, NO_SIZE) for size in (b"1_1", b"000000001", b"1\n", b"\xb2")),
    (b"HELLO x\r\n", NO_SIZE),
    (b"TEXT 6\r\nhello", SHORT),
    (b"TEXT ffffffff\r\nhello\r\n", SHORT),
    (b"TEXT 5\r\nhello", NO_END),
    (b"TEXT 5\r\nhello\r", NO_END),
    (b"TEXT 5\r\nhello\n\r", NO_END),
    (b"TEXT 4\r\nhello\r\n", NO_END),
    (b"TEXT 6\r\nhello\r\n", NO_END),
    (b"TEXT 7\r\nhello\r\n", NO_END),
    (b"TEXT 0\r\n", NO_END),
    (b"TEXT 0\r\nTEXT\r\n", NO_END),
]


@pytest.mark.parametrize(("body", "events"), BODIES)
def test_events_are_written_and_read(body: bytes, events: tuple[Event, ...]) -> None:
    assert encode_events(events) == body
    assert parse_events(body) == events


@pytest.mark.parametrize(("body", "events"), READ_ONLY)
def test_what_pushpin_reads_is_read(body: bytes, events: tuple[Event, ...]) -> None:
    assert parse_events(body) == events


@pytest.mark.parametrize(("body", "reason"), UNSOUND)
def test_an_unsound_body_is_refused(body: bytes, reason: str) -> None:
    for before in (b"", b"OPEN\r\n", b"TEXT 2\r\n\r\n\r\n"):
        with pytest.raises(EventsError) as caught:
            parse_events(before + body)
        assert caught.value.reason == str(caught.value) == reason


@pytest.mark.parametrize(("body", "events"), [*BODIES, *READ_ONLY])
def test_a_body_cut_short_is_the_events_before_the_cut_or_refused(body: bytes, events: tuple[Event, ...]) -> None:
    for end in range(len(body)):
        try:
            parsed = parse_events(body[:end])
        except EventsError:
            continue
        assert parsed == events[: len(parsed)]


@given(st.binary(max_size=60) | st.text("TEXPING 012a\r\n", max_size=60).map(str.encode))
def test_any_bytes_are_events_or_refused(body: bytes) -> None:
    try:
        events = parse_events(body)
    except EventsError:
        return
    assert parse_events(encode_events(events)) == events


MESSAGES = st.sampled_from([kind for kind in EventKind if kind not in (EventKind.CLOSE, EventKind.DISCONNECT)])


@given(st.lists(st.builds(Event, kind=MESSAGES, content=st.binary(max_size=40))))
def test_events_come_out_as_they_went_in(events: list[Event]) -> None:
    assert parse_events(encode_events(events)) == tuple(events)
