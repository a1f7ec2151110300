"""Observers together, and the linger of long polls."""

from __future__ import annotations

from handlers.observer import Lingering, Observers
from handlers.protocol.names import Channel
from handlers.protocol.observed import Mode, Observed, Subscribed
from tests.handlers.noting import NotingObserver
from tests.support.clock import ManualClock

C, D = Channel("c"), Channel("d")


def polls(channel: Channel, subscribers: int, mode: Mode = "response") -> Subscribed:
    return Subscribed(mode, channel, subscribers)


class Lingerer:
    """A `Lingering` of ten seconds."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.clock = ManualClock()
        self.noting = NotingObserver()
        self.lingering = Lingering(self.noting, seconds=seconds, clock=self.clock)

    def told(self, *events: Observed) -> list[Observed]:
        for event in events:
            self.lingering.observe(event)
        return self.noting.take()


def test_all_observers_are_told_in_their_order() -> None:
    observers, first, second = Observers(), NotingObserver(), NotingObserver()
    observers.observe(polls(C, 1))
    observers.add(first)
    observers.add(second)
    observers.observe(polls(C, 2))
    assert first.take() == second.take() == [polls(C, 2)]


def test_the_end_of_the_last_poll_is_told_later() -> None:
    each = Lingerer()
    assert each.told(polls(C, 1), polls(C, 0)) == [polls(C, 1)]
    each.clock.advance(5)
    assert each.told(polls(D, 1), polls(D, 0)) == [polls(D, 1)]
    each.clock.advance(4.9)
    assert each.told() == []
    each.clock.advance(0.2)
    assert each.told() == [polls(C, 0)]
    each.clock.advance(5)
    assert each.told() == [polls(D, 0)]


def test_who_comes_back_in_time_was_never_away() -> None:
    each = Lingerer()
    each.told(polls(C, 1), polls(C, 0))
    each.clock.advance(9)
    assert each.told(polls(C, 1)) == [polls(C, 1)]
    each.clock.advance(100)
    assert each.told() == []
    each.told(polls(C, 0))
    each.clock.advance(10.1)
    assert each.told() == [polls(C, 0)]


def test_streams_and_websockets_do_not_linger() -> None:
    each = Lingerer()
    assert each.told(polls(C, 0, "stream"), polls(C, 0, "ws")) == [polls(C, 0, "stream"), polls(C, 0, "ws")]


def test_with_no_linger_the_end_is_told_at_once() -> None:
    assert Lingerer(0.0).told(polls(C, 1), polls(C, 0)) == [polls(C, 1), polls(C, 0)]


def test_nothing_more_is_told_once_it_is_closed() -> None:
    each = Lingerer()
    each.told(polls(C, 1), polls(C, 0))
    each.lingering.close()
    each.lingering.close()
    each.clock.advance(100)
    assert each.told() == []
