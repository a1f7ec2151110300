"""One thing delivered on several channels, to each session once: `deliver` with a set of those who have it already."""

from __future__ import annotations

import pytest

from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription
from handlers.session import Session
from tests.handlers.room import Room


def item(channel: str, content: bytes = b"news") -> Item:
    """An item for every kind of session."""
    return Item(
        channel=Channel(channel),
        http_stream=HttpStreamFormat(content=content),
        http_response=HttpResponseFormat(body=content),
        ws_message=WsMessageFormat(content=content),
    )


async def test_each_kind_of_session_gets_it_once_however_many_of_the_channels_it_is_on(room: Room) -> None:
    streaming, stream = await room.stream("a", "b")
    old, raw = await room.stream("b", "a", chunked=False)
    polling, poll = await room.poll("a", "b")
    plain, socket, _ = await room.websocket("a", "b")
    deflated, other, _ = await room.websocket("b", "a", is_deflated=True)
    told: set[Session] = set()
    assert [room.edge.deliver(item(channel), told) for channel in ("a", "b", "c")] == [5, 0, 0]
    assert told == {stream, raw, poll, socket, other}
    assert room.counters.deliveries == 5
    room.edge.deliver(item("a", b"end"))
    assert [await streaming.chunk(), await streaming.chunk()] == [b"news", b"end"]
    assert await old.read_exactly(7) == b"newsend"
    assert (await polling.response()).body == b"news"
    for client in (plain, deflated):
        assert [await client.heard(), await client.heard()] == ["news", "end"]


async def test_who_is_on_the_second_channel_alone_gets_it_there(room: Room) -> None:
    both, _ = await room.stream("a", "b")
    second, _ = await room.stream("b")
    told: set[Session] = set()
    assert [room.edge.deliver(item(channel), told) for channel in "ab"] == [1, 1]
    assert await both.chunk() == await second.chunk() == b"news"
    assert both.pending() == b""


async def test_without_a_set_each_channel_delivers(room: Room) -> None:
    client, _ = await room.stream("a", "b")
    assert [room.edge.deliver(item(channel)) for channel in "ab"] == [1, 1]
    assert [await client.chunk(), await client.chunk()] == [b"news", b"news"]


async def test_who_could_not_be_given_it_on_one_channel_may_get_it_on_another(room: Room) -> None:
    client, session = await room.stream("a", filters=("var-subst",))
    room.edge.subscribe(session, Subscription(channel=Channel("b")))
    told: set[Session] = set()
    assert [room.edge.deliver(item(channel, b"%(x)s"), told) for channel in "ab"] == [0, 1]
    assert told == {session}
    assert await client.chunk() == b"%(x)s"
    assert room.counters.filters_failed == 1


async def test_whose_filters_change_it_gets_it_once_as_well(room: Room) -> None:
    client, session = await room.stream("a", "b", filters=("var-subst",), meta={"x": "mine"})
    told: set[Session] = set()
    assert [room.edge.deliver(item(channel, b"%(x)s"), told) for channel in "ab"] == [1, 0]
    assert told == {session}
    assert await client.chunk() == b"mine"
    assert client.pending() == b""


@pytest.mark.parametrize("kind", ["stream", "poll", "websocket"])
async def test_who_leaves_meanwhile_is_told_nothing_more(room: Room, kind: str) -> None:
    held = await getattr(room, kind)("a", "b")
    session: Session = held[1]
    told: set[Session] = set()
    session.leave()
    assert [room.edge.deliver(item(channel), told) for channel in "ab"] == [0, 0]
    assert told == set()


async def test_of_several_items_each_session_gets_the_first_that_reaches_it(room: Room) -> None:
    client, _ = await room.stream("a", "b")
    other, _ = await room.stream("b")
    assert room.edge.deliver_once([item("a", b"one"), item("b", b"two")]) == 2
    assert room.edge.deliver_once([item("b", b"end")]) == 2
    assert [await client.chunk(), await client.chunk()] == [b"one", b"end"]
    assert [await other.chunk(), await other.chunk()] == [b"two", b"end"]
