from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from proxy.protocol.ws_exchange import CloseClient, EventsRequest, FailClient, FailOpening, Opened, Outcome
from tests.proxy.protocol.carried import GONE, Carried, accepted, every, opened

REJECTED = "the backend's answer is not 200 with websocket events"
SILENT = "the backend did not answer"
UNREACHABLE = "the backend could not be reached"
DELAYS = [1, 2, 4, 8, 16]

# What ends a request at once, and why.
FAULTS: list[tuple[Callable[[Carried], tuple[Outcome, ...]], str]] = [
    (lambda carried: carried.machine.rejected(), REJECTED),
    (lambda carried: carried.machine.malformed("no CRLF"), "no CRLF"),
    (lambda carried: carried.fail(was_sent=True), SILENT),
]
faults = pytest.mark.parametrize(("fault", "reason"), FAULTS, ids=["rejected", "malformed", "silent"])


def wait_out(carried: Carried, request: EventsRequest | None) -> tuple[Outcome, ...]:
    """Let `request`, which is out, be unreachable until it is given up; return the outcomes of that."""
    for delay in DELAYS:
        assert carried.fail(was_sent=False, jitter=0.5) == ()
        assert carried.machine.deadline == carried.now + delay + 0.5
        carried.now += delay + 0.4
        assert carried.request() is None
        carried.now += 0.2
        assert carried.request() == request
        assert carried.machine.deadline == math.inf
    return carried.fail(was_sent=False, jitter=0.5)


# -- once open --------------------------------------------------------------------------------------------------


@faults
def test_a_fault_fails_the_client_and_is_told_to_the_backend(
    fault: Callable[[Carried], tuple[Outcome, ...]], reason: str
) -> None:
    carried = opened(every(20))
    carried.say(b"a")
    carried.ask()
    carried.say(b"b")
    carried.machine.refresh()
    assert fault(carried) == (FailClient(reason=reason),)
    assert carried.machine.waiting_bytes == 0
    assert carried.last() == b"DISCONNECT\r\n"
    assert carried.answer(b"TEXT 1\r\na\r\n") == ()
    assert carried.machine.is_ended


def test_an_unreachable_backend_is_asked_the_same_six_times() -> None:
    carried = opened(((b"Set-Meta-User", b"alice"),))
    carried.say(b"abc")
    carried.ask()
    carried.answer(b"", accepted(1))
    carried.say(b"d")
    request = carried.request()
    assert request == EventsRequest(
        body=b"TEXT 2\r\nbc\r\nTEXT 1\r\nd\r\n", replayed=2, meta=((b"User", b"alice"),), is_last=False
    )
    carried.say(b"later")
    carried.machine.refresh()
    assert wait_out(carried, request) == (FailClient(reason=UNREACHABLE),)
    request = carried.request()
    assert request is not None
    assert (request.body, request.is_last) == (b"DISCONNECT\r\n", True)
    assert wait_out(carried, request) == ()
    assert carried.machine.is_ended


def test_a_backend_that_comes_back_gets_the_message_once() -> None:
    carried = opened()
    carried.say(b"a")
    for delay in DELAYS:
        assert carried.ask() == b"TEXT 1\r\na\r\n"
        assert carried.fail(was_sent=False) == ()
        carried.now += delay
    carried.say(b"b")
    assert carried.ask() == b"TEXT 1\r\na\r\n"
    assert carried.answer() == ()
    assert carried.ask() == b"TEXT 1\r\nb\r\n"
    # The count begins anew with each request.
    assert carried.fail(was_sent=False) == ()
    assert carried.machine.deadline == carried.now + 1


def test_a_request_that_was_sent_after_a_retry_is_not_sent_again() -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.fail(was_sent=False)
    carried.now += 1
    carried.ask()
    assert carried.fail(was_sent=True) == (FailClient(reason=SILENT),)


def test_the_last_word_waits_for_the_retries() -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.fail(was_sent=False)
    carried.machine.client_gone()
    assert carried.ask() is None
    carried.now += 1
    assert carried.ask() == b"TEXT 1\r\na\r\n"
    assert carried.answer() == ()
    assert carried.last() == b"DISCONNECT\r\n"


# -- when leaving -----------------------------------------------------------------------------------------------


@faults
def test_a_fault_of_a_request_before_the_last_word_drops_what_waits(
    fault: Callable[[Carried], tuple[Outcome, ...]], reason: str
) -> None:
    carried = opened()
    carried.say(b"a")
    carried.ask()
    carried.say(b"b")
    carried.machine.client_gone()
    assert fault(carried) == (), reason
    assert carried.last() == b"DISCONNECT\r\n"


