"""The counters are numbers from zero. How they are shown, and with which texts, is tested with the metrics."""

from __future__ import annotations

import dataclasses

import pytest

from handlers.counters import Counters


def test_every_counter_starts_at_zero() -> None:
    assert set(dataclasses.asdict(Counters()).values()) == {0}


def test_a_counter_that_does_not_exist_cannot_be_counted() -> None:
    with pytest.raises(AttributeError):
        Counters().deliverys = 1  # type: ignore[attr-defined]
