from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.hold_id import HoldId
from handlers.protocol.survey import (
    ChannelRow,
    ConnectionRow,
    CountChannel,
    FindConnections,
    Findings,
    Kind,
    ListChannels,
    ListConnections,
    merge,
)


def connection(stamp: int, worker: int = 1) -> ConnectionRow:
    hold_id = HoldId(stamp, worker)
    return ConnectionRow(hold_id, hold_id.text, Kind.STREAM, "grip", "127.0.0.1", "", "http://a/", ("c",))


def stamps(found: Findings) -> list[HoldId]:
    return [row.hold_id for row in found.connections]


def test_what_nobody_found_is_nothing() -> None:
    assert merge(FindConnections(("a",)), ()) == Findings()
    assert merge(CountChannel("a"), (Findings(), Findings())) == Findings()


def test_counts_of_one_channel_are_added_up() -> None:
    found = merge(
        CountChannel("a"),
        (Findings(channels=(ChannelRow("a", 1, 2, 3),)), Findings(), Findings(channels=(ChannelRow("a", 10, 20, 30),))),
    )
    assert found.channels == (ChannelRow("a", 11, 22, 33),)


def test_channels_are_by_name_and_not_more_than_was_asked_for() -> None:
    one = Findings(channels=(ChannelRow("a", 1), ChannelRow("c", 1)))
    other = Findings(channels=(ChannelRow("b", ws=2), ChannelRow("c", response=3)))
    assert merge(ListChannels(limit=2), (one, other)).channels == (ChannelRow("a", 1), ChannelRow("b", ws=2))
    assert merge(ListChannels(limit=3), (one, other)).channels[2] == ChannelRow("c", 1, 3)


def test_connections_are_by_when_they_came_and_then_by_worker() -> None:
    one = Findings(connections=(connection(1), connection(3)))
    other = Findings(connections=(connection(1, 2), connection(2, 2)))
    assert stamps(merge(ListConnections(limit=3), (other, one))) == [HoldId(1, 1), HoldId(1, 2), HoldId(2, 2)]


def test_whoever_has_not_answered_is_named_once() -> None:
    each = (Findings(missing=(3,)), Findings(missing=(1, 3)), Findings(connections=(connection(1),)))
    found = merge(FindConnections(("x",)), each)
    assert (found.missing, len(found.connections)) == ((1, 3), 1)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers(1, 9)), max_size=4), st.integers(1, 5))
def test_pages_of_several_are_those_of_one_that_has_all(workers: list[dict[str, int]], limit: int) -> None:
    """Each worker gives the first of its own only; together they give the first of all, with all that is there."""
    total: Counter[str] = Counter()
    for held in workers:
        total.update(held)
    seen: dict[str, int] = {}
    after: str | None = None
    while True:
        each = []
        for held in workers:
            names = sorted(name for name in held if after is None or name > after)[:limit]
            each.append(Findings(channels=tuple(ChannelRow(name, held[name]) for name in names)))
        page = merge(ListChannels(after=after, limit=limit), each).channels
        if not page:
            break
        seen |= {row.channel: row.stream for row in page}
        after = page[-1].channel
    assert seen == dict(total)
