"""The test clock keeps the promises of `handlers.timers.Clock`."""

from __future__ import annotations

from functools import partial

from handlers.timers import Clock
from tests.support.clock import ManualClock


def test_it_is_a_clock() -> None:
    clock: Clock = ManualClock(start=5, wall=100)
    assert (clock.now(), clock.wall()) == (5, 100)


def test_callbacks_fire_in_order_each_at_its_own_time() -> None:
    clock = ManualClock(start=0)
    fired: list[tuple[str, float]] = []

    def note(name: str) -> None:
        fired.append((name, clock.now()))

    for name, when in (("c", 3.0), ("a", 1.0), ("late", 9.0), ("b", 3.0)):
        clock.call_at(when, partial(note, name))
    clock.advance(5)
    assert fired == [("a", 1), ("c", 3), ("b", 3)]
    assert (clock.now(), clock.next_due()) == (5, 9)


def test_what_a_callback_schedules_fires_if_it_is_due() -> None:
    clock = ManualClock(start=0)
    beats: list[float] = []

    def beat() -> None:
        beats.append(clock.now())
        clock.call_later(2, beat)

    beat()
    clock.advance(7)
    assert beats == [0, 2, 4, 6]


def test_a_cancelled_callback_does_not_fire() -> None:
    clock = ManualClock(start=0)
    fired: list[str] = []
    first = clock.call_later(1, lambda: fired.append("first"))
    clock.call_later(1, first.cancel)
    second = clock.call_later(2, lambda: fired.append("second"))
    clock.call_later(1, second.cancel)
    clock.advance(10)
    assert fired == ["first"]
    assert clock.next_due() is None


def test_a_time_gone_by_fires_at_the_next_turn_and_does_not_turn_back() -> None:
    clock = ManualClock(start=10)
    seen: list[float] = []
    clock.call_at(3, lambda: seen.append(clock.now()))
    assert seen == []
    clock.advance(0)
    assert seen == [10]
