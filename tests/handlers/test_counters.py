"""The counters are numbers from zero. How they are shown, and with which texts, is tested with the metrics."""

from __future__ import annotations

import dataclasses

import pytest

from handlers.counters import GAUGES, Counters, Latencies, numbers, sum_up


def test_every_counter_starts_at_zero() -> None:
    assert set(dataclasses.asdict(Counters()).values()) == {0}


def test_a_counter_that_does_not_exist_cannot_be_counted() -> None:
    with pytest.raises(AttributeError):
        Counters().deliverys = 1  # type: ignore[attr-defined]


def test_what_several_processes_have_counted_adds_up() -> None:
    total = sum_up([{"requests": 1, "deliveries": 5}, {}, {"requests": 2}])
    assert total == Counters(requests=3, deliveries=5)


def test_latencies_add_up_with_them() -> None:
    one, other = Counters(requests=1), Counters(requests=2)
    one.fanout.observe(0.2)
    other.fanout.observe(0.2)
    other.backend.observe(20)
    total = sum_up([numbers(one), numbers(other)])
    assert total == Counters(requests=3)
    assert (sum(total.fanout.buckets), total.fanout.microseconds) == (2, 400_000)
    assert (total.backend.buckets[-1], total.backend.microseconds) == (1, 20_000_000)


def test_each_latency_says_what_it_is() -> None:
    assert set(Latencies.__annotations__) == set(Latencies.__slots__)


def test_what_goes_down_too_is_among_the_counters() -> None:
    assert {field.name for field in dataclasses.fields(Counters)} >= GAUGES
