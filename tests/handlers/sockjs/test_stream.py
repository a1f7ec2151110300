"""A streaming answer to a SockJS client: frame by frame, up to a bound."""

from __future__ import annotations

from handlers.protocol.ws_frames import CloseReason
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import message_item
from tests.handlers.sockjs.sockjs_room import SockJsRoom
from tests.support.turns import settle, until


async def test_each_frame_is_appended(room: SockJsRoom) -> None:
    session, _, link = room.open()
    client, _ = await room.sockjs_stream(session)
    link.say("1")
    assert await client.chunk() == b'a["1"]\n'
    room.clock.advance(25 + TimerWheel.RESOLUTION)
    assert await client.chunk() == b"h\n"
    link.say("2")
    assert await client.chunk() == b'a["2"]\n'


async def test_without_chunks(room: SockJsRoom) -> None:
    session, _, link = room.open()
    client, _ = await room.sockjs_stream(session, chunked=False)
    link.say("1")
    assert await client.read_until(b"\n") == b'a["1"]\n'


async def test_behind_the_frame_that_fills_it_up_it_ends(room: SockJsRoom) -> None:
    session, _, link = room.open()
    client, stream = await room.sockjs_stream(session)
    for number in range(2):
        link.say(f"{number}" + "x" * 600)
        assert await client.chunk() == b'a["%d%b"]\n' % (number, b"x" * 600)
    assert await client.chunk() == b""
    assert room.door.taken == [(stream.transport, b"", False)]
    link.say("kept")
    assert session.take() == b'a["kept"]'
    assert link.told == []


async def test_the_end_is_its_last_frame(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    client, stream = await room.sockjs_stream(session)
    socket.close(CloseReason(code=4000, reason="bye"))
    assert [await client.chunk(), await client.chunk()] == [b'c[4000,"bye"]\n', b""]
    assert stream.tick == NOWHERE


async def test_a_client_that_leaves_ends_the_session(room: SockJsRoom) -> None:
    session, _, link = room.open()
    client, _ = await room.sockjs_stream(session)
    client.close()
    await until(lambda: link.told == ["client_gone"])
    assert session.take() == b'c[1002,"Connection interrupted"]'


async def test_one_that_does_not_read_holds_its_backend_back_and_is_cut(room: SockJsRoom) -> None:
    room.lengthen_streams()
    session, _, link = room.open("room")
    _, stream = await room.sockjs_stream(session, is_slow=True)
    while "behind" not in link.told:
        room.edge.deliver(message_item("room", b"x" * 1_000))
        await settle()
    while not stream.transport.is_closing():
        room.edge.deliver(message_item("room", b"x" * 1_000))
        await settle()
    assert room.counters.slow_clients == 1
    await until(lambda: "client_gone" in link.told)


async def test_the_process_ends_it_by_its_session(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    client, stream = await room.sockjs_stream(session)
    stream.drain()
    socket.drain()
    assert [await client.chunk(), await client.chunk()] == [b'c[1001,""]\n', b""]
