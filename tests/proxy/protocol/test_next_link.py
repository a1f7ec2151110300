"""What follows from the answer to a next link, and when a link that failed is tried again."""

from __future__ import annotations

import pytest

from handlers.protocol.grip import parse_instruct
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import Instruct, NextLink
from proxy.protocol.next_link import (
    PAGES,
    PAUSE,
    End,
    GoOn,
    HoldAgain,
    NextLinkFetch,
    Pages,
    Sequel,
    encoding_of,
    fault_of,
    is_success,
    unlinked_channel,
)

LINK = (b"Grip-Link", b"</x>; rel=next; timeout=7")
NEXT = NextLink(uri="/x", timeout=7)
STREAM = (b"Grip-Hold", b"stream")
ORDERED = (b"Grip-Channel", b"room; prev-id=1")


def instruct(*headers: tuple[bytes, bytes]) -> Instruct:
    return parse_instruct(status=200, reason=b"OK", headers=headers, body=None)


def test_it_is_tried_again_five_times_later_and_later() -> None:
    fetch, now, waits = NextLinkFetch(), 100.0, []
    while (due := fetch.failed(now, 0.5)) is not None:
        waits.append(due - now)
        now = due
    assert waits == [1.5, 2.5, 4.5, 8.5, 16.5]


def test_what_clients_have_seen_some_of_is_not_asked_for_again() -> None:
    fetch = NextLinkFetch()
    fetch.passed_on()
    assert fetch.failed(100, 0) is None


@pytest.mark.parametrize(
    ("headers", "sequel"),
    [
        ((STREAM, ORDERED, LINK), HoldAgain(link=NEXT)),
        ((STREAM,), HoldAgain(link=None)),
        ((LINK,), GoOn(link=NEXT, due=100, later=100 + PAUSE)),
        ((ORDERED,), End()),
        ((), End()),
    ],
)
def test_an_answer_says_how_it_goes_on(headers: Headers, sequel: Sequel) -> None:
    fetch = NextLinkFetch()
    fetch.passed_on()
    assert fetch.sequel(instruct(*headers), 100) == sequel
    assert fault_of(instruct(*headers)) is None


def test_who_says_nothing_is_not_asked_again_at_once() -> None:
    assert NextLinkFetch().sequel(instruct(LINK), 100) == GoOn(link=NEXT, due=100 + PAUSE, later=100 + PAUSE)


def test_so_many_pages_may_follow_one_another_in_haste() -> None:
    pages = Pages()
    waits = [pages.must_wait(is_same=number == 3) for number in range(PAGES + 2)]
    assert [number for number, waits_here in enumerate(waits) if waits_here] == [3, PAGES, PAGES + 1]


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        (((b"Grip-Hold", b"response"), LINK), "Next link returned non-stream hold."),
        ((STREAM, ORDERED), "channel 'room' specifies prev-id, but no next link found"),
    ],
)
def test_nothing_can_follow_some_answers(headers: Headers, fault: str) -> None:
    assert fault_of(instruct(*headers)) == fault


def test_order_needs_somebody_to_ask() -> None:
    assert unlinked_channel(instruct(STREAM, ORDERED)) == "room"
    assert unlinked_channel(instruct(STREAM, ORDERED, LINK)) is None
    assert unlinked_channel(instruct(STREAM, (b"Grip-Channel", b"room"))) is None


@pytest.mark.parametrize(("status", "is_good"), [(199, False), (200, True), (204, True), (299, True), (300, False)])
def test_only_2xx_is_an_answer(status: int, is_good: bool) -> None:
    assert is_success(status) is is_good


@pytest.mark.parametrize(
    ("headers", "coding"),
    [
        ((), ""),
        (((b"content-encoding", b" Identity "),), ""),
        (((b"Content-Encoding", b"GZip"),), "gzip"),
        (((b"Content-Encoding", b"gzip"), (b"Content-Encoding", b"br")), "gzip, br"),
    ],
)
def test_an_encoded_body_is_told(headers: Headers, coding: str) -> None:
    assert encoding_of(headers) == coding
