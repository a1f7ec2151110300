"""A WebSocket between its client and its link: what each is told of the other, in GRIP mode and out of it."""

from __future__ import annotations

import logging

import pytest
from websockets.frames import Close, Frame, Opcode

from handlers.framed import BURST_SECONDS
from handlers.protocol.items import Action, MessageKind
from handlers.protocol.ws_frames import CloseReason
from handlers.settings import HoldSettings, WebSocketSettings
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import Room, message_item
from tests.support.turns import settle, until

LATE = TimerWheel.RESOLUTION
DETACH = Frame(Opcode.TEXT, b'c:{"type": "detach"}')


# -- frames of the backend's ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "said", "heard"),
    [
        (b"m:", [Frame(Opcode.TEXT, b"m:hello")], [Frame(Opcode.TEXT, b"hello")]),
        (b"m:", [Frame(Opcode.BINARY, b"m:\xff")], [Frame(Opcode.BINARY, b"\xff")]),
        (b"m:", [Frame(Opcode.TEXT, b"m:")], [Frame(Opcode.TEXT, b"")]),
        (b"", [Frame(Opcode.TEXT, b"hello")], [Frame(Opcode.TEXT, b"hello")]),
        (b"", [Frame(Opcode.BINARY, b"c:{}")], [Frame(Opcode.BINARY, b"c:{}")]),
        (
            b"m:",
            [Frame(Opcode.TEXT, b"m", fin=False), Frame(Opcode.PING, b"m:p"), Frame(Opcode.CONT, b":one", fin=False)],
            [Frame(Opcode.PING, b"m:p"), Frame(Opcode.TEXT, b"one", fin=False)],
        ),
        (
            b"m:",
            [Frame(Opcode.TEXT, b"m:one ", fin=False), Frame(Opcode.CONT, b"m:two")],
            [Frame(Opcode.TEXT, b"one ", fin=False), Frame(Opcode.CONT, b"m:two")],
        ),
        (b"m:", [Frame(Opcode.TEXT, b"m", fin=False), Frame(Opcode.CONT, b":whole")], [Frame(Opcode.TEXT, b"whole")]),
        (None, [Frame(Opcode.TEXT, b"m:c:")], [Frame(Opcode.TEXT, b"m:c:")]),
        (None, [Frame(Opcode.TEXT, b"c:{}")], [Frame(Opcode.TEXT, b"c:{}")]),
    ],
)
async def test_messages_of_a_backend_lose_their_prefix(
    room: Room, prefix: bytes | None, said: list[Frame], heard: list[Frame]
) -> None:
    client, _, link = await room.websocket("room", grip=prefix)
    link.relay(*said)
    assert [await client.frame() for _ in heard] == heard
    assert room.counters.websocket_dropped == 0


async def test_messages_without_the_prefix_are_dropped_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    with caplog.at_level(logging.INFO, "holdfast.websocket"):
        link.relay(
            Frame(Opcode.TEXT, b"hello"),
            Frame(Opcode.BINARY, b"c:{}"),
            Frame(Opcode.TEXT, b"in ", fin=False),
            Frame(Opcode.CONT, b"m:fragments", fin=False),
            Frame(Opcode.PING, b"p"),
            Frame(Opcode.CONT, b"m:fragments"),
            Frame(Opcode.TEXT, b"m:then"),
        )
    assert await client.frame() == Frame(Opcode.PING, b"p")
    assert await client.heard() == "then"
    assert room.counters.websocket_dropped == 3
    assert caplog.messages == [
        f"{session.label} message of the backend dropped, further ones without a word: it does not begin with 'm:'"
    ]


async def test_a_dropped_message_holds_nothing_back(room: Room) -> None:
    client, _, link = await room.websocket("room", grip=b"m:")
    link.relay(Frame(Opcode.TEXT, b"dropped", fin=False))
    room.edge.deliver(message_item("room", b"news"))
    assert await client.heard() == "news"
    link.relay(Frame(Opcode.CONT, b"dropped"), Frame(Opcode.TEXT, b'c:{"type": ', fin=False))
    room.edge.deliver(message_item("room", b"more"))
    assert await client.heard() == "more"


# -- pings ----------------------------------------------------------------------------------------------------------


async def test_pings_and_pongs_are_the_backends(room: Room) -> None:
    client, _, link = await room.websocket("room", grip=b"m:")
    await client.put(Frame(Opcode.PING, b"a"), Frame(Opcode.PONG, b"b"))
    await until(lambda: len(link.frames) == 2)
    assert link.frames == [(Opcode.PING, b"a", True), (Opcode.PONG, b"b", True)]
    room.edge.deliver(message_item("room", b"barrier"))
    assert await client.heard() == "barrier"


