"""Sessions whose backend says what they have seen last: what follows is delivered, what does not is asked for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from handlers.protocol.items import Item
from handlers.protocol.names import ItemId
from handlers.protocol.subscribing import NO_INQUIRY, Inquiry
from handlers.settings import HoldSettings
from handlers.timers import TimerWheel
from tests.handlers.room import Room, response_item

SOON = 0.1 + TimerWheel.RESOLUTION


def item(item_id: str | None, after: str | None = None, *, channel: str = "room", no_seq: bool = False) -> Item:
    return replace(
        response_item(channel, b"news"),
        id=None if item_id is None else ItemId(item_id),
        prev_id=None if after is None else ItemId(after),
        no_seq=no_seq,
    )


def asked(room: Room, channel: str, prev_id: str) -> Inquiry:
    """What a backend is told that is asked now."""
    return Inquiry(last_seen=((channel, ItemId(prev_id)),), mark=room.edge.mark)


async def test_what_follows_is_delivered(room: Room) -> None:
    client, _ = await room.poll("room", prev_id="1")
    assert room.edge.deliver_all([item("2", "1")]) == [1]
    assert (await client.response()).body == b"news"
    assert room.counters.gaps == 0


@pytest.mark.parametrize("published", [item("3", "2"), item("3"), item(None)], ids=["other", "none", "no ids at all"])
async def test_what_does_not_follow_sends_the_long_poll_back(room: Room, published: Item) -> None:
    client, session = await room.poll("room", prev_id="1")
    other, _ = await room.poll("room")
    assert room.edge.deliver_all([published]) == [1]
    assert (await other.response()).body == b"news"
    room.clock.advance(SOON)
    assert [retry[0] for retry in room.door.retried] == [session.transport]
    assert client.pending() == b""
    assert (room.counters.gaps, room.counters.recoveries) == (1, 1)


async def test_what_was_missing_may_still_come_in_time(room: Room) -> None:
    client, _ = await room.poll("room", prev_id="1")
    room.edge.deliver_all([item("3", "2"), item("2", "1")])
    assert (await client.response()).body == b"news"
    room.clock.advance(SOON)
    assert room.door.retried == []


async def test_who_is_held_too_late_asks_at_once(room: Room) -> None:
    room.edge.deliver_all([item("2", "1")])
    _, session = await room.poll("room", prev_id="1")
    room.edge.catch_up(session)
    assert [retry[0] for retry in room.door.retried] == [session.transport]


async def test_a_backend_that_goes_on_naming_another_id_is_asked_once(room: Room) -> None:
    """What is asked again is asked for one client, with what it has seen: the answer tells of no more."""
    room.edge.deliver_all([item("2", "1", channel="p-room")])
    _, session = await room.poll("p-room", prev_id="1", prefix="p-")
    room.edge.catch_up(session, NO_INQUIRY)
    room.clock.advance(SOON)
    again = asked(room, "room", "1")
    _, session = await room.poll("p-room", prev_id="1", prefix="p-")
    room.edge.catch_up(session, again)
    room.clock.advance(SOON)
    assert len(room.door.retried) == 1
    assert session in room.edge.sessions


async def test_everybody_notices_what_came_before_the_hold(room: Room) -> None:
    """Several have asked before the item came: what one has found out is no secret from the others."""
    room.edge.deliver_all([item("2", "1")])
    for _ in range(3):
        _, session = await room.poll("room", prev_id="1")
        room.edge.catch_up(session)
    assert len(room.door.retried) == 3


async def test_a_gap_of_one_is_noticed_by_who_is_held_after_it(room: Room) -> None:
    await room.poll("room", prev_id="1")
    room.edge.deliver_all([item("3", "2")])
    _, late = await room.poll("room", prev_id="1")
    room.edge.catch_up(late)
    room.clock.advance(SOON)
    assert len(room.door.retried) == 2


@pytest.mark.parametrize("comes", [True, False], ids=["something came since", "it names another id"])
async def test_a_backend_that_may_know_more_by_now_is_asked_again(room: Room, *, comes: bool) -> None:
    room.edge.deliver_all([item("3", "2")])
    again = asked(room, "room", "1")
    if comes:
        room.edge.deliver_all([item("4", "3")])
    _, session = await room.poll("room", prev_id="1" if comes else "2")
    room.edge.catch_up(session, again)
    assert len(room.door.retried) == comes


@pytest.mark.parametrize(
    ("published", "prev_id"),
    [
        pytest.param([], "1", id="nothing is known"),
        pytest.param([item("1")], "1", id="it is the last"),
        pytest.param([item("2")], None, id="no order is asked for"),
        pytest.param([item("2"), item(None)], "1", id="the last has no id"),
        pytest.param([item("2", no_seq=True)], "1", id="the last is in no order"),
        pytest.param([item("2", channel="other")], "1", id="another channel"),
    ],
)
async def test_who_has_missed_nothing_is_held(room: Room, published: list[Item], prev_id: str | None) -> None:
    room.edge.deliver_all(published)
    _, session = await room.poll("room", prev_id=prev_id)
    room.edge.catch_up(session)
    assert session in room.edge.sessions
    assert room.door.retried == []


async def test_a_recovery_sends_every_long_poll_back_and_forgets(room: Room) -> None:
    sessions = [(await room.poll("room"))[1] for _ in range(3)]
    room.edge.deliver_all([replace(item("2"), http_response=None)])
    room.edge.recover()
    room.clock.advance(SOON)
    assert {retry[0] for retry in room.door.retried} == {session.transport for session in sessions}
    _, late = await room.poll("room", prev_id="1")
    room.edge.catch_up(late)
    assert late in room.edge.sessions


# -- first subscribers ----------------------------------------------------------------------------------------------


async def test_a_channels_first_long_poll_asks_once_more_after_a_second() -> None:
    async with Room(HoldSettings()) as room:
        _, session = await room.poll("room")
        room.clock.advance(1)
        assert room.door.retried == []
        room.clock.advance(SOON + TimerWheel.RESOLUTION)
        assert [retry[0] for retry in room.door.retried] == [session.transport]


async def test_the_next_long_poll_of_the_channel_does_not() -> None:
    async with Room(HoldSettings()) as room:
        _, first = await room.poll("room")
        room.clock.advance(2)
        assert first not in room.edge.sessions
        _, second = await room.poll("room")
        room.clock.advance(30)
        assert second in room.edge.sessions
        assert len(room.door.retried) == 1


async def test_a_websocket_can_be_the_first_and_is_left_alone() -> None:
    async with Room(HoldSettings()) as room:
        _, socket, _ = await room.websocket("room")
        _, poll = await room.poll("room")
        room.clock.advance(2)
        assert socket in room.edge.sessions
        assert [retry[0] for retry in room.door.retried] == [poll.transport]


async def test_nobody_is_updated_where_that_is_turned_off(room: Room) -> None:
    _, session = await room.poll("room")
    room.clock.advance(30)
    assert session in room.edge.sessions
