from __future__ import annotations

import pytest

from proxy.protocol.ws_events import Event, EventKind
from proxy.protocol.ws_exchange import CloseClient, CutClient, Deliver, EchoClose, FailClient, Outcome
from tests.proxy.protocol.carried import GONE, Carried, accepted, every, opened, text

TOO_MUCH = (FailClient(reason="the backend accepted more bytes than it was offered"),)
NOTHING = (FailClient(reason="the backend accepted nothing while more waits"),)
BEFORE_CLOSE = (FailClient(reason="the backend kept back bytes that stand before a CLOSE"),)


def held() -> Carried:
    """Return a connection whose backend keeps back all of `hold me`."""
    carried = opened()
    carried.say(b"hold me")
    carried.ask()
    assert carried.answer(b"", accepted(0)) == ()
    return carried


def test_what_is_kept_back_waits_for_the_next_message() -> None:
    carried = held()
    assert carried.ask() is None
    carried.say(b"more")
    assert carried.replay() == (7, b"TEXT 7\r\nhold me\r\nTEXT 4\r\nmore\r\n")
    assert carried.answer(b"TEXT 6\r\nm:done\r\n") == (Deliver(events=(text(b"m:done"),)),)
    assert (carried.ask(), carried.machine.waiting_bytes) == (None, 0)


def test_what_is_kept_back_goes_with_a_refresh() -> None:
    carried = held()
    carried.machine.refresh()
    assert carried.replay() == (7, b"TEXT 7\r\nhold me\r\n")


def test_what_is_kept_back_goes_with_a_keep_alive() -> None:
    carried = opened(every(20))
    carried.say(b"hold me")
    carried.ask()
    carried.answer(b"", accepted(2))
    carried.now += 20
    assert carried.replay() == (5, b"TEXT 5\r\nld me\r\n")


def test_what_is_kept_back_goes_with_what_came_meanwhile() -> None:
    carried = opened()
    carried.say(b"hold me")
    carried.ask()
    carried.say(b"")
    assert carried.answer(b"", accepted(0)) == ()
    assert carried.replay() == (7, b"TEXT 7\r\nhold me\r\nTEXT\r\n")


def test_a_part_of_a_message_can_be_kept_back_again_and_again() -> None:
    carried = opened()
    carried.machine.receive(Event(kind=EventKind.BINARY, content=b"abcdef"))
    seen: list[object] = []
    for count in (2, 0, 1, 3):
        carried.machine.refresh()
        seen.append(carried.replay())
        assert carried.answer(b"", accepted(count)) == ()
    carried.machine.refresh()
    seen.append(carried.replay())
    assert seen == [
        (0, b"BINARY 6\r\nabcdef\r\n"),
        (4, b"BINARY 4\r\ncdef\r\n"),
        (4, b"BINARY 4\r\ncdef\r\n"),
        (3, b"BINARY 3\r\ndef\r\n"),
        (0, b""),
    ]


def test_messages_in_front_of_the_cut_are_consumed() -> None:
    carried = opened()
    carried.say(b"", b"abc", b"", b"def", b"")
    carried.ask()
    carried.answer(b"", accepted(4))
    carried.machine.refresh()
    assert carried.replay() == (2, b"TEXT 2\r\nef\r\nTEXT\r\n")


def test_a_batch_can_be_accepted_bit_by_bit() -> None:
    carried = opened(batch_limit=4)
    carried.say(b"ab", b"cd", b"ef")
    assert carried.ask() == b"TEXT 2\r\nab\r\nTEXT 2\r\ncd\r\n"
    carried.answer(b"", accepted(3))
    assert carried.replay() == (1, b"TEXT 1\r\nd\r\nTEXT 2\r\nef\r\n")


@pytest.mark.parametrize("one_event", [False, True])
def test_a_backend_that_accepts_nothing_while_more_waits_is_at_fault(*, one_event: bool) -> None:
    carried = opened(one_event=one_event, batch_limit=2)
    carried.say(b"ab", b"cd")
    assert carried.ask() == b"TEXT 2\r\nab\r\n"
    assert carried.answer(b"", accepted(0)) == NOTHING
    assert carried.last() == b"DISCONNECT\r\n"


