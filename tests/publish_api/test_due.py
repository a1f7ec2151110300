from __future__ import annotations

from publish_api.due import Due
from tests.support.clock import ManualClock


def test_it_comes_once_after_its_time() -> None:
    clock, came = ManualClock(), list[float]()
    due = Due(clock, lambda: came.append(clock.now() - start))
    start = clock.now()
    due.set(5)
    clock.advance(4)
    assert came == []
    clock.advance(100)
    assert came == [5]
    assert clock.next_due() is None


def test_putting_it_off_needs_no_other_timer() -> None:
    clock, came = ManualClock(), list[float]()
    due = Due(clock, lambda: came.append(clock.now() - start))
    start = clock.now()
    due.set(5)
    first = clock.next_due()
    for _ in range(3):
        clock.advance(1)
        due.set(5)
    assert clock.next_due() == first
    clock.advance(100)
    assert came == [8]


def test_it_may_be_made_to_come_sooner() -> None:
    clock, came = ManualClock(), list[float]()
    due = Due(clock, lambda: came.append(clock.now() - start))
    start = clock.now()
    due.set(75)
    due.set(5)
    assert clock.next_due() == start + 5
    clock.advance(100)
    assert came == [5]


def test_it_may_be_set_anew_when_it_has_come() -> None:
    clock, came = ManualClock(), list[float]()
    due = Due(clock, lambda: came.append(clock.now() - start))
    start = clock.now()
    due.set(5)
    clock.advance(5)
    due.set(5)
    clock.advance(5)
    assert came == [5, 10]


def test_closed_it_never_comes() -> None:
    clock, came = ManualClock(), list[float]()
    due = Due(clock, lambda: came.append(0))
    due.set(5)
    due.close()
    due.set(5)
    assert clock.next_due() is None
    clock.advance(10)
    assert came == []
