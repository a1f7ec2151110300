"""A subscriber's stream: heartbeats, its end when the time is up, slow clients, and the drain."""

from __future__ import annotations

import logging
import math

import pytest

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.mercure.event import HEARTBEAT
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.hub.hub_room import EVENT, HubRoom, exact, update
from tests.handlers.room import OUTBOX
from tests.support.turns import settle

LATE = TimerWheel.RESOLUTION
BEAT = KeepAlive(data=HEARTBEAT, timeout=40)
BIG = "x" * 16_000


# -- events and heartbeats ------------------------------------------------------------------------------------------


async def test_an_update_is_a_chunk_with_its_event(hub_room: HubRoom) -> None:
    client, _ = await hub_room.listen(exact("a"))
    hub_room.audience.deliver(update("a"))
    assert await client.read_exactly(len(encode_chunk(EVENT))) == encode_chunk(EVENT)


async def test_e13_an_http_1_0_client_gets_bare_events_and_the_end_of_the_connection(hub_room: HubRoom) -> None:
    client, session = await hub_room.listen(exact("a"), chunked=False, keep_alive=BEAT)
    hub_room.audience.deliver(update("a"))
    hub_room.clock.advance(40)
    session.finish()
    assert await client.until_closed() == EVENT + b":\n"


async def test_what_comes_before_the_stream_is_attached_waits_in_order(hub_room: HubRoom) -> None:
    client, session = await hub_room.listen(exact("a"), is_attached=False)
    hub_room.audience.deliver(update("a"))
    session.transport.write(encode_chunk(b"the past"))
    assert await client.chunk() == b"the past"
    assert client.pending() == b""
    session.attach(b"", is_behind=False)
    assert await client.chunk() == EVENT


@pytest.mark.parametrize("chunked", [True, False])
async def test_e07_a_heartbeat_comes_when_nothing_else_has_for_its_time(hub_room: HubRoom, chunked: bool) -> None:
    client, _ = await hub_room.listen(exact("a"), chunked=chunked, keep_alive=BEAT)
    written = encode_chunk if chunked else bytes
    for _ in range(3):
        hub_room.clock.advance(30)
        hub_room.audience.deliver(update("a"))
        hub_room.clock.advance(38.9)
        expected = written(EVENT)
        assert await client.read_exactly(len(expected)) == expected
        assert client.pending() == b"", "an event restarts the time"
        hub_room.clock.advance(1.1)
        assert await client.read_exactly(len(written(b":\n"))) == written(b":\n")


async def test_e08_without_a_heartbeat_there_is_silence(hub_room: HubRoom) -> None:
    client, _ = await hub_room.listen(exact("a"))
    hub_room.clock.advance(1_000)
    hub_room.audience.deliver(update("a"))
    assert await client.chunk() == EVENT
    assert client.pending() == b""


# -- its time is up -------------------------------------------------------------------------------------------------


async def test_e09_e10_its_end_is_clean_in_time_and_the_connection_goes_on(
    hub_room: HubRoom, caplog: pytest.LogCaptureFixture
) -> None:
    ends_at = hub_room.clock.now() + 500.3
    client, session = await hub_room.listen(exact("a"), ends_at=ends_at, keep_alive=BEAT, kept=b"GET /next")
    hub_room.clock.advance_to(ends_at - 0.001)
    assert session in hub_room.audience.sessions
    with caplog.at_level(logging.DEBUG, "holdfast.hub"):
        hub_room.clock.advance_to(ends_at + LATE)
    assert session not in hub_room.audience.sessions
    hub_room.audience.deliver(update("a"))
    session.transport.write(b"HTTP/1.1 200 OK\r\n")
    received = await client.read_until(b"OK\r\n")
    beats = received.count(encode_chunk(HEARTBEAT))
    assert received == encode_chunk(HEARTBEAT) * beats + LAST_CHUNK + b"HTTP/1.1 200 OK\r\n"
    assert 500 // 40 <= beats <= 500 // 39
    assert hub_room.door.taken == [(session.transport, b"GET /next", False)]
    assert hub_room.counters.mercure_expired == 1
    assert caplog.messages == [f"{session.label} ended: its time is up"]
    assert session.tick == NOWHERE


async def test_a_stream_whose_time_is_up_before_it_is_attached_ends_then(hub_room: HubRoom) -> None:
    client, session = await hub_room.listen(exact("a"), ends_at=hub_room.clock.now() + 5, is_attached=False)
    hub_room.audience.deliver(update("a"))
    hub_room.clock.advance(60)
    session.attach(b"", is_behind=False)
    hub_room.clock.advance(LATE)
    assert [await client.chunk(), await client.chunk()] == [EVENT, b""]


async def test_a_stream_without_an_end_has_none(hub_room: HubRoom) -> None:
    _, session = await hub_room.listen(exact("a"), ends_at=math.inf, keep_alive=BEAT)
    hub_room.clock.advance(100_000)
    assert session in hub_room.audience.sessions
    assert hub_room.counters.mercure_expired == 0


async def test_a_stream_that_was_cut_does_not_expire_as_well(hub_room: HubRoom) -> None:
    client, session = await hub_room.listen(exact("a"), ends_at=hub_room.clock.now() + 5)
    session.cut("for a reason")
    hub_room.clock.advance(60)
    assert await client.until_cut() == b""
    assert hub_room.counters.mercure_expired == 0


# -- other ends -----------------------------------------------------------------------------------------------------


async def test_e11_a_client_that_does_not_read_is_cut_and_others_miss_nothing(hub_room: HubRoom) -> None:
    _, slow = await hub_room.listen(exact("a"), is_slow=True)
    other, session = await hub_room.listen(exact("a"))
    count = 0
    while slow in hub_room.audience.sessions:
        hub_room.audience.deliver(update("a", data=BIG))
        count += 1
        assert count < 1_000
        expected = b"id: 1\ndata: " + BIG.encode() + b"\n\n"
        assert await other.chunk() == expected
    assert count * len(BIG) > OUTBOX
    assert hub_room.counters.slow_clients == 1
    hub_room.audience.deliver(update("a"))
    assert await other.chunk() == EVENT
    assert hub_room.audience.sessions == {session}


async def test_e14_drained_it_ends_cleanly_and_closes(hub_room: HubRoom) -> None:
    client, session = await hub_room.listen(exact("a"))
    hub_room.audience.deliver(update("a"))
    session.drain()
    assert await client.until_closed() == encode_chunk(EVENT) + LAST_CHUNK
    assert not hub_room.door.taken
    assert hub_room.is_empty()


@pytest.mark.parametrize("leaving", ["close", "reset", "half_close"])
async def test_a_client_that_leaves_is_forgotten(hub_room: HubRoom, leaving: str) -> None:
    client, session = await hub_room.listen(exact("a"), ends_at=hub_room.clock.now() + 100, keep_alive=BEAT)
    getattr(client, leaving)()
    await hub_room.until_closed(session.transport)
    await settle()
    assert hub_room.is_empty()
    assert session.tick == NOWHERE