async def test_pings_are_answered_here_where_that_is_asked_for() -> None:
    """Pongs are still the backend's, which may have asked for them, and would miss them."""
    async with Room(websocket=WebSocketSettings(answer_pings=True)) as room:
        client, _, link = await room.websocket("room", is_deflated=True)
        link.relay(Frame(Opcode.PING, b"are you there"), Frame(Opcode.TEXT, b"begun", fin=False))
        await client.put(Frame(Opcode.PING, b"a"), Frame(Opcode.PONG, b"are you there"), Frame(Opcode.PING, b""))
        assert [await client.frame() for _ in range(4)] == [
            Frame(Opcode.PING, b"are you there"),
            Frame(Opcode.TEXT, b"begun", fin=False),
            Frame(Opcode.PONG, b"a"),
            Frame(Opcode.PONG, b""),
        ]
        assert link.frames == [(Opcode.PONG, b"are you there", True)]


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
@pytest.mark.parametrize("answer_pings", [False, True])
async def test_more_pings_than_the_rate_end_the_connection(opcode: Opcode, answer_pings: bool) -> None:
    async with Room(websocket=WebSocketSettings(control_rate=2, answer_pings=answer_pings)) as room:
        client, session, link = await room.websocket("room")
        pings = [Frame(opcode, b"%d" % number) for number in range(2 * BURST_SECONDS)]
        await client.put(*pings)
        await client.say("barrier")
        await until(lambda: (Opcode.TEXT, b"barrier", True) in link.frames)
        room.clock.advance(1)
        await client.put(*pings[:2])
        await client.say("another")
        await until(lambda: (Opcode.TEXT, b"another", True) in link.frames)
        assert session in room.edge.sessions
        await client.put(Frame(opcode, b"one more"), Frame(Opcode.TEXT, b"after"))
        while (frame := await client.frame()).opcode is Opcode.PONG:
            pass
        assert Close.parse(bytes(frame.data)) == Close(1008, "too many pings")
        assert await client.until_closed() == b""
        await client.put(*pings, Frame(Opcode.TEXT, b"after"))
        client.half_close()
        await room.until_closed(session.transport)
        assert (Opcode.TEXT, b"after", True) not in link.frames
        assert link.told == ["client_gone"]
        assert (room.counters.websocket_client_faults, room.counters.websocket_messages) == (1, 2)


async def test_without_a_rate_there_may_be_any_number_of_pings() -> None:
    async with Room(websocket=WebSocketSettings(control_rate=0)) as room:
        client, _, link = await room.websocket("room")
        await client.put(*[Frame(Opcode.PING, b"")] * 5_000)
        await until(lambda: len(link.frames) == 5_000)


# -- a backend that leaves ------------------------------------------------------------------------------------------


async def test_a_detached_client_keeps_its_channels_and_is_heard_by_nobody(room: Room) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    link.relay(DETACH, Frame(Opcode.TEXT, b"m:too late"), DETACH)
    assert link.told == ["close_by_us"]
    await client.put(
        Frame(Opcode.TEXT, b"one"),
        Frame(Opcode.BINARY, b"t", fin=False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.PONG, b"q"),
        Frame(Opcode.CONT, b"wo"),
    )
    assert await client.frame() == Frame(Opcode.PONG, b"p")
    await until(lambda: room.counters.websocket_messages == 2)
    assert room.counters.websocket_discarded == 2
    assert room.edge.deliver(message_item("room", b"news")) == 1
    room.edge.deliver(message_item("room", action=Action.REFRESH))
    assert await client.heard() == "news"
    assert (link.frames, link.told) == ([], ["close_by_us"])
    await client.put_close(4001, "bye")
    assert await client.closed() == Close(4001, "bye")
    assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    assert (link.frames, link.told) == ([], ["close_by_us"])
    assert room.counters.websocket_close_timeouts == 0


async def test_a_link_that_was_let_go_is_not_told_of_the_clients_end(room: Room) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    link.relay(DETACH)
    client.reset()
    await room.until_closed(session.transport)
    assert link.told == ["close_by_us"]


async def test_a_detached_client_that_falls_behind_is_no_matter_of_its_links(room: Room) -> None:
    client, session, link = await room.websocket("room", grip=b"m:", is_slow=True)
    link.relay(DETACH)
    count = 0
    while not session.is_behind:
        room.edge.deliver(message_item("room", b"x" * 4_000))
        count += 1
    for _ in range(count):
        await client.frame()
    await until(lambda: not session.is_behind)
    assert link.told == ["close_by_us"]


