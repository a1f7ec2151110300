from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.latency import BOUNDS, Latency


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0.0, 0),
        (0.0001, 0),
        (0.00011, 1),
        (0.001, 3),
        (1.0, 12),
        (1.1, 13),
        (10.0, len(BOUNDS) - 1),
        (10.1, len(BOUNDS)),
    ],
)
def test_a_bound_is_in_its_bucket(seconds: float, bucket: int) -> None:
    latency = Latency()
    latency.observe(seconds)
    assert [place for place, count in enumerate(latency.buckets) if count] == [bucket]


def test_bounds_grow() -> None:
    assert all(lower < upper for lower, upper in pairwise(BOUNDS))


def test_of_nothing_there_are_no_numbers() -> None:
    assert Latency().numbers() == {}


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100)))
def test_what_two_processes_have_seen_can_be_added_up(ours: list[float], theirs: list[float]) -> None:
    one, other, both = Latency(), Latency(), Latency()
    for seconds in ours:
        one.observe(seconds)
    for seconds in theirs:
        other.observe(seconds)
    for latency in (one, other):
        both.add(latency.numbers())
    durations = ours + theirs
    places = [bisect_left(BOUNDS, seconds) for seconds in durations]
    assert both.buckets == [places.count(place) for place in range(len(BOUNDS) + 1)]
    assert both.microseconds == sum(int(seconds * 1_000_000) for seconds in durations)
