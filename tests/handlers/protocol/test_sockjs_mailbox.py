"""What waits for a SockJS client: in order, bounded, and with a time for everything."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.sockjs_mailbox import BURST, Due, Mailbox
from handlers.protocol.ws_frames import CloseReason

GONE = CloseReason(code=1002, reason="gone")
BYE = CloseReason(code=4000, reason="bye")


def make(*, heartbeat: float = 25, patience: float = 5, limit: int = 100, grace: float = 1) -> Mailbox:
    """Return a session that has been told that it is open, at 0, and whose client has left then."""
    mailbox = Mailbox(heartbeat=heartbeat, patience=patience, limit=limit, grace=grace)
    mailbox.left(0)
    assert mailbox.take(0) == b"o"
    return mailbox


def test_the_first_frame_says_that_it_is_open() -> None:
    mailbox = Mailbox(heartbeat=25, patience=5, limit=100, grace=1)
    assert mailbox.deadline == math.inf
    mailbox.put(b'"a"', 0)
    assert [mailbox.take(0), mailbox.take(0), mailbox.take(0)] == [b"o", b'a["a"]', None]


def test_messages_wait_in_their_order() -> None:
    mailbox = make()
    for message in (b'"1"', b'"2"', b'"3"'):
        assert mailbox.put(message, 0)
    assert mailbox.size == 9
    assert mailbox.take(0) == b'a["1","2","3"]'
    assert (mailbox.size, mailbox.take(0)) == (0, None)


def test_a_close_comes_behind_what_waits_and_is_told_again() -> None:
    mailbox = make()
    mailbox.put(b'"1"', 0)
    mailbox.close(BYE, 0)
    mailbox.close(GONE, 0)
    assert mailbox.put(b'"late"', 0)
    assert mailbox.is_closed
    assert [mailbox.take(0) for _ in range(3)] == [b'a["1"]', b'c[4000,"bye"]', b'c[4000,"bye"]']


def test_a_failure_throws_away_what_waits() -> None:
    mailbox = make()
    mailbox.put(b'"1"', 0)
    mailbox.put(b'"2"', 0)
    assert mailbox.fail(GONE, 0) == 2
    assert mailbox.take(0) == b'c[1002,"gone"]'
    assert mailbox.fail(BYE, 0) == 0
    assert mailbox.take(0) == b'c[1002,"gone"]'


def test_of_a_session_that_never_opened_only_the_end_is_told() -> None:
    mailbox = Mailbox(heartbeat=25, patience=5, limit=100, grace=1)
    mailbox.fail(GONE, 0)
    assert mailbox.take(0) == b'c[1002,"gone"]'


def test_a_client_that_is_there_gets_heartbeats() -> None:
    mailbox = make()
    mailbox.came(10)
    assert mailbox.deadline == 35
    assert mailbox.due(34.9) is None
    assert mailbox.due(35) is Due.HEARTBEAT
    assert mailbox.deadline == 60
    mailbox.put(b'"x"', 50)
    assert mailbox.take(50) == b'a["x"]'
    assert mailbox.deadline == 75


def test_there_need_be_no_heartbeats() -> None:
    mailbox = make(heartbeat=0)
    mailbox.came(10)
    assert mailbox.deadline == math.inf


def test_a_client_that_stays_away_is_given_up() -> None:
    mailbox = make()
    mailbox.came(10)
    mailbox.left(12)
    assert mailbox.deadline == 17
    assert mailbox.due(16.9) is None
    assert mailbox.due(17) is Due.ABANDONED
    assert mailbox.deadline == math.inf


def test_how_it_ended_is_known_for_as_long() -> None:
    mailbox = make()
    mailbox.close(BYE, 3)
    assert mailbox.deadline == 8
    assert mailbox.due(7.9) is None
    assert mailbox.due(8) is Due.FORGOTTEN
    assert mailbox.deadline == math.inf


def test_who_asks_again_does_not_put_the_end_off() -> None:
    mailbox = make()
    mailbox.put(b'"1"', 2)
    mailbox.close(BYE, 3)
    for now in (4, 6, 7.5):
        mailbox.came(now)
        assert mailbox.take(now) is not None
        mailbox.left(now)
    mailbox.close(GONE, 7.6)
    mailbox.fail(GONE, 7.7)
    assert mailbox.deadline == 8
    assert mailbox.due(8) is Due.FORGOTTEN


def test_of_a_session_that_is_closed_nobody_is_told_that_all_is_well() -> None:
    mailbox = make()
    mailbox.came(10)
    mailbox.close(BYE, 11)
    assert mailbox.due(16) is Due.FORGOTTEN


def test_more_than_the_limit_may_wait_for_the_grace() -> None:
    mailbox = make()
    mailbox.left(10)
    assert mailbox.put(b"x" * 100, 10)
    assert mailbox.deadline == 15
    assert mailbox.put(b"x", 10)
    assert mailbox.is_behind
    assert mailbox.put(b"x", 10.5)
    assert mailbox.deadline == 11
    assert mailbox.due(10.9) is None
    assert mailbox.due(11) is Due.BEHIND


def test_a_client_that_comes_for_it_in_time_is_not_behind() -> None:
    mailbox = make()
    mailbox.left(10)
    mailbox.put(b"x" * 101, 10)
    mailbox.take(10.9)
    mailbox.left(10.9)
    assert not mailbox.is_behind
    assert mailbox.deadline == 15.9


def test_there_is_an_end_to_a_burst() -> None:
    mailbox = make()
    assert mailbox.put(b"x" * 100 * BURST, 0)
    assert not mailbox.put(b"x", 0)
    assert mailbox.size == 100 * BURST


def test_one_message_may_be_longer_than_that() -> None:
    mailbox = make()
    assert mailbox.put(b"x" * 1000, 0)
    assert not mailbox.put(b"x", 0)


@given(st.lists(st.sampled_from(["put", "take", "came", "left", "wait"]), max_size=60), st.booleans())
def test_nothing_is_lost_or_changes_places(steps: list[str], closes: bool) -> None:
    mailbox = make(limit=10_000)
    now, sent, frames = 0.0, [], []
    for number, step in enumerate(steps):
        match step:
            case "put":
                message = b'"%d"' % number
                assert mailbox.put(message, now)
                sent.append(message)
            case "take":
                frames.append(mailbox.take(now))
            case "came":
                mailbox.came(now)
            case "left":
                mailbox.left(now)
            case _:
                now += 1
                mailbox.due(now)
    if closes:
        mailbox.close(BYE, now)
    frames += [mailbox.take(now), mailbox.take(now)]
    heard = [frame for frame in frames if frame is not None and frame.startswith(b"a")]
    assert b",".join(frame[2:-1] for frame in heard) == b",".join(sent)
    assert mailbox.size == 0
    assert (frames[-1] == b'c[4000,"bye"]') is closes


@pytest.mark.parametrize("closes", [True, False])
def test_there_is_always_a_deadline_while_the_client_is_away(closes: bool) -> None:
    mailbox = make()
    if closes:
        mailbox.close(BYE, 1)
    mailbox.left(1)
    assert mailbox.deadline == 6
