from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.subscribing import Subscription
from proxy.grip_session.held import HeldSessions
from tests.handlers.room import Room


@pytest.fixture
async def room() -> AsyncGenerator[Room]:
    async with Room() as room:
        yield room


def for_streams(channel: str, item_id: str | None, action: Action = Action.SEND) -> Item:
    published = HttpStreamFormat(content=b"x", action=action)
    return Item(channel=Channel(channel), id=None if item_id is None else ItemId(item_id), http_stream=published)


def for_polls(channel: str, item_id: str) -> Item:
    return Item(channel=Channel(channel), id=ItemId(item_id), http_response=HttpResponseFormat(body=b"x"))


async def test_a_session_has_seen_the_last_of_what_its_streams_are_sent(room: Room) -> None:
    held = HeldSessions(room.edge)
    _, one = await room.stream("p-a", "p-b", prefix="p-")
    _, two = await room.stream("p-a", prefix="p-")
    held.add(one, "s1")
    held.add(two, "s2")
    items = [for_streams("p-a", "1"), for_streams("p-a", "2"), for_streams("p-b", "3"), for_streams("c", "4")]
    assert held.receivers(items) == {"s1": {"a": "2", "b": "3"}, "s2": {"a": "2"}}


async def test_what_is_not_sent_or_has_no_id_has_not_been_seen(room: Room) -> None:
    held = HeldSessions(room.edge)
    _, session = await room.stream("a")
    held.add(session, "s")
    assert held.receivers([for_streams("a", None)]) == {}
    assert held.receivers([for_streams("a", "1", Action.HINT)]) == {}
    assert held.receivers([for_polls("a", "1")]) == {}


def for_sockets(channel: str, item_id: str, action: Action = Action.SEND) -> Item:
    return Item(channel=Channel(channel), id=ItemId(item_id), ws_message=WsMessageFormat(content=b"x", action=action))


async def test_a_websocket_may_be_named_and_named_otherwise(room: Room) -> None:
    held = HeldSessions(room.edge)
    _, socket, _ = await room.websocket(grip=b"m:")
    _, other, _ = await room.websocket(grip=b"m:")
    for each in (socket, other):
        room.edge.subscribe(each, Subscription(channel=Channel("a")))
    held.name(socket, "s1")
    assert held.receivers([for_sockets("a", "1"), for_streams("a", "2"), for_sockets("b", "3")]) == {"s1": {"a": "1"}}
    assert held.receivers([for_sockets("a", "1", Action.REFRESH)]) == {}
    held.name(socket, "s2")
    assert held.receivers([for_sockets("a", "4")]) == {"s2": {"a": "4"}}
    held.name(socket, None)
    assert held.receivers([for_sockets("a", "5")]) == {}
    assert len(held) == 0


async def test_a_websocket_that_has_ended_is_forgotten_in_time(room: Room) -> None:
    held = HeldSessions(room.edge, tidy_from=2)
    for _ in range(2):
        _, socket, _ = await room.websocket(grip=b"m:")
        held.name(socket, "s")
        socket.leave()
    assert len(held) == 1


async def test_a_long_poll_is_answered_once(room: Room) -> None:
    held = HeldSessions(room.edge)
    _, session = await room.poll("a", "b")
    held.add(session, "s")
    assert held.receivers([for_streams("a", "0"), for_polls("a", "1"), for_polls("b", "2")]) == {"s": {"a": "1"}}


async def test_what_has_ended_is_passed_over(room: Room) -> None:
    held = HeldSessions(room.edge)
    _, session = await room.stream("a")
    held.add(session, "s")
    session.leave()
    assert held.receivers([for_streams("a", "1")]) == {}
    held.add(session, "s")
    held.add(object(), "s")
    assert len(held) == 1


async def test_what_has_ended_is_forgotten_in_time(room: Room) -> None:
    held = HeldSessions(room.edge, tidy_from=3)
    for _ in range(2):
        _, session = await room.stream("a", "b")
        held.add(session, "s")
        session.leave()
    assert len(held) == 2
    _, session = await room.stream("a")
    held.add(session, "s")
    assert len(held) == 1
    assert held.receivers([for_streams("a", "1")]) == {"s": {"a": "1"}}
