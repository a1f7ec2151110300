from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from proxy.protocol.ws_events import Event, EventKind
from proxy.protocol.ws_exchange import (
    CloseClient,
    CutClient,
    Deliver,
    EchoClose,
    FailClient,
    Opened,
    Outcome,
)
from proxy.protocol.ws_over_http import OverHttp
from tests.proxy.protocol.carried import GONE, Carried, every, opened, text

GONE_BODY = b"CLOSE 5\r\n\x03\xe9bye\r\n"
BACKEND_CLOSE = b"CLOSE 2\r\n\x0f\xa0\r\n"

# How we take leave, and the word we do it with.
WORDS: list[tuple[Callable[[OverHttp], None], bytes]] = [
    (OverHttp.client_gone, b"DISCONNECT\r\n"),
    (OverHttp.close_by_us, b"CLOSE\r\n"),
]
leaving = pytest.mark.parametrize(("leave", "word"), WORDS, ids=["client_gone", "close_by_us"])


def closed_by_backend() -> Carried:
    carried = opened()
    carried.machine.refresh()
    carried.ask()
    assert carried.answer(BACKEND_CLOSE) == (CloseClient(content=b"\x0f\xa0"),)
    return carried


# -- the client closes ------------------------------------------------------------------------------------------


def test_the_clients_close_is_answered_with_the_backends() -> None:
    carried = opened()
    carried.machine.receive(GONE)
    assert not carried.machine.is_open
    assert carried.ask() == GONE_BODY
    assert carried.answer(BACKEND_CLOSE) == (CloseClient(content=b"\x0f\xa0"),)
    assert carried.machine.is_ended


def test_a_close_without_a_code_has_no_content() -> None:
    carried = opened()
    carried.machine.receive(Event(kind=EventKind.CLOSE))
    assert carried.ask() == b"CLOSE\r\n"
    assert carried.answer(b"CLOSE\r\n") == (CloseClient(content=b""),)


def test_the_clients_close_comes_behind_its_messages() -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.say(b"b")
    carried.machine.receive(GONE)
    carried.say(b"behind")
    carried.machine.receive(GONE)
    assert carried.answer() == ()
    assert carried.ask() == b"TEXT 1\r\nb\r\n" + GONE_BODY


def test_one_event_holds_for_the_close_too() -> None:
    carried = opened(one_event=True)
    carried.say(b"a")
    carried.machine.receive(GONE)
    assert carried.ask() == b"TEXT 1\r\na\r\n"
    assert carried.answer() == ()
    assert carried.ask() == GONE_BODY


def test_a_close_that_is_not_answered_is_echoed() -> None:
    carried = opened()
    carried.machine.receive(GONE)
    carried.ask()
    assert carried.answer(b"TEXT 1\r\na\r\n") == (Deliver(events=(text(b"a"),)), EchoClose())
    assert carried.machine.is_ended


def test_with_an_interval_the_backend_may_close_later() -> None:
    carried = opened(every(20))
    carried.machine.receive(GONE)
    carried.ask()
    assert carried.answer() == ()
    for _ in range(2):
        assert carried.machine.deadline == carried.now + 20
        assert carried.ask() is None
        carried.now += 20
        assert carried.ask() == b""
        assert carried.answer(b"PING\r\n") == (Deliver(events=(Event(kind=EventKind.PING),)),)
    carried.now += 20
    assert carried.ask() == b""
    assert carried.answer(b"CLOSE\r\n") == (CloseClient(content=b""),)
    assert carried.machine.is_ended


def test_a_backend_that_turns_its_interval_off_has_had_its_chance() -> None:
    carried = opened(every(20))
    carried.machine.receive(GONE)
    carried.ask()
    carried.answer()
    carried.now += 20
    carried.ask()
    assert carried.answer(b"", every(0)) == (EchoClose(),)


def test_a_backend_that_disconnects_cuts_the_closing_client() -> None:
    carried = opened()
    carried.machine.receive(GONE)
    carried.ask()
    assert carried.answer(b"DISCONNECT\r\n") == (CutClient(),)
    assert carried.machine.is_ended


# -- the backend closes -----------------------------------------------------------------------------------------


def test_the_backends_close_is_answered_with_the_clients() -> None:
    carried = closed_by_backend()
    assert (carried.ask(), carried.machine.deadline) == (None, math.inf)
    assert (carried.machine.is_open, carried.machine.is_ended) == (False, False)
    carried.machine.receive(GONE)
    assert carried.last() == GONE_BODY
    assert carried.answer(b"TEXT 1\r\na\r\nCLOSE\r\n") == ()
    assert carried.machine.is_ended


def test_messages_in_front_of_the_backends_close_are_delivered() -> None:
    carried = Carried()
    carried.ask()
    assert carried.answer(b"OPEN\r\nTEXT 1\r\na\r\nCLOSE\r\nTEXT 1\r\nb\r\n") == (
        Opened(),
        Deliver(events=(text(b"a"),)),
        CloseClient(content=b""),
    )


def test_messages_that_cross_the_backends_close_go_with_the_last_request() -> None:
    carried = opened(every(20))
    carried.say(b"a")
    carried.ask()
    carried.say(b"b")
    carried.machine.refresh()
    carried.answer(BACKEND_CLOSE)
    carried.say(b"c")
    carried.machine.refresh()
    assert (carried.ask(), carried.machine.deadline) == (None, math.inf)
    carried.machine.receive(GONE)
    assert carried.last() == b"TEXT 1\r\nb\r\nTEXT 1\r\nc\r\n" + GONE_BODY


