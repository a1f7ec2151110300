"""Updates as server-sent events and as JSON, and server-sent events read back (reference 1.6)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.event import (
    HEARTBEAT,
    MAX_RETRY,
    Event,
    encode_event,
    encode_message,
    encode_poll,
    parse_events,
    parse_retry,
)
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId, Topic


def update(data: str = "", *, id: str = "X", type: str = "", retry: int = 0) -> Update:  # noqa: A002
    return Update(topics=(Topic("t"),), id=EventId(id), data=data, type=type, retry=retry)


# -- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "golden"),
    [
        pytest.param(
            update("a\nb\rc\r\nd\n"), b"id: X\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n", id="E01 line ends"
        ),
        pytest.param(update("\r\r\n\n"), b"id: X\ndata: \ndata: \ndata: \ndata: \n\n", id="E01 only line ends"),
        pytest.param(update("\n\r"), b"id: X\ndata: \ndata: \ndata: \n\n", id="E01 LF CR are two"),
        pytest.param(update(""), b"id: X\ndata: \n\n", id="E02 empty"),
        pytest.param(
            update("x", type="t", retry=1500, id="ID 1"), b"event: t\nretry: 1500\nid: ID 1\ndata: x\n\n", id="E03"
        ),
        pytest.param(update("x", retry=0), b"id: X\ndata: x\n\n", id="E04"),
        pytest.param(update("x", retry=MAX_RETRY), b"retry: 18446744073709551615\nid: X\ndata: x\n\n", id="most"),
        pytest.param(update(" lead"), b"id: X\ndata:  lead\n\n", id="E05"),
        pytest.param(
            update("a\u2028b\x85c\x0bd"), b"id: X\ndata: a\xe2\x80\xa8b\xc2\x85c\x0bd\n\n", id="E06 other line ends"
        ),
        pytest.param(update("id: 1"), b"id: X\ndata: id: 1\n\n", id="what looks like a field"),
    ],
)
def test_an_update_is_one_event(published: Update, golden: bytes) -> None:
    assert encode_event(published) == golden


def test_e07_a_heartbeat_is_a_comment_of_two_bytes_and_no_event() -> None:
    assert HEARTBEAT == b":\n"
    assert parse_events(HEARTBEAT) == ()


# -- JSON -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "golden"),
    [
        (update("x"), b'{"id":"X","data":"x"}'),
        (update(), b'{"id":"X","data":""}'),
        (update("x", type="t", retry=5), b'{"id":"X","type":"t","data":"x","retry":5}'),
        (update('a\n"\u2028'), b'{"id":"X","data":"a\\n\\"\xe2\x80\xa8"}'),
    ],
)
def test_an_update_is_one_message(published: Update, golden: bytes) -> None:
    assert encode_message(published) == golden


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_poll_is_answered_with_messages_and_a_cursor(count: int) -> None:
    updates = [update(f"d{index}", id=f"i{index}", retry=index) for index in range(count)]
    body = encode_poll(updates, EventId("earliest"))
    assert body.startswith(b'{"last_event_id":"earliest","updates":[')
    assert json.loads(body)["updates"] == [json.loads(encode_message(each)) for each in updates]


# -- reading events -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "events"),
    [
        pytest.param(b"data: x\n\n", [Event(data="x")], id="one"),
        pytest.param(b"data: x\n\ndata: y\n\n", [Event(data="x"), Event(data="y")], id="two"),
        pytest.param(b"data: x\r\n\r\ndata: y\r\rdata: z\n\r", [Event(data=d) for d in "xyz"], id="line ends"),
        pytest.param(b"data:x\ndata:  y\ndata\n\n", [Event(data="x\n y\n")], id="lines of data"),
        pytest.param(
            b"event: a\nid: 1\nretry: 5\ndata: x\n\n", [Event(data="x", type="a", id="1", retry=5)], id="all fields"
        ),
        pytest.param(b"data: x\nid: 1\nevent: a\n\n", [Event(data="x", type="a", id="1")], id="in any order"),
        pytest.param(b"id: 1\nid: 2\nevent: a\nevent\ndata: x\n\n", [Event(data="x", id="2")], id="last one counts"),
        pytest.param(b"id: 1\ndata: x\n\ndata: y\n\n", [Event(data="x", id="1"), Event(data="y")], id="ids stay"),
        pytest.param(b"event: a\n\ndata: y\n\n", [Event(data="y")], id="no data is no event"),
        pytest.param(b"id: 1\nretry: 5\n\n", [], id="no data at all"),
        pytest.param(b"data:\n\n", [Event(data="")], id="empty data is an event"),
        pytest.param(b":c\ndata: x\n: c\n\n", [Event(data="x")], id="comments"),
        pytest.param(b": keep-alive\n\n", [], id="a comment alone"),
        pytest.param(b":\n\n:\r\n", [], id="comments alone"),
        pytest.param(b"id: a\0b\ndata: x\n\n", [Event(data="x")], id="NUL in an id"),
        pytest.param(b"retry: 5\nretry: x\ndata: x\n\n", [Event(data="x", retry=5)], id="a bad retry"),
        pytest.param(b"retry: 18446744073709551616\ndata: x\n\n", [Event(data="x")], id="a retry too large"),
        pytest.param(b"foo: 1\nDATA: 2\ndata: x\n data: y\n\n", [Event(data="x")], id="other fields"),
        pytest.param(b"data: x", [Event(data="x")], id="unfinished"),
        pytest.param(b"data: x\n", [Event(data="x")], id="without an empty line"),
        pytest.param(b"data: a\x0b\xc2\x85\xe2\x80\xa8b\n\n", [Event(data="a\x0b\x85\u2028b")], id="no line ends"),
        pytest.param(b"hello", [Event(data="hello")], id="text"),
        pytest.param(b"hello\n", [Event(data="hello")], id="text with a newline"),
        pytest.param(b"hello\n\n", [Event(data="hello\n")], id="text with two"),
        pytest.param(b"hello: world\ndataset: 1", [Event(data="hello: world\ndataset: 1")], id="text with colons"),
        pytest.param(b"data", [Event(data="data")], id="a word"),
        pytest.param(b'{"data": 1}\n', [Event(data='{"data": 1}')], id="json"),
        pytest.param(b":)", [Event(data=":)")], id="a face is no comment"),
        pytest.param(b":)\nhello\n", [Event(data=":)\nhello")], id="a face and text"),
        pytest.param(b"", [Event(data="")], id="nothing"),
        pytest.param(b"\n", [Event(data="")], id="a newline"),
    ],
)
def test_the_events_of_an_item_are_read(content: bytes, events: list[Event]) -> None:
    assert parse_events(content) == tuple(events)


@pytest.mark.parametrize("content", [b"data: \xff\n\n", b"\xff", b"data: \xed\xa0\x80\n\n"])
def test_an_item_that_is_not_utf8_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        parse_events(content)


ANY = st.characters(codec="utf-8")
LINE = st.text(ANY, max_size=8).map(lambda text: "".join(text.split("\n")).replace("\r", "").replace("\0", ""))
UPDATES = st.builds(
    update, st.text(ANY | st.sampled_from("\r\n :"), max_size=20), id=LINE, type=LINE, retry=st.integers(0, MAX_RETRY)
)


@given(updates=st.lists(UPDATES, min_size=1, max_size=3))
def test_what_is_encoded_is_read_back_with_its_line_ends_made_newlines(updates: list[Update]) -> None:
    events = [
        Event(
            data=each.data.replace("\r\n", "\n").replace("\r", "\n"), type=each.type, id=each.id, retry=each.retry
        )
        for each in updates
    ]  # fmt: skip
    stream = HEARTBEAT + b"".join(map(encode_event, updates))
    assert parse_events(stream) == tuple(events)
    assert parse_events(stream.replace(b"\n", b"\r\n")) == tuple(events)


@given(content=st.lists(st.sampled_from([b"data", b"id", b":", b" ", b"\r", b"\n", b"\xff", b"1"])).map(b"".join))
def test_any_item_gives_events_or_the_documented_error(content: bytes) -> None:
    try:
        text = content.decode()
    except ValueError:
        with pytest.raises(ValueError, match="utf-8"):
            parse_events(content)
        return
    for event in parse_events(content):
        assert "\r" not in event.id + event.type
        assert set(event.data) <= {*text, "\n"}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1500", 1500),
        ("007", 7),
        ("0" * 5000, 0),
        ("0" * 5000 + "1", 1),
        ("18446744073709551615", MAX_RETRY),
        ("18446744073709551616", None),
        ("9" * 5000, None),
        ("", None),
        ("abc", None),
        ("-1", None),
        ("+5", None),
        (" 5", None),
        ("5\n", None),
        ("1.5", None),
        ("1_0", None),
        ("\N{ARABIC-INDIC DIGIT FIVE}", None),
    ],
)
def test_p06_a_retry_is_ascii_digits(text: str, number: int | None) -> None:
    assert parse_retry(text) == number
