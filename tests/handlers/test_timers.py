"""The wheel against a plain list of deadlines: never early, at most one bucket late, nothing kept that has ended."""

from __future__ import annotations

import asyncio
import gc
import math
import time
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.timers import NOWHERE, LoopClock, TimerWheel
from tests.support.clock import START, ManualClock

RESOLUTION = TimerWheel.RESOLUTION


class Entry:
    """Something with a deadline, which notes when it is called."""

    def __init__(self, deadline: float, then: Callable[[Entry, float], None] | None = None) -> None:
        self.deadline = deadline
        self.tick = NOWHERE
        self.fired: list[float] = []
        self._then = then

    def expire(self, now: float) -> None:
        self.fired.append(now)
        self.deadline = math.inf
        if self._then is not None:
            self._then(self, now)


class LateClock(ManualClock):
    """A clock of a process that was suspended: its callbacks run `lateness` seconds after they were due."""

    def __init__(self) -> None:
        super().__init__()
        self.lateness = 0.0

    def now(self) -> float:
        return super().now() + self.lateness


# -- one entry ------------------------------------------------------------------------------------------------------


@given(delay=st.floats(min_value=0, max_value=5_000), start=st.floats(min_value=0, max_value=1e7))
def test_an_entry_fires_once_never_early_and_at_most_one_bucket_late(delay: float, start: float) -> None:
    clock = ManualClock(start=start)
    wheel = TimerWheel(clock)
    entry = Entry(start + delay)
    wheel.watch(entry)
    clock.advance(delay + 2 * RESOLUTION)
    (fired,) = entry.fired
    assert entry.deadline == math.inf
    assert start + delay <= fired <= start + delay + RESOLUTION
    assert clock.next_due() is None


@given(tick=st.integers(min_value=1, max_value=10_000_000), step=st.sampled_from([-math.inf, math.inf]))
def test_a_deadline_a_rounding_beside_a_bucket_fires_all_the_same(tick: int, step: float) -> None:
    """In tenths of a second its bucket could come up before it, be filed again, and come up again for ever."""
    begin = tick * RESOLUTION
    clock = ManualClock(start=begin - 1)
    wheel = TimerWheel(clock)
    entries = [Entry(math.nextafter(begin, step)), Entry(math.nextafter(math.floor(begin * 10) * 0.1, step))]
    for entry in entries:
        wheel.watch(entry)
    deadlines = [entry.deadline for entry in entries]
    clock.advance_to(begin + 1)
    for entry, deadline in zip(entries, deadlines, strict=True):
        assert max(deadline, begin - 1) <= entry.fired[0] <= max(deadline, begin - 1) + RESOLUTION


def test_a_deadline_that_is_never_is_not_watched() -> None:
    clock = ManualClock()
    entry = Entry(math.inf)
    TimerWheel(clock).watch(entry)
    assert entry.tick == NOWHERE
    assert clock.next_due() is None


def test_a_deadline_gone_by_fires_at_the_next_turn() -> None:
    clock = ManualClock()
    entry = Entry(START - 50)
    TimerWheel(clock).watch(entry)
    assert entry.fired == []
    clock.advance(0)
    assert entry.fired == [START]


def test_a_deadline_put_off_needs_no_word_to_the_wheel() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)
    entry = Entry(START + 10)
    wheel.watch(entry)
    for _ in range(100):
        clock.advance(9)
        entry.deadline = clock.now() + 10
    assert entry.fired == []
    clock.advance(10 + RESOLUTION)
    (fired,) = entry.fired
    assert START + 910 <= fired <= START + 910 + RESOLUTION


def test_a_deadline_brought_forward_needs_watching_again() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)
    entry = Entry(START + 100)
    wheel.watch(entry)
    entry.deadline = START + 5
    wheel.watch(entry)
    clock.advance(6)
    (fired,) = entry.fired
    assert START + 5 <= fired <= START + 5 + RESOLUTION
    clock.advance(200)
    assert len(entry.fired) == 1


def test_an_entry_may_watch_itself_again_when_it_fires() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)

    def again(entry: Entry, now: float) -> None:
        entry.deadline = now + 10
        wheel.watch(entry)

    entry = Entry(START + 10, again)
    wheel.watch(entry)
    clock.advance(100 + RESOLUTION)
    assert entry.fired == [START + 10 * beat for beat in range(1, 11)]


def test_a_deadline_months_ahead_is_kept_without_a_bucket_of_its_own() -> None:
    """Who comes and goes must not leave an empty bucket behind for months."""
    clock = ManualClock()
    wheel = TimerWheel(clock)
    months = 90 * 86_400.0
    entry = Entry(START + months)
    wheel.watch(entry)
    due = clock.next_due()
    assert due is not None
    assert due <= START + TimerWheel.HORIZON + RESOLUTION
    clock.advance(months - 1)
    assert entry.fired == []
    clock.advance(1 + RESOLUTION)
    assert entry.fired == [START + months]


# -- many entries ---------------------------------------------------------------------------------------------------