def test_a_message_that_came_too_late_for_the_request_is_not_waiting_then() -> None:
    # Whether a backend is at fault must not hang on when the next message comes.
    carried = opened(one_event=True)
    carried.say(b"ab")
    carried.ask()
    carried.say(b"cd")
    assert carried.answer(b"", accepted(0)) == ()
    assert carried.replay() == (2, b"TEXT 2\r\nab\r\n")
    assert carried.answer(b"", accepted(0)) == NOTHING


@pytest.mark.parametrize("contents", [(b"abc",), (b"ab", b"", b"c"), (b"abc", b"")])
def test_no_more_can_be_accepted_than_was_offered(contents: tuple[bytes, ...]) -> None:
    carried = opened()
    carried.say(*contents)
    carried.ask()
    carried.say(b"not offered")
    assert carried.answer(b"TEXT 1\r\na\r\n", accepted(4)) == TOO_MUCH
    assert carried.last() == b"DISCONNECT\r\n"


def test_an_empty_request_offers_nothing() -> None:
    carried = opened()
    carried.machine.refresh()
    carried.ask()
    assert carried.answer(b"", accepted(0)) == ()
    carried.machine.refresh()
    carried.ask()
    assert carried.answer(b"", accepted(1)) == TOO_MUCH


# -- with a close -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "outcomes"),
    [
        (0, BEFORE_CLOSE),
        (3, BEFORE_CLOSE),
        (4, (EchoClose(),)),  # all but the content of CLOSE, which ours does not count
        (9, (EchoClose(),)),  # all of it, as Pushpin counts
        (10, TOO_MUCH),
    ],
)
def test_nothing_can_be_kept_back_before_a_close(count: int, outcomes: tuple[Outcome, ...]) -> None:
    carried = opened()
    carried.say(b"late")
    carried.machine.receive(GONE)
    assert carried.ask() == b"TEXT 4\r\nlate\r\nCLOSE 5\r\n\x03\xe9bye\r\n"
    assert carried.answer(b"", accepted(count)) == outcomes
    assert carried.machine.is_ended


@pytest.mark.parametrize(
    ("body", "outcome"), [(b"CLOSE\r\n", CloseClient(content=b"")), (b"DISCONNECT\r\n", CutClient())]
)
def test_who_closes_may_keep_back_what_it_likes(body: bytes, outcome: Outcome) -> None:
    carried = opened()
    carried.say(b"late")
    carried.machine.receive(GONE)
    carried.ask()
    assert carried.answer(body, accepted(0)) == (outcome,)
    assert carried.machine.is_ended


def test_what_is_kept_back_goes_with_the_clients_close() -> None:
    carried = held()
    carried.machine.receive(GONE)
    assert carried.replay() == (7, b"TEXT 7\r\nhold me\r\nCLOSE 5\r\n\x03\xe9bye\r\n")


def test_what_is_kept_back_goes_with_the_last_word() -> None:
    carried = held()
    carried.machine.client_gone()
    assert carried.replay() == (7, b"TEXT 7\r\nhold me\r\nDISCONNECT\r\n")
    carried.answer(b"", accepted(0))
    assert carried.machine.is_ended


def test_who_keeps_back_the_same_message_is_not_asked_for_ever_before_the_last_word() -> None:
    carried = opened(one_event=True)
    carried.say(b"abc")
    carried.ask()
    carried.machine.client_gone()
    carried.answer(b"", accepted(0))
    assert carried.replay() == (3, b"TEXT 3\r\nabc\r\n")
    carried.answer(b"", accepted(1))
    assert carried.replay() == (2, b"TEXT 2\r\nbc\r\n")
    carried.answer(b"", accepted(0))
    assert carried.last() == b"DISCONNECT\r\n"


def test_the_close_does_not_wait_for_ever_behind_a_message_that_is_kept_back() -> None:
    carried = opened(one_event=True)
    carried.say(b"abc")
    carried.ask()
    carried.machine.receive(GONE)
    assert carried.answer(b"", accepted(0)) == ()
    assert carried.replay() == (3, b"TEXT 3\r\nabc\r\n")
    assert carried.answer(b"", accepted(0)) == NOTHING
    assert carried.last() == b"DISCONNECT\r\n"
