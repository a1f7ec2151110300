"""Times in Go's notation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.go_duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("0", 0.0), ("0s", 0.0), ("40s", 40.0), ("1h30m", 5400.0), ("1.5h", 5400.0), ("300ms", 0.3), (".5s", 0.5)),
        *(("1.s", 1.0), ("2us", 2e-6), ("2µs", 2e-6), ("5ns", 5e-9), ("1d", 86_400.0), ("1m1m", 120.0)),
    ],
)
def test_a_time_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "40", "s", "-1s", "1 s", "1S", "1w", "1s ", "s1", "1.2.3s", "\N{ARABIC-INDIC DIGIT ONE}s", "00", "1s\n"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_duration(text)


@given(st.integers(0, 10_000), st.integers(0, 59), st.integers(0, 59))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds
