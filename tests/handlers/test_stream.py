"""A held stream on a real connection: what waits before it is handed over, how it ends, and what it costs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.items import Action
from handlers.stream import StreamSession
from handlers.timers import NOWHERE
from tests.handlers.recording import Spectator
from tests.handlers.room import OUTBOX, Room, stream_item, subscriptions

BEAT = b"\n"
CONTENT = b"x" * 4_000
FRAME = encode_chunk(CONTENT)


# -- before the backend's body has been sent ------------------------------------------------------------------------


async def test_what_is_published_before_waits_and_comes_first_in_order(room: Room) -> None:
    client, session = await room.stream("room", is_attached=False)
    contents = [b"%d" % number for number in range(20)]
    for content in contents[:10]:
        room.edge.deliver(stream_item("room", content))
    session.transport.write(b"the backend's body;")
    assert await client.read_until(b";") == b"the backend's body;"
    assert client.pending() == b""
    session.attach(b"", is_behind=False)
    for content in contents[10:]:
        room.edge.deliver(stream_item("room", content))
    assert [await client.chunk() for _ in contents] == contents


async def test_a_stream_closed_before_ends_when_its_body_has_been_sent(room: Room) -> None:
    client, session = await room.stream("room", is_attached=False)
    room.edge.deliver(stream_item("room", b"last words"))
    room.edge.deliver(stream_item("room", action=Action.CLOSE))
    assert session not in room.edge.sessions
    assert not session.transport.is_closing()
    session.attach(b"GET /next", is_behind=False)
    assert await client.read_exactly(15 + len(LAST_CHUNK)) == encode_chunk(b"last words") + LAST_CHUNK
    assert room.door.taken == [(session.transport, b"GET /next", False)]
    assert session.tick == NOWHERE


async def test_a_stream_closed_before_and_drained_after_ends_once(room: Room) -> None:
    """A process that stops drains what is handed over late; by then this connection is somebody else's."""
    client, session = await room.stream("room", is_attached=False)
    room.edge.deliver(stream_item("room", action=Action.CLOSE))
    session.attach(b"", is_behind=False)
    session.drain()
    session.transport.write(b"HTTP/1.1 200 OK\r\n")
    assert await client.read_until(b"OK\r\n") == LAST_CHUNK + b"HTTP/1.1 200 OK\r\n"
    assert len(room.door.taken) == 1


async def test_more_than_may_wait_costs_the_connection(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, session = await room.stream("room", is_attached=False)
    other, _ = await room.stream("room")
    fitting = OUTBOX // len(FRAME)
    for _ in range(fitting):
        room.edge.deliver(stream_item("room", CONTENT))
    assert session in room.edge.sessions
    room.edge.deliver(stream_item("room", CONTENT))
    assert session not in room.edge.sessions
    assert session.transport.is_closing()
    assert room.counters.slow_clients == 1
    assert f"{session.label} closed: too slow, more than {OUTBOX} bytes behind" in caplog.messages
    assert await client.until_cut() == b""
    assert await other.read_exactly(len(FRAME) * (fitting + 1)) == FRAME * (fitting + 1)


async def test_a_stream_cut_before_is_forgotten_however_late_it_is_handed_over(room: Room) -> None:
    client, session = await room.stream("room", is_attached=False, keep_alive=KeepAlive(data=BEAT))
    session.cut("for a reason")
    session.attach(b"", is_behind=False)
    assert session.tick == NOWHERE
    await room.until_closed(session.transport)
    assert await client.until_cut() == b""


# -- the end --------------------------------------------------------------------------------------------------------


async def test_close_writes_the_last_chunk_once_and_gives_the_connection_back(room: Room) -> None:
    client, session = await room.stream("room", kept=b"GET /next")
    room.edge.deliver(stream_item("room", b"news"))
    for _ in range(2):
        room.edge.deliver(stream_item("room", action=Action.CLOSE))
        session.finish()
    assert await client.chunk() == b"news"
    assert await client.read_exactly(len(LAST_CHUNK)) == LAST_CHUNK
    assert room.door.taken == [(session.transport, b"GET /next", False)]
    room.clock.advance(10_000)
    assert client.pending() == b""


async def test_last_words_come_before_the_last_chunk(room: Room) -> None:
    client, session = await room.stream("room")
    session.finish(b"last words")
    assert [await client.chunk(), await client.chunk()] == [b"last words", b""]


async def test_an_http_1_0_stream_ends_with_its_connection(room: Room) -> None:
    client, session = await room.stream("room", chunked=False, reusable=False)
    room.edge.deliver(stream_item("room", b"news"))
    session.finish(b", and last words")
    assert await client.until_closed() == b"news, and last words"


# -- what it costs --------------------------------------------------------------------------------------------------


async def test_a_thousand_streams_cost_little_memory(room: Room) -> None:
    """The session with its label and subscriptions, its place in the index, and its timer; not the transport."""
    _, transport = await room.connect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    held = list(thousand_streams(room, transport))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(held) < 2_500
    for session in held:
        session.leave()
    transport.set_protocol(Spectator())


def thousand_streams(room: Room, transport: object) -> Iterator[StreamSession]:
    """Hold a thousand streams, all on one transport: transports are the loop's to count."""
    for index in range(1_000):
        session = StreamSession(
            site=room.site,
            transport=transport,  # type: ignore[arg-type]
            subscriptions=subscriptions((f"room {index % 10}",)),
            reusable=True,
            label=f"http://example.com/stream/{index}",
            chunked=True,
            debug=False,
            keep_alive=KeepAlive(data=BEAT),
        )
        room.edge.join(session)
        session.attach(b"", is_behind=False)
        yield session
