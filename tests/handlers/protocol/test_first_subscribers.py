"""When a channel counts as new, and when who is on it is to ask again."""

from __future__ import annotations

import math

from handlers.protocol.first_subscribers import DELAY, LINGER, FirstSubscribers
from handlers.protocol.names import Channel

A, B = Channel("a"), Channel("b")
NOW = 1000.0


def test_a_new_channel_is_due_once_after_a_moment() -> None:
    firsts = FirstSubscribers()
    assert firsts.next_due == math.inf
    firsts.came(A, NOW)
    firsts.came(B, NOW + 0.5)
    assert firsts.next_due == NOW + DELAY
    assert firsts.take_due(NOW + DELAY - 0.01) == ()
    assert firsts.take_due(NOW + DELAY) == (A,)
    assert firsts.take_due(NOW + 10) == (B,)
    assert firsts.next_due == math.inf


def test_a_channel_between_two_long_polls_is_not_new() -> None:
    firsts = FirstSubscribers()
    firsts.came(A, NOW)
    firsts.take_due(NOW + DELAY)
    firsts.emptied(A, NOW + 10)
    firsts.came(A, NOW + 10 + LINGER - 0.01)
    assert firsts.next_due == math.inf


def test_a_channel_without_anybody_for_long_is_new_again() -> None:
    firsts = FirstSubscribers()
    firsts.emptied(A, NOW)
    firsts.came(A, NOW + LINGER)
    assert firsts.next_due == NOW + LINGER + DELAY


def test_a_channel_left_again_lingers_from_then_on() -> None:
    firsts = FirstSubscribers()
    firsts.emptied(A, NOW)
    firsts.emptied(B, NOW + 1)
    firsts.emptied(A, NOW + 2)
    firsts.came(B, NOW + LINGER + 1)
    firsts.came(A, NOW + LINGER + 1)
    assert firsts.take_due(NOW + 1000) == (B,)


def test_a_channel_left_for_good_is_due_only_if_it_was_not_yet_updated() -> None:
    firsts = FirstSubscribers()
    firsts.came(A, NOW)
    firsts.came(A, NOW + 0.1)  # it was empty in between, and nobody lingered
    assert firsts.take_due(NOW + 10) == (A, A)


def test_nothing_is_kept_of_what_is_over() -> None:
    firsts = FirstSubscribers()
    for number in range(100):
        firsts.came(Channel(str(number)), NOW)
        firsts.emptied(Channel(str(number)), NOW)
    assert len(firsts) == 200
    firsts.take_due(NOW + LINGER)
    assert len(firsts) == 0
