from __future__ import annotations

import pytest

from handlers.protocol.http1 import Headers
from proxy.protocol.ws_events import Event, EventKind, EventsError
from proxy.protocol.ws_exchange import META_LIMIT, EventsAnswer, Meta, meta_fault, parse_answer


def test_an_answer_without_headers_changes_nothing_and_accepts_all() -> None:
    assert parse_answer((), b"") == EventsAnswer(events=(), set_meta=(), keep_alive_interval=None, accepted=None)


def test_an_answer_is_parsed_whole() -> None:
    headers = (
        (b"Server", b"x"),
        (b"Content-Bytes-Accepted", b"7"),
        (b"Set-Meta-User", b"alice"),
        (b"Keep-Alive-Interval", b"30"),
    )
    assert parse_answer(headers, b"OPEN\r\n") == EventsAnswer(
        events=(Event(kind=EventKind.OPEN),),
        set_meta=((b"User", b"alice"),),
        keep_alive_interval=30,
        accepted=7,
    )


@pytest.mark.parametrize(
    ("value", "interval"),
    [
        (b"20", 20),
        (b"21", 21),
        (b"+21", 21),
        (b" 3600\t", 3600),
        (b"999999999", 999999999),
        # Below the least interval.
        (b"19", 20),
        (b"1", 20),
        # Off.
        (b"0", 0),
        (b"-1", 0),
        (b"", 0),
        (b"off", 0),
        (b"30s", 0),
        (b"30.5", 0),
        (b"3_0", 0),
        (b"1000000000", 0),
        (b"\xb2\xb3", 0),
    ],
)
def test_an_interval_is_a_number_or_off(value: bytes, interval: int) -> None:
    assert parse_answer(((b"keep-alive-interval", value),), b"").keep_alive_interval == interval


@pytest.mark.parametrize(
    ("headers", "meta"),
    [
        (((b"Set-Meta-User", b"alice"),), ((b"User", b"alice"),)),
        (((b"sEt-mEtA-User-Id", b" 7 "),), ((b"User-Id", b"7"),)),
        (((b"Set-Meta-User", b" "),), ((b"User", b""),)),
        (((b"Set-Meta-A", b"1"), (b"X", b"y"), (b"Set-Meta-A", b"2")), ((b"A", b"1"), (b"A", b"2"))),
        (((b"Set-Meta-", b"1"), (b"Set-Metal", b"1"), (b"Meta-A", b"1"), (b"X-Set-Meta-A", b"1")), ()),
    ],
)
def test_meta_is_what_set_meta_headers_say(headers: Headers, meta: Meta) -> None:
    assert parse_answer(headers, b"").set_meta == meta


@pytest.mark.parametrize(("value", "count"), [(b"0", 0), (b"007", 7), (b" 12 ", 12)])
def test_accepted_bytes_are_a_number(value: bytes, count: int) -> None:
    assert parse_answer(((b"content-bytes-ACCEPTED", value),), b"").accepted == count


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"0x1", b"1_0", b"1.0", b"all", b"1, 1", b"1" * 16])
def test_accepted_bytes_that_are_no_number_are_not_guessed_at(value: bytes) -> None:
    with pytest.raises(EventsError, match="Content-Bytes-Accepted is not a number"):
        parse_answer(((b"Content-Bytes-Accepted", value),), b"")


def test_of_a_repeated_header_the_first_line_counts() -> None:
    headers = (
        (b"Content-Bytes-Accepted", b"1"),
        (b"Content-Bytes-Accepted", b"2"),
        (b"Keep-Alive-Interval", b"30"),
        (b"Keep-Alive-Interval", b"60"),
    )
    answer = parse_answer(headers, b"")
    assert (answer.accepted, answer.keep_alive_interval) == (1, 30)


def test_an_unsound_body_is_refused() -> None:
    with pytest.raises(EventsError):
        parse_answer((), b"OPEN")


def test_meta_that_would_fill_each_request_is_a_fault() -> None:
    assert meta_fault(((b"a", b"x" * (META_LIMIT - 1)),)) is None
    assert meta_fault(((b"a", b"x" * (META_LIMIT - 2)), (b"b", b"y"))) == "the backend has set too much meta"
