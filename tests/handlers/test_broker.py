"""The broker: one order for everybody, and an id on a channel only once while it is remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from handlers.broker import Broker, RecentIds
from handlers.edge import Edge
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.items import Item
from handlers.protocol.names import Channel, ItemId
from handlers.settings import HoldSettings
from tests.handlers.room import Room, stream_item

TTL = 60.0
ROOM = "room"
ONE = "one"


def broker_of(room: Room, *, ttl: float = TTL) -> Broker:
    return Broker(
        edge=room.edge,
        clock=room.clock,
        wheel=room.wheel,
        counters=room.counters,
        settings=HoldSettings(id_cache_ttl=ttl),
    )


def with_id(item: Item, item_id: str) -> Item:
    return replace(item, id=ItemId(item_id))


def following(item: Item, item_id: str, prev_id: str) -> Item:
    return replace(item, id=ItemId(item_id), prev_id=ItemId(prev_id))


# -- the broker -----------------------------------------------------------------------------------------------------


async def test_items_are_delivered_in_the_order_they_came(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([stream_item("room", b"%d" % number) for number in range(10)])
    broker.publish([stream_item("room", b"last")])
    expected = b"".join(encode_chunk(b"%d" % number) for number in range(10)) + encode_chunk(b"last")
    assert await client.read_exactly(len(expected)) == expected
    assert (room.counters.publications, room.counters.deliveries) == (11, 11)


async def test_an_id_seen_before_is_dropped_counted_and_logged(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    with caplog.at_level("INFO", "holdfast.broker"):
        broker.publish([with_id(stream_item("room", b"first"), "1"), with_id(stream_item("room", b"again"), "1")])
        broker.publish([with_id(stream_item("room", b"other"), "2")])
    assert await client.chunk() == b"first"
    assert await client.chunk() == b"other"
    assert (room.counters.publications, room.counters.publications_duplicate) == (2, 1)
    assert "publish channel=room receivers=1" in caplog.messages
    assert "publish channel=room id=1 dropped: this id was published before" in caplog.messages


async def test_items_without_an_id_are_never_duplicates(room: Room) -> None:
    client, _ = await room.stream("room")
    broker_of(room).publish([stream_item("room", b"same")] * 2)
    assert [await client.chunk(), await client.chunk()] == [b"same", b"same"]


async def test_an_id_is_that_of_its_channel(room: Room) -> None:
    client, _ = await room.stream("a", "b")
    broker_of(room).publish([with_id(stream_item("a", b"a"), "1"), with_id(stream_item("b", b"b"), "1")])
    assert [await client.chunk(), await client.chunk()] == [b"a", b"b"]


async def test_an_id_may_come_again_once_it_is_forgotten(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    for content in (b"first", b"too soon", b"late enough"):
        broker.publish([with_id(stream_item("room", content), "1")])
        room.clock.advance(TTL / 2)
    assert [await client.chunk(), await client.chunk()] == [b"first", b"late enough"]


async def test_an_item_whose_delivery_failed_may_be_published_again(room: Room) -> None:
    """The publisher has been told 500, and sends it once more."""
    edge = FailingEdge(room)
    broker = Broker(edge=edge, clock=room.clock, wheel=room.wheel, counters=room.counters, settings=HoldSettings())
    item = with_id(stream_item("room", b"news"), "1")
    with pytest.raises(AssertionError):
        broker.publish([item])
    broker.publish([item])
    broker.publish([item])
    assert edge.delivered == [item]
    assert room.counters.publications_duplicate == 1


async def test_what_waits_is_delivered_before_the_end(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.close()
    broker = broker_of(room)
    broker.publish([with_id(stream_item("room", b"1"), "1"), following(stream_item("room", b"3"), "3", "2")])
    assert await client.chunk() == b"1"
    assert client.pending() == b""
    broker.close()
    assert await client.chunk() == b"3"
    broker.publish([following(stream_item("room", b"9"), "9", "8")])
    assert await client.chunk() == b"9"
    assert (room.counters.publications_late, broker.deadline) == (2, math.inf)
    assert "publish channel=room: 1 items delivered without the one that they follow" in caplog.messages


async def test_what_had_waited_and_was_not_delivered_is_counted(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    edge = FailingEdge(room)
    edge.is_faulty = False
    broker = Broker(edge=edge, clock=room.clock, wheel=room.wheel, counters=room.counters, settings=HoldSettings())
    broker.publish([with_id(stream_item("room", b"1"), "1"), following(stream_item("room", b"3"), "3", "2")])
    edge.is_faulty = True
    with pytest.raises(AssertionError):
        broker.publish([following(stream_item("room", b"2"), "2", "1")])
    assert room.counters.publications_lost == 1
    broker.publish([following(stream_item("room", b"9"), "9", "8")])
    edge.is_faulty = True
    broker.close()
    assert room.counters.publications_lost == 2
    assert caplog.messages.count("1 items that had waited were not delivered") == 2


async def test_the_broker_knows_what_it_would_drop(room: Room) -> None:
    """Asked by those who do something with an item before it is published (`handlers.hub.bridge`)."""
    broker = broker_of(room)
    item = with_id(stream_item("room", b"content"), "1")
    assert not broker.knows(item)
    broker.publish([item])
    assert broker.knows(item)
    assert not broker.knows(with_id(item, "2"))
    assert not broker.knows(with_id(stream_item("other"), "1"))
    assert not broker.knows(stream_item("room", b"content")), "without an id there is nothing to know"
    room.clock.advance(TTL)
    assert not broker.knows(item)
    assert room.counters.publications_duplicate == 0


async def test_publishing_to_nobody_counts_as_published(room: Room) -> None:
    broker_of(room).publish([stream_item("nobody", b"is there")])
    assert (room.counters.publications, room.counters.deliveries) == (1, 0)


# -- the memory of ids ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "is_known"),
    [(0.0, True), (TTL - 0.001, True), (TTL, False), (TTL + 0.001, False)],
)
def test_an_id_is_known_until_its_time_is_over(after: float, is_known: bool) -> None:
    recent = RecentIds(ttl=TTL)
    assert not seen(recent, ROOM, ONE, 1_000.0)
    assert seen(recent, ROOM, ONE, 1_000.0 + after) is is_known


def test_seeing_an_id_again_does_not_make_it_known_for_longer() -> None:
    recent = RecentIds(ttl=TTL)
    assert [seen(recent, ROOM, ONE, now) for now in (0.0, 50.0, 60.0)] == [False, True, False]


def test_without_a_time_nothing_is_known() -> None:
    recent = RecentIds(ttl=0)
    assert [seen(recent, ROOM, ONE, 5.0) for _ in range(3)] == [False] * 3
    assert held_by(recent) == (0, 0)


def test_memory_is_released_as_ids_are_forgotten() -> None:
    recent = RecentIds(ttl=TTL)
    for second in range(5_000):
        seen(recent, ROOM, f"{second}", float(second))
    assert held_by(recent) == (TTL, TTL)
    seen(recent, ROOM, ONE, 10_000.0)
    assert held_by(recent) == (1, 1)


@given(
    ttl=st.floats(min_value=0.5, max_value=20),
    events=st.lists(st.tuples(st.floats(min_value=0, max_value=8), st.sampled_from("abc"), st.sampled_from("12"))),
)
def test_the_memory_does_what_a_plain_table_would(ttl: float, events: list[tuple[float, str, str]]) -> None:
    recent = RecentIds(ttl=ttl)
    until: dict[tuple[str, str], float] = {}
    now = 0.0
    for seconds, channel, item_id in events:
        now += seconds
        is_known = until.get((channel, item_id), 0.0) > now
        assert seen(recent, channel, item_id, now) is is_known
        if not is_known:
            until[channel, item_id] = now + ttl


class FailingEdge(Edge):
    """An edge that fails at its first delivery, and notes the others."""

    def __init__(self, room: Room) -> None:
        super().__init__(clock=room.clock, wheel=room.wheel, counters=room.counters, settings=room.settings)
        self.delivered: list[Item] = []
        self.is_faulty = True

    def deliver_all(self, items: Sequence[Item]) -> list[int]:
        if self.is_faulty:
            self.is_faulty = False
            raise AssertionError("a fault")
        self.delivered += items
        return super().deliver_all(items)


def seen(recent: RecentIds, channel: str, item_id: str, now: float) -> bool:
    """Say whether an id is known, and have it remembered if it is not, as the broker does."""
    is_known = recent.knows(Channel(channel), ItemId(item_id), now)
    if not is_known:
        recent.remember(Channel(channel), ItemId(item_id), now)
    return is_known


def held_by(recent: RecentIds) -> tuple[int, int]:
    """Return how many ids are in the set and in the queue."""
    return len(recent._known), len(recent._order)  # noqa: SLF001  # what is not held any more can't be seen outside
