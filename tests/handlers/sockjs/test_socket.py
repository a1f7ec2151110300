"""A WebSocket with SockJS frames in it, between its client and its session."""

from __future__ import annotations

import json

import pytest
from websockets.frames import Close, Frame, Opcode

from handlers.framed import BURST_SECONDS
from handlers.protocol.ws_frames import CloseReason
from handlers.timers import TimerWheel
from tests.handlers.room import message_item
from tests.handlers.sockjs.sockjs_room import SockJsRoom
from tests.support.turns import settle, until


async def test_frames_both_ways(room: SockJsRoom) -> None:
    session, _, link = room.open(key=None, is_told=False)
    client, _ = await room.sockjs_socket(session)
    assert await client.heard() == "o"
    await client.say(json.dumps(["1", "é"]))
    await client.put(Frame(Opcode.TEXT, b'"al', fin=False), Frame(Opcode.CONT, b'one"'))
    await client.say("")
    await until(lambda: len(link.frames) == 3)
    assert [data for _, data, _ in link.frames] == [b"1", "é".encode(), b"alone"]
    link.say("yo")
    assert await client.heard() == 'a["yo"]'
    room.clock.advance(25 + TimerWheel.RESOLUTION)
    assert await client.heard() == "h"


async def test_a_ping_is_answered_within_a_bound(room: SockJsRoom) -> None:
    session, _, link = room.open(key=None)
    client, socket = await room.sockjs_socket(session)
    await client.put(Frame(Opcode.PING, b"p"), Frame(Opcode.PONG, b""))
    assert await client.frame() == Frame(Opcode.PONG, b"p")
    burst = int(socket.limits.control_rate * BURST_SECONDS)
    await client.put(*[Frame(Opcode.PING, b"")] * burst)
    frames = [await client.frame() for _ in range(burst)]
    assert frames[-1].opcode is Opcode.CLOSE
    assert Close.parse(bytes(frames[-1].data)).code == 1008
    assert link.frames == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.TEXT, b"["), 1007),
        (Frame(Opcode.TEXT, b"[1]"), 1007),
        (Frame(Opcode.TEXT, json.dumps(["x" * 200_001]).encode()), 1007),
        (Frame(Opcode.BINARY, b"[]"), 1003),
    ],
)
async def test_what_is_not_sockjs_ends_it(room: SockJsRoom, frame: Frame, code: int) -> None:
    session, _, link = room.open(key=None)
    client, _ = await room.sockjs_socket(session)
    await client.put(frame)
    assert (await client.closed()).code == code
    await until(lambda: link.told == ["client_gone"])
    assert room.counters.websocket_client_faults == 1


async def test_the_clients_close_is_answered_by_the_backend(room: SockJsRoom) -> None:
    session, inner, link = room.open(key=None)
    client, _ = await room.sockjs_socket(session)
    await client.put_close(4005, "me")
    await until(lambda: link.frames == [(Opcode.CLOSE, b"\x0f\xa5me", True)])
    assert client.pending() == b""
    inner.echo()
    assert await client.closed() == Close(4005, "me")
    assert await client.until_closed() == b""
    await settle()
    assert link.told == []
    assert not room.edge.sessions


async def test_the_backends_close_is_a_frame_of_sockjs_and_then_a_close(room: SockJsRoom) -> None:
    session, inner, _ = room.open(key=None)
    client, _ = await room.sockjs_socket(session)
    inner.close(CloseReason(code=4000, reason="bye"))
    assert await client.heard() == 'c[4000,"bye"]'
    assert (await client.closed()).code == 1000
    await client.put_close(1000)
    assert await client.until_closed() == b""


async def test_a_client_that_leaves_ends_the_session(room: SockJsRoom) -> None:
    session, _, link = room.open(key=None)
    client, _ = await room.sockjs_socket(session)
    client.reset()
    await until(lambda: link.told == ["client_gone"])


async def test_a_client_that_does_not_read_holds_its_backend_back(room: SockJsRoom) -> None:
    session, _, link = room.open("room", key=None)
    _, socket = await room.sockjs_socket(session, is_slow=True)
    while "behind" not in link.told:
        room.edge.deliver(message_item("room", b"x" * 1_000))
        await settle()
    assert socket.is_behind


async def test_a_backend_that_has_enough_to_do_holds_the_client_back(room: SockJsRoom) -> None:
    session, inner, link = room.open(key=None)
    client, socket = await room.sockjs_socket(session)
    inner.pause_reading()
    await client.say('["1"]')
    await until(lambda: not socket.transport.is_reading())
    await client.say('["2"]')
    await settle()
    assert link.frames == []
    inner.resume_reading()
    await until(lambda: len(link.frames) == 2)
    assert [content for _, content, _ in link.frames] == [b"1", b"2"]
    assert socket.transport.is_reading()
