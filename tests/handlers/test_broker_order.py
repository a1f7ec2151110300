"""Items that name the one they follow: in order where that comes in time, late and said so where it does not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from handlers.broker import Broker
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.items import Item
from handlers.protocol.names import ItemId
from handlers.settings import HoldSettings
from tests.handlers.room import Room, stream_item

WAIT = 5.0


def broker_of(room: Room) -> Broker:
    return Broker(
        edge=room.edge,
        clock=room.clock,
        wheel=room.wheel,
        counters=room.counters,
        settings=HoldSettings(message_wait=WAIT, message_wait_limit=3),
    )


def item(name: str, after: str | None = None, *, channel: str = "room", no_seq: bool = False) -> Item:
    return replace(
        stream_item(channel, name.encode()),
        id=ItemId(name),
        prev_id=None if after is None else ItemId(after),
        no_seq=no_seq,
    )


def chunks(text: str) -> bytes:
    """What a stream is sent of one-letter items."""
    return b"".join(encode_chunk(letter.encode()) for letter in text)


async def test_an_early_item_waits_for_the_one_it_follows(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1"), item("3", "2")])
    assert await client.read_exactly(len(chunks("1"))) == chunks("1")
    broker.publish([item("2", "1")])
    assert await client.read_exactly(len(chunks("23"))) == chunks("23")
    assert (room.counters.publications, room.counters.publications_early, room.counters.publications_late) == (3, 1, 0)


async def test_items_that_come_out_of_order_in_one_publication_leave_in_order(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1"), item("4", "3"), item("3", "2"), item("2", "1")])
    assert await client.read_exactly(len(chunks("1234"))) == chunks("1234")


async def test_what_never_gets_its_predecessor_is_delivered_late(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1"), item("3", "2"), item("4", "3")])
    room.clock.advance(WAIT - 0.01)
    assert room.counters.publications_late == 0
    room.clock.advance(0.01 + room.wheel.RESOLUTION)
    assert await client.read_exactly(len(chunks("134"))) == chunks("134")
    assert room.counters.publications_late == 1
    assert "publish channel=room: 1 items delivered without the one that they follow" in caplog.messages


async def test_each_early_item_has_its_own_time(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1"), item("3", "2")])
    room.clock.advance(3)
    broker.publish([item("6", "5")])
    room.clock.advance(2 + room.wheel.RESOLUTION)
    assert await client.read_exactly(len(chunks("13"))) == chunks("13")
    assert client.pending() == b""
    room.clock.advance(3)
    assert await client.read_exactly(len(chunks("6"))) == chunks("6")


async def test_too_many_early_items_are_delivered_and_none_is_dropped(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1"), item("3", "2"), item("5", "4"), item("7", "6")])
    assert await client.read_exactly(len(chunks("1"))) == chunks("1")
    broker.publish([item("9", "8")])
    assert await client.read_exactly(len(chunks("3579"))) == chunks("3579")
    assert room.counters.publications_late == 4


async def test_an_item_that_asks_for_no_order_does_not_wait(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1"), item("9", "8", no_seq=True), item("2", "1")])
    assert await client.read_exactly(len(chunks("192"))) == chunks("192")


async def test_an_early_item_is_known_as_published(room: Room) -> None:
    await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1"), item("3", "2")])
    assert broker.knows(item("3", "2"))
    broker.publish([item("3", "2")])
    assert room.counters.publications_duplicate == 1


async def test_after_a_recovery_whatever_comes_is_in_order(room: Room) -> None:
    client, _ = await room.stream("room")
    broker = broker_of(room)
    broker.publish([item("1")])
    broker.recover()
    broker.publish([item("7", "6")])
    assert await client.read_exactly(len(chunks("17"))) == chunks("17")
