from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from handlers.protocol.http1 import Headers
from proxy.protocol.ws_backlog import EVENT_COST
from proxy.protocol.ws_events import Event, EventKind
from proxy.protocol.ws_exchange import Deliver, EventsRequest, FailOpening, Opened
from proxy.protocol.ws_over_http import OverHttp
from tests.proxy.protocol.carried import Carried, every, opened, text

OPEN = b"OPEN\r\n"
NO_EVENTS = "the backend answered OPEN with no events and no Keep-Alive-Interval"


# -- opening ----------------------------------------------------------------------------------------------------


def test_the_first_request_is_open_and_nothing_follows_before_its_answer() -> None:
    carried = Carried()
    assert carried.machine.is_opening
    assert carried.request() == EventsRequest(body=OPEN, replayed=0, meta=(), is_last=False)
    assert carried.ask() is None
    assert carried.machine.deadline == math.inf
    assert carried.answer(OPEN) == (Opened(),)
    assert (carried.machine.is_opening, carried.machine.is_open, carried.machine.is_ended) == (False, True, False)
    assert carried.ask() is None


def test_messages_behind_open_are_delivered_after_the_handshake() -> None:
    carried = Carried()
    carried.ask()
    pong = Event(kind=EventKind.PONG)
    assert carried.answer(b"OPEN\r\nTEXT 2\r\nhi\r\nPONG\r\n") == (Opened(), Deliver(events=(text(b"hi"), pong)))


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"", (), NO_EVENTS),
        (b"", ((b"Keep-Alive-Interval", b"0"),), NO_EVENTS),
        (b"HELLO\r\n", (), NO_EVENTS),
        (b"TEXT\r\nOPEN\r\n", (), "the backend answered OPEN with TEXT"),
        (b"CLOSE\r\n", every(20), "the backend answered OPEN with CLOSE"),
        (b"DISCONNECT\r\n", (), "the backend answered OPEN with DISCONNECT"),
        (OPEN, ((b"Content-Bytes-Accepted", b"1"),), "the backend accepted more bytes than it was offered"),
    ],
)
def test_an_answer_that_is_no_opening_ends_it(body: bytes, headers: Headers, reason: str) -> None:
    carried = Carried()
    carried.ask()
    assert carried.answer(body, headers) == (FailOpening(reason=reason),)
    assert carried.machine.is_ended
    assert carried.ask() is None


def test_a_backend_with_an_interval_may_open_later() -> None:
    carried = Carried()
    carried.ask()
    assert carried.answer(b"", every(30)) == ()
    assert carried.machine.is_opening
    for _ in range(3):
        assert carried.machine.deadline == carried.now + 30
        carried.now += 29.9
        assert carried.ask() is None
        carried.now += 0.1
        assert carried.ask() == OPEN
        assert carried.answer() == ()
    carried.now += 30
    assert carried.ask() == OPEN
    assert carried.answer(OPEN) == (Opened(),)


def test_nothing_is_received_while_opening() -> None:
    with pytest.raises(RuntimeError, match="a client in phase OPENING sends no TEXT"):
        Carried().say(b"early")


# -- messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "body"),
    [
        (Event(kind=EventKind.TEXT, content=b"hello"), b"TEXT 5\r\nhello\r\n"),
        (Event(kind=EventKind.TEXT), b"TEXT\r\n"),
        (Event(kind=EventKind.BINARY, content=b"\x00"), b"BINARY 1\r\n\x00\r\n"),
        (Event(kind=EventKind.PING), b"PING\r\n"),
        (Event(kind=EventKind.PONG, content=b"x"), b"PONG 1\r\nx\r\n"),
    ],
)
def test_a_message_is_sent_at_once(event: Event, body: bytes) -> None:
    carried = opened()
    carried.machine.receive(event)
    assert carried.request() == EventsRequest(body=body, replayed=0, meta=(), is_last=False)
    assert carried.answer() == ()
    assert carried.ask() is None


def test_messages_that_come_meanwhile_share_the_next_request() -> None:
    carried = opened()
    carried.say(b"a")
    assert carried.ask() == b"TEXT 1\r\na\r\n"
    carried.say(b"b", b"c")
    assert carried.ask() is None
    carried.answer()
    assert carried.ask() == b"TEXT 1\r\nb\r\nTEXT 1\r\nc\r\n"


def test_a_batch_ends_at_its_limit_and_holds_at_least_one_message() -> None:
    carried = opened(batch_limit=4)
    carried.say(b"ab", b"cd", b"", b"e", b"fghij", b"k")
    bodies: list[bytes] = []
    while (body := carried.ask()) is not None:
        bodies.append(body)
        carried.answer()
    assert bodies == [
        b"TEXT 2\r\nab\r\nTEXT 2\r\ncd\r\nTEXT\r\n",
        b"TEXT 1\r\ne\r\n",
        b"TEXT 5\r\nfghij\r\n",
        b"TEXT 1\r\nk\r\n",
    ]


def test_one_event_is_one_event_even_if_it_is_empty() -> None:
    carried = opened(one_event=True)
    carried.say(b"", b"", b"a")
    bodies: list[bytes] = []
    while (body := carried.ask()) is not None:
        bodies.append(body)
        carried.answer()
    assert bodies == [b"TEXT\r\n", b"TEXT\r\n", b"TEXT 1\r\na\r\n"]