@leaving
def test_a_client_that_does_not_answer_the_backends_close_is_given_up(
    leave: Callable[[OverHttp], None], word: bytes
) -> None:
    carried = closed_by_backend()
    leave(carried.machine)
    assert carried.last() == word


def test_closes_that_cross_are_both_passed_on() -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.machine.receive(GONE)
    assert carried.answer(BACKEND_CLOSE) == (CloseClient(content=b"\x0f\xa0"),)
    assert carried.last() == GONE_BODY
    assert carried.answer() == ()
    assert carried.machine.is_ended


def test_a_backend_that_disconnects_is_asked_nothing_more() -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.say(b"b")
    assert carried.answer(b"TEXT 1\r\n1\r\nDISCONNECT\r\n") == (Deliver(events=(text(b"1"),)), CutClient())
    assert carried.machine.is_ended
    carried.machine.client_gone()
    carried.say(b"c")
    assert (carried.ask(), carried.machine.waiting_bytes) == (None, 0)


@pytest.mark.parametrize(
    ("body", "before"), [(b"OPEN\r\n", ()), (b"TEXT 1\r\na\r\nOPEN\r\n", (Deliver(events=(text(b"a"),)),))]
)
def test_a_second_open_is_a_fault(body: bytes, before: tuple[Outcome, ...]) -> None:
    carried = opened()
    carried.say(b"x")
    carried.ask()
    carried.say(b"y")
    assert carried.answer(body) == (*before, FailClient(reason="the backend sent a second OPEN"))
    assert carried.last() == b"DISCONNECT\r\n"


# -- we take leave ----------------------------------------------------------------------------------------------


@leaving
def test_the_last_word_is_said_and_its_answer_ignored(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = opened(every(20))
    leave(carried.machine)
    assert carried.last() == word
    assert carried.answer(b"TEXT 1\r\na\r\nCLOSE\r\n") == ()
    assert carried.machine.is_ended
    assert (carried.ask(), carried.machine.deadline) == (None, math.inf)


@leaving
def test_the_last_word_follows_the_request_that_is_out_and_what_waits(
    leave: Callable[[OverHttp], None], word: bytes
) -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.say(b"b")
    leave(carried.machine)
    carried.say(b"behind")
    carried.machine.receive(GONE)
    assert carried.ask() is None
    assert carried.answer(b"TEXT 1\r\n1\r\n") == ()
    assert carried.last() == b"TEXT 1\r\nb\r\n" + word


@leaving
def test_the_last_word_is_alone_with_one_event(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = opened(one_event=True)
    carried.say(b"a", b"b")
    leave(carried.machine)
    for body in (b"TEXT 1\r\na\r\n", b"TEXT 1\r\nb\r\n"):
        request = carried.request()
        assert request is not None
        assert (request.body, request.is_last) == (body, False)
        assert carried.answer() == ()
    assert carried.last() == word


@leaving
def test_of_two_last_words_the_first_counts(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = opened()
    leave(carried.machine)
    for other, _ in WORDS:
        other(carried.machine)
    assert carried.last() == word


@leaving
def test_a_backend_that_disconnects_meanwhile_hears_no_last_word(
    leave: Callable[[OverHttp], None], word: bytes
) -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    leave(carried.machine)
    assert carried.answer(b"DISCONNECT\r\n") == ()
    assert carried.machine.is_ended, word


@leaving
def test_a_backend_that_closes_meanwhile_hears_the_last_word(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    leave(carried.machine)
    assert carried.answer(BACKEND_CLOSE) == ()
    assert carried.last() == word


@leaving
def test_the_clients_close_that_waits_is_the_last_word(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.machine.receive(GONE)
    leave(carried.machine)
    assert carried.answer() == ()
    assert carried.last() == GONE_BODY, word


@leaving
def test_the_clients_close_that_is_out_is_the_last_word(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = opened(every(20))
    carried.machine.receive(GONE)
    carried.ask()
    leave(carried.machine)
    assert carried.answer(b"CLOSE\r\n") == ()
    assert carried.machine.is_ended, word


@leaving
def test_a_backend_that_is_asked_for_its_close_in_vain_is_told(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = opened(every(20))
    carried.machine.receive(GONE)
    carried.ask()
    carried.answer()
    leave(carried.machine)
    assert carried.last() == b"DISCONNECT\r\n", word


# -- before the opening -----------------------------------------------------------------------------------------


@leaving
def test_a_backend_that_was_never_asked_is_not_told(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = Carried()
    leave(carried.machine)
    assert carried.machine.is_ended, word
    assert carried.ask() is None


@leaving
@pytest.mark.parametrize("interval", [0, 20])
def test_a_backend_that_opens_meanwhile_hears_the_last_word(
    leave: Callable[[OverHttp], None], word: bytes, interval: int
) -> None:
    carried = Carried()
    carried.ask()
    leave(carried.machine)
    assert not carried.machine.is_opening
    assert carried.answer(b"" if interval else b"OPEN\r\nTEXT 1\r\na\r\n", every(interval)) == ()
    assert carried.last() == word


@leaving
@pytest.mark.parametrize("body", [b"", b"CLOSE\r\n", b"OPEN\r\nDISCONNECT\r\n"])
def test_a_backend_that_does_not_open_meanwhile_hears_nothing(
    leave: Callable[[OverHttp], None], word: bytes, body: bytes
) -> None:
    carried = Carried()
    carried.ask()
    leave(carried.machine)
    assert carried.answer(body) == ()
    assert carried.machine.is_ended, word


@leaving
def test_a_backend_that_takes_its_time_to_open_is_told(leave: Callable[[OverHttp], None], word: bytes) -> None:
    carried = Carried()
    carried.ask()
    carried.answer(b"", every(20))
    leave(carried.machine)
    assert carried.last() == word
