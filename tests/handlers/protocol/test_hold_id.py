from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.hold_id import FIRST, HoldId, Stamps, parse_hold_id

stamps = st.integers(min_value=0, max_value=2**60 - 1)
numbers = st.integers(min_value=1, max_value=999_999)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1-0", HoldId(0, 1)),
        ("12-64f3a8c1b2d3e", HoldId(0x64F3A8C1B2D3E, 12)),
        ("0-1", None),
        ("01-1", None),
        ("1-", None),
        ("-1", None),
        ("1-A", None),
        ("1-g", None),
        ("1-1 ", None),
        ("1-1\n", None),
        ("١-1", None),  # noqa: RUF001  # an Arabic digit
        ("1234567-1", None),
        ("1-1234567890123456", None),
        ("", None),
        ("123e4567-e89b-12d3-a456-426614174000", None),
    ],
)
def test_an_id_is_read_or_is_none(text: str, read: HoldId | None) -> None:
    assert parse_hold_id(text) == read


@given(stamps, numbers)
def test_an_id_comes_out_as_it_went_in(stamp: int, worker: int) -> None:
    assert parse_hold_id(HoldId(stamp, worker).text) == HoldId(stamp, worker)
    assert HoldId(stamp, worker) > FIRST


@given(st.text())
def test_any_text_is_an_id_or_is_none(text: str) -> None:
    read = parse_hold_id(text)
    assert read is None or read.text == text or text.startswith(f"{read.worker}-0")


@given(st.lists(st.floats(min_value=0, max_value=4e9)))
def test_no_two_have_one_moment_whatever_the_clock_does(walls: list[float]) -> None:
    clock = Stamps()
    taken = [clock.take(wall) for wall in walls]
    assert taken == sorted(set(taken))


def test_a_moment_is_the_clock_s_in_microseconds() -> None:
    clock = Stamps()
    assert [clock.take(1.5), clock.take(1.5), clock.take(1.0), clock.take(2.0)] == [
        1_500_000, 1_500_001, 1_500_002, 2_000_000,
    ]  # fmt: skip
