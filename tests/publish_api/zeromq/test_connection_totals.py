"""How many connections there are, told once a second at most, and again in time."""

from __future__ import annotations

from publish_api.zeromq.connection_totals import ConnectionTotals


def test_the_most_since_the_last_message_is_told() -> None:
    totals = ConnectionTotals(ttl=40)
    assert totals.take_due(0) == []
    for step in (1, 1, -1):
        totals.step("", step)
    assert totals.take_due(10) == [{"max": 2, "ttl": 40}]
    totals.step("", -1)
    assert totals.take_due(10.5) == []
    assert totals.take_due(11) == [{"max": 1, "ttl": 40}]
    assert totals.take_due(12) == [{"max": 0, "ttl": 40}]
    assert totals.take_due(1000) == []


def test_what_has_not_changed_is_told_again_in_time() -> None:
    totals = ConnectionTotals(ttl=40)
    totals.step("", 1)
    assert totals.take_due(0) == [{"max": 1, "ttl": 40}]
    assert totals.take_due(29.9) == []
    assert totals.take_due(30) == [{"max": 1, "ttl": 40}]


def test_routes_with_an_id_are_counted_each() -> None:
    totals = ConnectionTotals(ttl=40)
    for route in ("a", "", "a", "b"):
        totals.step(route, 1)
    assert totals.take_due(0) == [
        {"route": "a", "max": 2, "ttl": 40},
        {"max": 1, "ttl": 40},
        {"route": "b", "max": 1, "ttl": 40},
    ]