# -- what is published ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "opcode"),
    [
        (MessageKind.TEXT, Opcode.TEXT),
        (MessageKind.BINARY, Opcode.BINARY),
        (MessageKind.PING, Opcode.PING),
        (MessageKind.PONG, Opcode.PONG),
    ],
)
@pytest.mark.parametrize("is_deflated", [False, True])
async def test_each_kind_of_message_has_its_frame(
    room: Room, kind: MessageKind, opcode: Opcode, is_deflated: bool
) -> None:
    """W18, W28."""
    client, _, _ = await room.websocket("room", is_deflated=is_deflated)
    room.edge.deliver(message_item("room", b"", kind=kind))
    room.edge.deliver(message_item("room", b"content " * 10, kind=kind))
    assert [await client.frame(), await client.frame()] == [Frame(opcode, b""), Frame(opcode, b"content " * 10)]


@pytest.mark.parametrize(("code", "sent"), [(None, 1000), (0, 1000), (1005, 1000), (4001, 4001), (65_535, 1000)])
async def test_a_published_close_reaches_both_sides(room: Room, code: int | None, sent: int) -> None:
    """W26: the client gets the code, the backend none."""
    client, session, link = await room.websocket("room")
    reason = "" if code is None else "bye"
    for _ in range(2):
        room.edge.deliver(message_item("room", action=Action.CLOSE, code=code, reason=reason))
    assert link.told == ["close_by_us"]
    await client.say("what?")
    assert await client.closed() == Close(sent, reason)
    await client.put(Frame(Opcode.PING, b"are you there"))
    await client.put_close(sent)
    assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    assert link.frames == []
    assert link.told == ["close_by_us"]
    assert room.counters.websocket_discarded == 1


async def test_a_published_close_without_a_code_has_no_reason_either(room: Room) -> None:
    client, _, _ = await room.websocket("room")
    room.edge.deliver(message_item("room", action=Action.CLOSE, reason="lost"))
    assert await client.closed() == Close(1000, "")


async def test_a_refresh_has_the_backend_asked_once_more_and_a_hint_does_nothing(room: Room) -> None:
    """W27, W29."""
    client, _, link = await room.websocket("room")
    assert room.edge.deliver(message_item("room", action=Action.REFRESH)) == 1
    assert room.edge.deliver(message_item("room", action=Action.HINT)) == 1
    room.edge.deliver(message_item("room", b"barrier"))
    assert await client.heard() == "barrier"
    assert link.told == ["refresh"]
    assert room.counters.deliveries == 1


async def test_a_publication_between_the_backends_close_and_the_clients_is_not_sent(room: Room) -> None:
    client, session, link = await room.websocket("room")
    session.close(CloseReason(code=1000))
    assert room.edge.deliver(message_item("room", b"news")) == 0
    assert room.edge.deliver(message_item("room", action=Action.CLOSE, code=4001)) == 0
    session.close_by_us(CloseReason(code=4002))
    assert await client.closed() == Close(1000, "")
    assert link.told == [], "the backend has begun, and hears of the answer"
    await client.put_close(1000)
    assert await client.until_closed() == b""


# -- other ends -----------------------------------------------------------------------------------------------------


async def test_a_fault_of_the_backends_is_1011_to_the_client_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """1014 would say more, but Chromium refuses it. What is wrong is nothing for clients."""
    client, session, link = await room.websocket("room")
    session.fail("secret: connection lost")
    await client.say("what?")
    assert await client.closed() == Close(1011, "backend failed")
    await client.put_close(1011)
    assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    assert (link.frames, link.told) == ([], []), "it is done with it"
    assert room.counters.websocket_backend_faults == 1
    assert caplog.messages == [f"{session.label} closed with 1011: secret: connection lost"]


async def test_draining_closes_both_sides_with_1001(room: Room) -> None:
    client, session, link = await room.websocket("room")
    session.drain()
    session.drain()
    assert await client.closed() == Close(1001, "")
    assert link.told == ["close_by_us"]
    await client.put_close(1001)
    assert await client.until_closed() == b""


@pytest.mark.parametrize("is_client", [False, True])
async def test_a_websocket_on_which_nothing_has_moved_is_closed_counted_and_logged(
    is_client: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes of either side are life."""
    async with Room(HoldSettings(idle_timeout=100)) as room:
        client, session, link = await room.websocket("room")
        room.clock.advance(90)
        if is_client:
            await client.put(Frame(Opcode.PONG, b""))
            await until(lambda: link.frames)
        else:
            link.relay(Frame(Opcode.PING, b""))
            await client.frame()
        room.clock.advance(100 - 0.001)
        assert session in room.edge.sessions
        room.clock.advance(0.001 + LATE)
        assert session not in room.edge.sessions
        assert await client.closed() == Close(1001, "no bytes for 100 seconds")
        assert link.told == ["close_by_us"]
        assert room.counters.idle_closed == 1
        assert caplog.messages == [f"{session.label} closed: no bytes for 100 seconds"]


async def test_without_timers_the_wheel_knows_nothing_of_a_websocket() -> None:
    async with Room(HoldSettings(idle_timeout=0)) as room:
        _, session, _ = await room.websocket("room")
        await settle()
        assert session.tick == NOWHERE