def test_messages_weigh_until_they_are_accepted() -> None:
    carried = opened()
    carried.say(b"hello", b"")
    assert carried.machine.waiting_bytes == 5 + 2 * EVENT_COST
    carried.ask()
    carried.say(b"abc")
    assert carried.machine.waiting_bytes == 8 + 3 * EVENT_COST
    carried.answer()
    assert carried.machine.waiting_bytes == 3 + EVENT_COST


def test_messages_of_the_backend_are_delivered_in_order() -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    delivered = Deliver(events=(text(b"1"), Event(kind=EventKind.PING), text(b"")))
    assert carried.answer(b"TEXT 1\r\n1\r\nPING\r\nTEXT\r\n") == (delivered,)


@pytest.mark.parametrize("kind", [EventKind.OPEN, EventKind.DISCONNECT])
def test_what_a_client_cannot_say_is_the_callers_mistake(kind: EventKind) -> None:
    with pytest.raises(RuntimeError, match=f"sends no {kind.name}"):
        opened().machine.receive(Event(kind=kind))


@pytest.mark.parametrize("make", [Carried, opened])
def test_a_request_that_is_not_out_has_no_end(make: Callable[[], Carried]) -> None:
    carried = make()
    for end in (carried.answer, carried.machine.rejected, lambda: carried.machine.malformed("")):
        with pytest.raises(RuntimeError, match="no request is out"):
            end()
    for was_sent in (False, True):
        with pytest.raises(RuntimeError, match="no request is out"):
            carried.fail(was_sent=was_sent)


# -- meta -------------------------------------------------------------------------------------------------------


def test_meta_is_stored_replaced_and_deleted_whatever_its_letter_case() -> None:
    carried = opened(((b"Set-Meta-User", b"alice"), (b"Set-Meta-Room", b"1")))
    seen: list[object] = []
    for headers in (
        (),
        ((b"set-meta-user", b"bob"),),
        ((b"Set-Meta-ROOM", b""), (b"Set-Meta-None", b"")),
        ((b"Set-Meta-A", b"1"), (b"Set-Meta-a", b"2")),
    ):
        carried.machine.refresh()
        request = carried.request()
        assert request is not None
        seen.append(request.meta)
        carried.answer(b"", headers)
    assert seen == [
        ((b"User", b"alice"), (b"Room", b"1")),
        ((b"User", b"alice"), (b"Room", b"1")),
        ((b"Room", b"1"), (b"user", b"bob")),
        ((b"user", b"bob"),),
    ]
    carried.machine.client_gone()
    request = carried.request()
    assert request is not None
    assert request.meta == ((b"user", b"bob"), (b"a", b"2"))


def test_meta_is_kept_before_the_opening_too() -> None:
    carried = Carried()
    carried.ask()
    carried.answer(b"", (*every(20), (b"Set-Meta-User", b"alice")))
    carried.now += 20
    request = carried.request()
    assert request is not None
    assert request.meta == ((b"User", b"alice"),)


# -- keep-alive and refresh -------------------------------------------------------------------------------------


def test_an_idle_connection_is_kept_alive_after_each_interval() -> None:
    carried = opened(every(20))
    for _ in range(3):
        assert carried.machine.deadline == carried.now + 20
        carried.now += 19.9
        assert carried.ask() is None
        carried.now += 0.1
        assert carried.request() == EventsRequest(body=b"", replayed=0, meta=(), is_last=False)
        assert carried.machine.deadline == math.inf
        carried.now += 5  # the interval is counted from the answer
        carried.answer()


def test_the_interval_begins_again_with_every_answer() -> None:
    carried = opened(every(20))
    carried.now += 15
    carried.say(b"a")
    carried.ask()
    carried.answer()
    assert carried.machine.deadline == carried.now + 20


def test_an_interval_can_be_changed_and_turned_off() -> None:
    carried = opened(every(20))
    intervals: list[float] = []
    for headers in ((), every(40), (), every(0), (), every(1)):
        carried.machine.refresh()
        assert carried.ask() == b""
        carried.answer(b"", headers)
        intervals.append(carried.machine.deadline - carried.now)
    assert intervals == [20, 40, 40, math.inf, math.inf, 20]


def test_a_refresh_is_one_empty_request() -> None:
    carried = opened()
    carried.machine.refresh()
    carried.machine.refresh()
    assert carried.ask() == b""
    carried.answer()
    assert carried.ask() is None


def test_a_refresh_follows_the_request_that_is_out_and_takes_what_waits() -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.machine.refresh()
    assert carried.ask() is None
    carried.answer()
    assert carried.ask() == b""
    carried.machine.refresh()
    carried.say(b"b")
    carried.answer()
    assert carried.ask() == b"TEXT 1\r\nb\r\n"
    carried.answer()
    assert carried.ask() is None


def test_a_refresh_before_the_opening_and_after_the_end_is_nothing() -> None:
    carried = Carried()
    carried.ask()
    carried.machine.refresh()
    carried.answer(OPEN)
    assert carried.ask() is None
    carried.say(b"a")
    carried.ask()
    carried.answer(b"DISCONNECT\r\n")
    carried.machine.refresh()
    assert carried.ask() is None


def test_an_idle_machine_is_small() -> None:
    assert OverHttp.__basicsize__ <= 160
    assert not hasattr(OverHttp(one_event=False), "__dict__")
