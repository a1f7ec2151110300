"""The edge that tells of deliveries: of each item and format that went to somebody."""

from __future__ import annotations

from handlers.observed_edge import ObservedEdge
from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.observed import Delivered, Interest
from tests.handlers.noting import NotingObserver
from tests.handlers.room import Room, message_item, stream_item

C = Channel("c")


async def observed(room: Room) -> NotingObserver:
    """Put another edge into the room."""
    noting = NotingObserver()
    edge = ObservedEdge(clock=room.clock, wheel=room.wheel, counters=room.counters, settings=room.settings)
    edge.watch(noting, Interest(deliveries=True))
    room.edge = edge
    object.__setattr__(room.site, "index", edge)
    return noting


async def test_each_format_that_somebody_got_is_told(room: Room) -> None:
    noting = await observed(room)
    await room.stream("c")
    await room.stream("c", chunked=False)
    await room.poll("c")
    item = Item(
        channel=C,
        id=ItemId("i"),
        http_stream=HttpStreamFormat(content=b"a"),
        http_response=HttpResponseFormat(body=b"b"),
    )
    assert room.edge.deliver_all([item, message_item("c", b"for nobody"), stream_item("d", b"for nobody")]) == [3, 0, 0]
    assert noting.take() == [
        Delivered(C, ItemId("i"), "http-stream", 2),
        Delivered(C, ItemId("i"), "http-response", 1),
    ]


async def test_items_of_a_run_are_told_of_one_by_one(room: Room) -> None:
    noting = await observed(room)
    socket, _, _ = await room.websocket("c")
    assert room.edge.deliver_all([message_item("c", b"1"), message_item("c", b"2")]) == [1, 1]
    assert noting.take() == [Delivered(C, None, "ws-message", 1)] * 2
    assert [(await socket.frame()).data, (await socket.frame()).data] == [b"1", b"2"]