@faults
def test_a_fault_of_the_last_word_is_the_end(fault: Callable[[Carried], tuple[Outcome, ...]], reason: str) -> None:
    for leave in ("client_gone", "close_by_us"):
        carried = opened()
        getattr(carried.machine, leave)()
        carried.ask()
        assert fault(carried) == (), reason
        assert carried.machine.is_ended


def test_an_unreachable_backend_is_told_the_last_word_six_times() -> None:
    carried = opened()
    carried.machine.close_by_us()
    request = carried.request()
    assert wait_out(carried, request) == ()
    assert carried.machine.is_ended


@faults
def test_a_fault_of_the_clients_close_fails_the_client_and_is_the_end(
    fault: Callable[[Carried], tuple[Outcome, ...]], reason: str
) -> None:
    carried = opened()
    carried.machine.receive(GONE)
    carried.ask()
    assert fault(carried) == (FailClient(reason=reason),)
    assert carried.machine.is_ended


@faults
def test_a_fault_of_the_clients_answering_close_is_the_end(
    fault: Callable[[Carried], tuple[Outcome, ...]], reason: str
) -> None:
    carried = opened()
    carried.machine.refresh()
    carried.ask()
    assert carried.answer(b"CLOSE\r\n") == (CloseClient(content=b""),)
    carried.machine.receive(GONE)
    carried.last()
    assert fault(carried) == (), reason
    assert carried.machine.is_ended


@faults
def test_a_fault_while_the_backends_close_is_waited_for_fails_the_client(
    fault: Callable[[Carried], tuple[Outcome, ...]], reason: str
) -> None:
    carried = opened(every(20))
    carried.machine.receive(GONE)
    carried.ask()
    carried.answer()
    carried.now += 20
    carried.ask()
    assert fault(carried) == (FailClient(reason=reason),)
    assert carried.last() == b"DISCONNECT\r\n"


# -- while opening ----------------------------------------------------------------------------------------------


def test_a_target_that_cannot_be_reached_leaves_the_opening_to_the_next() -> None:
    carried = Carried()
    for _ in range(10):
        assert carried.ask() == b"OPEN\r\n"
        assert carried.fail(was_sent=False, jitter=0.5) == ()
        assert carried.machine.is_opening
    assert carried.ask() == b"OPEN\r\n"
    assert carried.answer(b"OPEN\r\n") == (Opened(),)


def test_a_backend_that_cannot_have_been_reached_is_not_told() -> None:
    carried = Carried()
    carried.ask()
    carried.fail(was_sent=False)
    carried.machine.client_gone()
    assert carried.machine.is_ended


@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        (FAULTS[0][0], ()),
        (FAULTS[1][0], (FailOpening(reason="no CRLF"),)),
        (FAULTS[2][0], ()),
    ],
    ids=["rejected", "malformed", "silent"],
)
@pytest.mark.parametrize("is_again", [False, True])
def test_a_fault_is_the_end_of_an_opening(
    fault: Callable[[Carried], tuple[Outcome, ...]], outcomes: tuple[Outcome, ...], *, is_again: bool
) -> None:
    carried = Carried()
    carried.ask()
    if is_again:
        carried.answer(b"", every(20))
        carried.now += 20
        carried.ask()
    assert fault(carried) == outcomes
    assert carried.machine.is_ended
    assert (carried.ask(), carried.machine.deadline) == (None, math.inf)


@pytest.mark.parametrize(
    "fault",
    [*(fault for fault, _ in FAULTS), lambda carried: carried.fail(was_sent=False)],
    ids=["rejected", "malformed", "silent", "unreachable"],
)
def test_a_backend_that_does_not_open_for_a_client_that_has_gone_is_not_told(
    fault: Callable[[Carried], tuple[Outcome, ...]],
) -> None:
    carried = Carried()
    carried.ask()
    carried.machine.client_gone()
    assert fault(carried) == ()
    assert carried.machine.is_ended
    assert carried.ask() is None


def test_a_backend_that_opened_for_a_client_that_has_gone_is_told_as_often_as_any_other() -> None:
    carried = Carried()
    carried.ask()
    carried.machine.client_gone()
    carried.answer(b"OPEN\r\n")
    request = carried.request()
    assert wait_out(carried, request) == ()
    assert carried.machine.is_ended
