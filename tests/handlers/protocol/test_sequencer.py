"""Items that say what they follow: in order when they can be, late when they must be, never lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.items import Item
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.sequencer import Sequencer

WAIT = 5.0
NOW = 1000.0


def sequencer(*, limit: int = 100, channels: int = 1000) -> Sequencer:
    return Sequencer(wait=WAIT, limit=limit, channels=channels)


def item(name: str, after: str | None = None, *, channel: str = "c", no_seq: bool = False) -> Item:
    """An item with the id `name`; an empty name is no id."""
    return Item(
        channel=Channel(channel),
        id=ItemId(name) if name else None,
        prev_id=ItemId(after) if after else None,
        no_seq=no_seq,
    )


def names(items: tuple[Item, ...]) -> list[str]:
    return [each.id or "" for each in items]


@pytest.mark.parametrize(
    ("put", "taken"),
    [
        pytest.param([item("2", "1")], [["2"]], id="nothing is known of the channel"),
        pytest.param([item("1"), item("2", "1"), item("3", "2")], [["1"], ["2"], ["3"]], id="in order"),
        pytest.param([item("1"), item("3", "2"), item("2", "1")], [["1"], [], ["2", "3"]], id="one early"),
        pytest.param(
            [item("1"), item("4", "3"), item("3", "2"), item("2", "1")],
            [["1"], [], [], ["2", "3", "4"]],
            id="two early",
        ),
        pytest.param([item("1"), item("3"), item("2", "1")], [["1"], ["3"], []], id="one that follows nothing"),
        pytest.param([item("1"), item(""), item("9", "8")], [["1"], [""], ["9"]], id="an item without an id"),
        pytest.param([item("1"), item("", "1"), item("9", "8")], [["1"], [""], ["9"]], id="the last without an id"),
        pytest.param(
            [item("1"), item("3", "2", no_seq=True), item("2", "1")],
            [["1"], ["3"], ["2"]],
            id="one that asks for no order",
        ),
        pytest.param(
            [item("1"), item("3", "2", channel="other"), item("2", "1")], [["1"], ["3"], ["2"]], id="another channel"
        ),
        pytest.param(
            [item("1"), item("a", "2"), item("b", "2"), item("2", "1")],
            [["1"], [], [], ["2", "a", "b"]],
            id="two after one",
        ),
        pytest.param([item("1"), item("2", "2"), item("2", "1")], [["1"], [], ["2", "2"]], id="after itself"),
    ],
)
def test_what_comes_out_as_each_item_is_put_in(put: list[Item], taken: list[list[str]]) -> None:
    machine = sequencer()
    assert [names(machine.take(each, NOW).items) for each in put] == taken


def test_what_waits_comes_out_when_its_time_is_over() -> None:
    machine = sequencer()
    machine.take(item("1"), NOW)
    assert machine.next_due == math.inf
    machine.take(item("4", "3"), NOW + 1)
    machine.take(item("3", "2"), NOW + 2)
    machine.take(item("9", "8"), NOW + 2)
    assert (machine.next_due, machine.waiting) == (NOW + 1 + WAIT, 3)
    assert machine.expire(NOW + 1 + WAIT - 0.01).items == ()
    first = machine.expire(NOW + 1 + WAIT)
    assert (names(first.items), first.late) == (["4"], 1)
    rest = machine.expire(NOW + 60)
    assert (names(rest.items), rest.late) == (["3", "9"], 2)
    assert (machine.next_due, machine.waiting) == (math.inf, 0)


def test_all_that_waits_can_be_had_at_once() -> None:
    machine = sequencer()
    assert machine.expire(math.inf).items == ()
    machine.take(item("1"), NOW)
    for name in "47":
        machine.take(item(name, str(int(name) - 1)), NOW)
    released = machine.expire(math.inf)
    assert (names(released.items), released.late, machine.waiting) == (["4", "7"], 2, 0)


def test_what_is_overdue_brings_along_what_waited_for_it() -> None:
    machine = sequencer()
    machine.take(item("1"), NOW)
    machine.take(item("3", "2"), NOW)
    machine.take(item("4", "3"), NOW + 1)
    released = machine.expire(NOW + WAIT)
    assert (names(released.items), released.late) == (["3", "4"], 1)
    assert machine.next_due == math.inf


def test_the_last_id_after_an_overdue_item_is_its_own() -> None:
    machine = sequencer()
    machine.take(item("1"), NOW)
    machine.take(item("3", "2"), NOW)
    machine.expire(NOW + WAIT)
    assert names(machine.take(item("4", "3"), NOW + WAIT).items) == ["4"]


def test_too_many_on_one_channel_come_out_in_the_order_of_their_coming() -> None:
    machine = sequencer(limit=3)
    machine.take(item("0"), NOW)
    for name in "642":
        assert machine.take(item(name, str(int(name) - 1)), NOW).items == ()
    machine.take(item("9", "8", channel="other"), NOW)
    released = machine.take(item("7", "6"), NOW)
    assert (names(released.items), released.late) == (["6", "7", "4", "2"], 3)
    assert machine.waiting == 0


def test_forgetting_puts_whatever_comes_next_in_order() -> None:
    machine = sequencer()
    machine.take(item("1"), NOW)
    machine.forget()
    assert names(machine.take(item("8", "7"), NOW).items) == ["8"]


def test_a_channel_that_is_forgotten_for_others_begins_anew() -> None:
    machine = sequencer(channels=1)
    machine.take(item("1"), NOW)
    machine.take(item("1", channel="other"), NOW)
    assert names(machine.take(item("9", "8"), NOW).items) == ["9"]


CHAIN = [item("0"), *(item(str(number), str(number - 1)) for number in range(1, 12))]


@given(st.permutations(CHAIN[1:]))
def test_a_chain_in_any_order_comes_out_in_its_own(shuffled: list[Item]) -> None:
    machine = sequencer()
    out = list(machine.take(CHAIN[0], NOW).items)
    for each in shuffled:
        out += machine.take(each, NOW).items
    assert out == CHAIN
    assert (machine.waiting, machine.next_due) == (0, math.inf)


IDS = st.sampled_from(["", "1", "2", "3", "4"])
ITEMS = st.builds(
    lambda name, after, channel, no_seq: item(name, after, channel=channel, no_seq=no_seq),
    IDS, IDS, st.sampled_from("ab"), st.booleans(),
)  # fmt: skip


@given(st.lists(st.tuples(ITEMS, st.floats(0, 3))), st.integers(1, 5))
def test_every_item_comes_out_once_and_none_waits_beyond_its_time(steps: list[tuple[Item, float]], limit: int) -> None:
    machine = sequencer(limit=limit)
    now = NOW
    out: list[Item] = []
    for count, (each, pause) in enumerate(steps, 1):
        now += pause
        out += machine.expire(now).items
        out += machine.take(each, now).items
        assert machine.next_due > now
        assert len(out) + machine.waiting == count
    out += machine.expire(now + WAIT).items
    assert sorted(map(id, out)) == sorted(id(each) for each, _ in steps)
    assert machine.waiting == 0