@given(
    delays=st.lists(st.floats(min_value=0, max_value=2_000), min_size=1, max_size=60),
    moves=st.lists(
        st.tuples(
            st.sampled_from(["watch", "postpone", "advance", "forget"]),
            st.integers(min_value=0, max_value=59),
            st.floats(min_value=0, max_value=300),
        ),
        max_size=60,
    ),
)
def test_the_wheel_does_what_a_plain_list_would(delays: list[float], moves: list[tuple[str, int, float]]) -> None:
    """The model: an entry is due when the clock has passed the deadline it had at last."""
    clock = ManualClock()
    wheel = TimerWheel(clock)
    entries = [Entry(START + delay) for delay in delays]
    due: dict[Entry, float] = {}
    for entry in entries:
        wheel.watch(entry)
        due[entry] = entry.deadline
    for move, index, seconds in [*moves, ("advance", 0, 3_000.0)]:
        entry = entries[index % len(entries)]
        match move:
            case "watch":
                entry.deadline = clock.now() + seconds
                wheel.watch(entry)
                due[entry] = entry.deadline
            case "postpone":
                if entry in due:
                    entry.deadline = due[entry] = max(due[entry], clock.now()) + seconds
            case "forget":
                wheel.forget(entry)
                due.pop(entry, None)
            case _:
                clock.advance(seconds)
                check(entries, due, clock.now())
    assert due == {}
    assert clock.next_due() is None


def check(entries: list[Entry], due: dict[Entry, float], now: float) -> None:
    """Compare what has fired with the model, and take it out of both."""
    for entry in entries:
        if entry.fired:
            (fired,) = entry.fired
            deadline = due.pop(entry)
            assert deadline <= fired
            entry.fired.clear()
        elif entry in due:
            assert due[entry] + RESOLUTION >= now


def test_thousands_of_entries_hang_on_one_callback() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)
    entries = [Entry(START + index * 0.001) for index in range(10_000)]
    for entry in entries:
        wheel.watch(entry)
    clock.advance(10 + RESOLUTION)
    assert [len(entry.fired) for entry in entries] == [1] * 10_000
    assert all(START + index * 0.001 <= entry.fired[0] for index, entry in enumerate(entries))


def test_a_process_that_was_suspended_for_hours_fires_each_entry_once() -> None:
    clock = LateClock()
    wheel = TimerWheel(clock)
    entries = [Entry(START + delay) for delay in range(1, 7_200, 7)]
    later = Entry(START + 40_000)
    for entry in (*entries, later):
        wheel.watch(entry)
    clock.lateness = 20_000.0
    clock.advance(1)
    assert [entry.fired for entry in entries] == [[START + 1 + 20_000]] * len(entries)
    assert later.fired == []
    clock.advance(21_000)
    assert len(later.fired) == 1


# -- leaving --------------------------------------------------------------------------------------------------------


def test_a_forgotten_entry_does_not_fire_and_is_not_kept_alive() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)
    entry = Entry(START + 5)
    alive = weakref.ref(entry)
    wheel.watch(entry)
    wheel.forget(entry)
    wheel.forget(entry)
    del entry
    gc.collect()
    assert alive() is None
    clock.advance(10)


def test_a_fired_entry_is_not_kept_alive() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)
    entry = Entry(START + 5)
    alive = weakref.ref(entry)
    wheel.watch(entry)
    clock.advance(10)
    del entry
    gc.collect()
    assert alive() is None


def test_entries_of_one_bucket_may_forget_each_other_when_they_fire() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)

    def forget_all(entry: Entry, now: float) -> None:
        for other in entries:
            wheel.forget(other)

    entries = [Entry(START + 1, forget_all) for _ in range(5)]
    for entry in entries:
        wheel.watch(entry)
    clock.advance(2)
    assert sum(len(entry.fired) for entry in entries) == 1


def test_an_entry_that_raises_does_not_cost_the_others_their_turn() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)

    def fail(entry: Entry, now: float) -> None:
        raise RuntimeError("a fault of its own")

    failing = Entry(START + 1, fail)
    others = [Entry(START + 1) for _ in range(20)] + [Entry(START + 2) for _ in range(20)]
    for entry in (*others[:10], failing, *others[10:]):
        wheel.watch(entry)
    with pytest.raises(RuntimeError, match="a fault of its own"):
        clock.advance(3)
    clock.advance(3)
    assert [len(entry.fired) for entry in others] == [1] * 40


def test_an_entry_may_bring_in_one_that_is_overdue() -> None:
    clock = ManualClock()
    wheel = TimerWheel(clock)
    overdue = Entry(START - 5)
    first = Entry(START + 1, lambda entry, now: wheel.watch(overdue))
    second = Entry(START + 1)
    for entry in (first, second):
        wheel.watch(entry)
    clock.advance(1)
    assert (len(first.fired), len(second.fired), len(overdue.fired)) == (1, 1, 1)
    assert clock.next_due() is None


# -- the real clock -------------------------------------------------------------------------------------------------


async def test_the_real_clock_is_the_loops() -> None:
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop)
    assert clock.now() <= loop.time() <= clock.now() + 1
    assert abs(clock.wall() - time.time()) < 1


async def test_the_real_clock_calls_at_a_time_and_after_a_delay() -> None:
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop)
    called: list[str] = []
    done = loop.create_future()
    clock.call_later(0.001, lambda: called.append("cancelled")).cancel()
    clock.call_at(clock.now() + 0.002, lambda: called.append("at"))
    clock.call_later(0.02, lambda: done.set_result(None))
    await done
    assert called == ["at"]


async def test_a_wheel_turns_on_the_real_clock() -> None:
    loop = asyncio.get_running_loop()
    wheel = TimerWheel(LoopClock(loop))
    done: asyncio.Future[float] = loop.create_future()
    entry = Entry(loop.time() + 0.01, lambda entry, now: done.set_result(now))
    deadline = entry.deadline
    wheel.watch(entry)
    assert await done >= deadline
