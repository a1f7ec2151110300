"""The fan-out to WebSockets: encoded once for all of a form, in order, and no client touches another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from websockets.frames import Close

from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription
from handlers.websocket import WebSocketSession
from tests.handlers.recording import noted
from tests.handlers.room import Room, message_item
from tests.support.client import RawClient
from tests.support.websocket import WsClient

NEWS = Subscription(channel=Channel("room"))


def acting(session: WebSocketSession, act: Callable[[], object]) -> None:
    """Have `act` done when `session` is written to next, behind that."""
    write = session.write

    def write_and_act(frame: bytes) -> None:
        session.write = write
        write(frame)
        act()

    session.write = write_and_act


async def crowd(room: Room, count: int) -> tuple[list[WsClient], list[WebSocketSession]]:
    """Hold some WebSockets on channel `room`."""
    held = [await room.websocket("room") for _ in range(count)]
    return [client for client, _, _ in held], [session for _, session, _ in held]


# -- what is sent ---------------------------------------------------------------------------------------------------


async def test_a_message_is_encoded_once_for_all_clients_of_a_form(room: Room) -> None:
    held = [await room.websocket("room", is_deflated=bool(number % 2)) for number in range(10)]
    written = [noted(session) for _, session, _ in held]
    text = b"again and " * 20
    assert room.edge.deliver(message_item("room", text)) == 10
    plain, deflated = written[0][0], written[1][0]
    assert all(frames[0] is (deflated if number % 2 else plain) for number, frames in enumerate(written))
    assert len(deflated) < len(plain)
    for client, _, _ in held:
        assert await client.heard() == text.decode()
    assert room.counters.deliveries == 10


async def test_every_client_of_the_channel_gets_every_message_in_order(room: Room) -> None:
    held = [await room.websocket("room", is_deflated=bool(number % 2)) for number in range(30)]
    texts = [f"message {number} " * (number % 20) for number in range(50)]
    for text in texts:
        assert room.edge.deliver(message_item("room", text.encode())) == 30
    for client, _, _ in held:
        assert [await client.heard() for _ in texts] == texts


async def test_each_kind_of_session_takes_its_own_format_of_an_item(room: Room) -> None:
    client, _, _ = await room.websocket("room")
    other, _, _ = await room.websocket("other")
    streaming, _ = await room.stream("room")
    polling, _ = await room.poll("room")
    item = Item(
        channel=Channel("room"),
        http_stream=HttpStreamFormat(content=b"a"),
        http_response=HttpResponseFormat(body=b"b"),
        ws_message=WsMessageFormat(content=b"c"),
    )
    assert room.edge.deliver(item) == 3
    assert await client.heard() == "c"
    assert await streaming.chunk() == b"a"
    assert (await polling.response()).body == b"b"
    assert room.counters.deliveries == 3
    assert room.edge.deliver(Item(channel=Channel("room"), http_response=HttpResponseFormat(body=b"b"))) == 0
    assert other.pending() == client.pending() == b""


@pytest.mark.parametrize("kind", [MessageKind.TEXT, MessageKind.PING])
async def test_empty_content_is_a_message_all_the_same(room: Room, kind: MessageKind) -> None:
    client, _, _ = await room.websocket("room")
    room.edge.deliver(message_item("room", b"", kind=kind))
    assert (await client.frame()).data == b""
    assert room.counters.deliveries == 1


# -- actions --------------------------------------------------------------------------------------------------------


async def test_close_reaches_every_client_of_the_channel_and_nobody_else(room: Room) -> None:
    held = [await room.websocket("room", is_deflated=bool(number % 2)) for number in range(4)]
    _, other, _ = await room.websocket("other")
    streaming, stream = await room.stream("room")
    assert room.edge.deliver(message_item("room", action=Action.CLOSE, code=4001, reason="bye")) == 4
    assert room.edge.deliver(message_item("room", action=Action.CLOSE, code=4002)) == 0
    for client, _, link in held:
        assert await client.closed() == Close(4001, "bye")
        assert link.told == ["close_by_us"]
    assert room.edge.sessions == {other, stream}
    assert streaming.pending() == b""
    assert room.counters.deliveries == 0


async def test_refresh_reaches_every_link_and_hint_none(room: Room) -> None:
    held = [await room.websocket("room", is_deflated=bool(number % 2)) for number in range(4)]
    assert room.edge.deliver(message_item("room", action=Action.HINT)) == 4
    assert room.edge.deliver(message_item("room", action=Action.REFRESH)) == 4
    assert [link.told for _, _, link in held] == [["refresh"]] * 4


@pytest.mark.parametrize("action", [Action.CLOSE, Action.REFRESH])
async def test_a_link_at_fault_costs_its_own_client_alone(
    room: Room, action: Action, caplog: pytest.LogCaptureFixture
) -> None:
    held = [await room.websocket("room") for _ in range(3)]
    _, faulty, link = held[1]
    link.fault = AssertionError("a bug")
    assert room.edge.deliver(message_item("room", action=action)) == 3
    assert faulty not in room.edge.sessions
    assert faulty.transport.is_closing()
    assert [link.told for _, _, link in held] == [["refresh" if action is Action.REFRESH else "close_by_us"]] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]


# -- changes in the middle of a delivery ----------------------------------------------------------------------------


async def test_a_client_that_leaves_in_the_middle_of_a_delivery_disturbs_no_other(room: Room) -> None:
    clients, sessions = await crowd(room, 5)

    def empty_the_room() -> None:
        for session in sessions:
            session.leave()

    acting(sessions[0], empty_the_room)
    assert room.edge.deliver(message_item("room", b"news")) == 5
    assert room.edge.deliver(message_item("room", b"more")) == 0
    assert [await client.heard() for client in clients] == ["news"] * 5
    assert not room.edge._channels  # noqa: SLF001  # what is kept for nothing can't be seen outside


async def test_a_client_closed_in_the_middle_of_a_delivery_gets_nothing_behind_its_close(room: Room) -> None:
    clients, sessions = await crowd(room, 3)
    acting(sessions[0], sessions[1].drain)
    room.edge.deliver(message_item("room", b"news"))
    assert (await clients[1].closed()).code == 1001
    assert [await clients[0].heard(), await clients[2].heard()] == ["news", "news"]
    assert clients[1].pending() == b""


async def test_clients_cut_in_the_middle_of_a_delivery_cost_nobody_else_a_byte(room: Room) -> None:
    clients, sessions = await crowd(room, 5)

    def abort() -> None:
        for session in sessions[1:4]:
            session.transport.abort()

    acting(sessions[0], abort)
    room.edge.deliver(message_item("room", b"first"))
    for session in sessions[1:4]:
        await room.until_closed(session.transport)
    assert room.edge.deliver(message_item("room", b"second")) == 2
    for client in (clients[0], clients[4]):
        assert [await client.heard(), await client.heard()] == ["first", "second"]


async def test_subscribing_in_the_middle_of_a_delivery_begins_with_the_next_item(room: Room) -> None:
    clients, sessions = await crowd(room, 2)
    late, session, _ = await room.websocket()
    acting(sessions[0], lambda: room.edge.subscribe(session, NEWS))
    assert room.edge.deliver(message_item("room", b"first")) == 2
    assert room.edge.deliver(message_item("room", b"second")) == 3
    assert await late.heard() == "second"
    assert [await clients[1].heard(), await clients[1].heard()] == ["first", "second"]


async def test_unsubscribing_in_the_middle_of_a_delivery_ends_with_this_item(room: Room) -> None:
    clients, sessions = await crowd(room, 3)

    def unsubscribe_all() -> None:
        for session in sessions:
            room.edge.unsubscribe(session, Channel("room"))
        room.edge.subscribe(sessions[2], NEWS)

    acting(sessions[0], unsubscribe_all)
    assert room.edge.deliver(message_item("room", b"first")) == 3
    assert room.edge.deliver(message_item("room", b"second")) == 1
    assert [await client.heard() for client in clients] == ["first"] * 3
    assert await clients[2].heard() == "second"
    assert clients[0].pending() == clients[1].pending() == b""


# -- coming and going -----------------------------------------------------------------------------------------------


async def test_websockets_are_counted_as_they_come_and_go(room: Room) -> None:
    _, session, _ = await room.websocket("a", "b")
    await room.websocket()
    assert (room.counters.sessions_websocket, room.counters.sessions_opened) == (2, 2)
    for _ in range(2):
        room.edge.leave(session)
    assert (room.counters.sessions_websocket, room.counters.sessions_opened) == (1, 2)


async def test_a_session_that_has_left_can_not_be_subscribed_any_more(room: Room) -> None:
    _, session, _ = await room.websocket("room")
    session.leave()
    room.edge.subscribe(session, NEWS)
    room.edge.unsubscribe(session, Channel("other"))
    assert room.edge.deliver(message_item("room", b"news")) == 0
    assert not room.edge._channels  # noqa: SLF001  # what is kept for nothing can't be seen outside


async def test_a_channel_may_be_left_and_joined_any_number_of_times(room: Room) -> None:
    client, session, _ = await room.websocket()
    for number in range(5):
        room.edge.unsubscribe(session, Channel("room"))
        room.edge.subscribe(session, NEWS)
        room.edge.subscribe(session, NEWS)
        assert room.edge.deliver(message_item("room", b"%d" % number)) == 1
        assert await client.heard() == str(number)
    assert session.subscriptions == (NEWS,)
    raw: RawClient = client
    assert raw.pending() == b""
