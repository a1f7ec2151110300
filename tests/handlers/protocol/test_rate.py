"""What is let through, by a clock that the test holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.rate import QUIET_SECONDS, Seldom, TokenBucket

INSTANTS = st.floats(min_value=0, max_value=1_000, allow_nan=False)
SCHEDULES = st.lists(INSTANTS, max_size=60)


def taken(bucket: TokenBucket, count: int, now: float) -> int:
    """Return how many of `count` events at one instant are let through."""
    return sum(bucket.take(now) for _ in range(count))


def test_a_new_bucket_lets_a_burst_through_at_once_and_no_more() -> None:
    bucket = TokenBucket(rate=2, burst=5, now=100)
    assert taken(bucket, 9, now=100) == 5


@pytest.mark.parametrize(("seconds", "events"), [(0.25, 0), (0.5, 1), (1, 2), (2.25, 4), (2.5, 5), (3_600, 5)])
def test_an_empty_bucket_fills_at_its_rate_up_to_the_burst(seconds: float, events: int) -> None:
    bucket = TokenBucket(rate=2, burst=5, now=100)
    taken(bucket, 5, now=100)
    assert taken(bucket, 9, now=100 + seconds) == events


def test_a_refused_event_costs_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1, now=0)
    assert bucket.take(0)
    assert not any(bucket.take(tenths / 8) for tenths in range(1, 8))
    assert bucket.take(1)


def test_a_rate_of_zero_is_no_limit() -> None:
    bucket = TokenBucket(rate=0, burst=0, now=0)
    assert taken(bucket, 1_000, now=0) == 1_000


@pytest.mark.parametrize("burst", [0, 0.5, 1])
def test_a_burst_of_less_than_one_event_counts_as_one(burst: float) -> None:
    bucket = TokenBucket(rate=0.5, burst=burst, now=0)
    assert taken(bucket, 3, now=0) == 1
    assert taken(bucket, 3, now=1) == 0
    assert taken(bucket, 3, now=2) == 1


def test_a_clock_that_goes_back_neither_adds_nor_takes() -> None:
    bucket = TokenBucket(rate=1, burst=2, now=10)
    assert bucket.take(10)
    assert bucket.take(4)
    assert not bucket.take(4)
    assert not bucket.take(10)
    assert bucket.take(11)


@given(
    rate=st.sampled_from([0.5, 1, 3, 50]), burst=st.integers(min_value=1, max_value=20), instants=SCHEDULES.map(sorted)
)
def test_no_stretch_of_time_has_more_than_its_rate_and_a_burst(rate: float, burst: int, instants: list[float]) -> None:
    bucket = TokenBucket(rate=rate, burst=burst, now=0)
    passed = [now for now in instants if bucket.take(now)]
    for first, start in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= burst + rate * (end - start) + 1e-6


@given(rate=st.floats(min_value=0, max_value=1e9), burst=st.floats(min_value=0, max_value=1e9), instants=SCHEDULES)
def test_any_clock_gives_an_answer_and_the_first_event_always_passes(
    rate: float, burst: float, instants: list[float]
) -> None:
    bucket = TokenBucket(rate=rate, burst=burst, now=500)
    first, *_ = [bucket.take(now) for now in (0, *instants)]
    assert first


def test_what_is_seldom_passes_at_once_and_then_after_a_while() -> None:
    seldom = Seldom()
    instants = [0.0, 0.1, QUIET_SECONDS - 0.1, QUIET_SECONDS, QUIET_SECONDS + 0.1, 3 * QUIET_SECONDS]
    assert [now for now in instants if seldom.take(now)] == [0.0, QUIET_SECONDS, 3 * QUIET_SECONDS]
