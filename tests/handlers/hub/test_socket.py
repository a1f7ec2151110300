"""A subscriber's WebSocket: updates as messages, whatever else the client says, and how it is closed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.frames import Close, Frame, Opcode

from handlers.framed import BURST_SECONDS
from handlers.hub.socket import MESSAGE_LIMIT
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.ws_frames import encode_frame
from handlers.settings import WebSocketSettings
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.hub.hub_room import HubRoom, exact, update
from tests.handlers.protocol.ws_reading import FIN, PING, TEXT, wire
from tests.support.turns import until

LATE = TimerWheel.RESOLUTION
RATE = 3
PLAIN_OR_DEFLATED = pytest.mark.parametrize("is_deflated", [False, True], ids=["plain", "deflated"])


@pytest_asyncio.fixture
async def strict() -> AsyncIterator[HubRoom]:
    """A room in which few pings are allowed."""
    async with HubRoom(websocket=WebSocketSettings(control_rate=RATE)) as room:
        yield room


# -- what it gets ---------------------------------------------------------------------------------------------------


@PLAIN_OR_DEFLATED
async def test_an_update_is_a_message_of_json(hub_room: HubRoom, is_deflated: bool) -> None:
    client, _ = await hub_room.socket(exact("a"), is_deflated=is_deflated)
    text = "é again and" * 20
    hub_room.audience.deliver(update("a", data=text, kind="t"))
    assert json.loads(await client.heard()) == {"id": "1", "type": "t", "data": text}


@PLAIN_OR_DEFLATED
async def test_what_comes_before_it_is_attached_waits_in_order(hub_room: HubRoom, is_deflated: bool) -> None:
    client, session = await hub_room.socket(exact("a"), is_attached=False, is_deflated=is_deflated)
    for number in "12":
        hub_room.audience.deliver(update("a", event_id=number))
    session.transport.write(encode_frame(Opcode.TEXT, b"the past"))
    assert await client.heard() == "the past"
    assert client.pending() == b""
    session.attach(b"", is_behind=False)
    hub_room.audience.deliver(update("a", event_id="3"))
    assert [json.loads(await client.heard())["id"] for _ in "123"] == ["1", "2", "3"]


async def test_e07_a_ping_comes_when_nothing_else_has_for_its_time(hub_room: HubRoom) -> None:
    beat = KeepAlive(data=encode_frame(Opcode.PING, b""), timeout=40)
    client, _ = await hub_room.socket(exact("a"), keep_alive=beat)
    hub_room.clock.advance(30)
    hub_room.audience.deliver(update("a"))
    await client.heard()
    hub_room.clock.advance(38.9)
    assert client.pending() == b"", "an update restarts the time"
    hub_room.clock.advance(1.1)
    assert await client.frame() == Frame(Opcode.PING, b"")


# -- what the client says -------------------------------------------------------------------------------------------


@PLAIN_OR_DEFLATED
async def test_a_ping_gets_its_pong(hub_room: HubRoom, is_deflated: bool) -> None:
    client, _ = await hub_room.socket(exact("a"), is_deflated=is_deflated)
    await client.put(Frame(Opcode.PING, b"are you there"), Frame(Opcode.PING, b""))
    assert [await client.frame(), await client.frame()] == [
        Frame(Opcode.PONG, b"are you there"),
        Frame(Opcode.PONG, b""),
    ]
    assert hub_room.counters.websocket_messages == 0


async def test_a_flood_of_pings_is_refused(strict: HubRoom) -> None:
    client, session = await strict.socket(exact("a"))
    allowed = RATE * BURST_SECONDS
    await client.send(wire(FIN | PING, b"p") * (allowed + 5))
    for _ in range(allowed):
        assert await client.frame() == Frame(Opcode.PONG, b"p")
    assert await client.closed() == Close(1008, "too many pings")
    assert await client.until_closed() == b""
    assert strict.counters.websocket_client_faults == 1
    client.close()
    await strict.until_closed(session.transport)
    assert strict.is_empty()


async def test_pings_at_a_fair_rate_are_never_too_many(strict: HubRoom) -> None:
    client, _ = await strict.socket(exact("a"))
    for _ in range(RATE * BURST_SECONDS * 2):
        await client.put(Frame(Opcode.PING, b""))
        assert (await client.frame()).opcode is Opcode.PONG
        strict.clock.advance(1 / RATE)


@PLAIN_OR_DEFLATED
async def test_messages_are_counted_and_mean_nothing(hub_room: HubRoom, is_deflated: bool) -> None:
    client, session = await hub_room.socket(exact("a"), is_deflated=is_deflated)
    await client.put(
        Frame(Opcode.TEXT, b'{"subscribe": "b"}'),
        Frame(Opcode.BINARY, b"\xff", fin=False),
        Frame(Opcode.CONT, b"", fin=False),
        Frame(Opcode.CONT, b"end"),
        Frame(Opcode.PONG, b"unasked"),
        Frame(Opcode.PING, b"last"),
    )
    assert await client.frame() == Frame(Opcode.PONG, b"last")
    assert (hub_room.counters.websocket_messages, hub_room.counters.websocket_discarded) == (2, 2)
    assert session in hub_room.audience.sessions


async def test_a_message_is_not_read_beyond_its_limit(hub_room: HubRoom) -> None:
    client, _ = await hub_room.socket(exact("a"))
    await client.send(wire(TEXT, b"x" * MESSAGE_LIMIT) + wire(FIN, b"x"))
    assert (await client.closed()).code == 1009


async def test_what_came_behind_the_handshake_is_taken(hub_room: HubRoom) -> None:
    client, _ = await hub_room.socket(exact("a"), kept=wire(FIN | PING, b"early"))
    assert await client.frame() == Frame(Opcode.PONG, b"early")


# -- the end --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "echoed"), [(1000, 1000), (4321, 4321), (None, 1000)])
async def test_the_clients_close_is_answered_and_nothing_comes_behind(
    hub_room: HubRoom, code: int | None, echoed: int
) -> None:
    client, session = await hub_room.socket(exact("a"))
    await client.put_close(code)
    assert (await client.closed()).code == echoed
    hub_room.audience.deliver(update("a"))
    assert await client.until_closed() == b""
    await hub_room.until_closed(session.transport)
    assert hub_room.is_empty()
    assert session.tick == NOWHERE


async def test_e09_it_is_closed_with_1000_when_its_time_is_up(hub_room: HubRoom) -> None:
    ends_at = hub_room.clock.now() + 300
    client, session = await hub_room.socket(exact("a"), ends_at=ends_at)
    hub_room.clock.advance_to(ends_at - 0.001)
    assert session in hub_room.audience.sessions
    hub_room.clock.advance_to(ends_at + LATE)
    hub_room.audience.deliver(update("a"))
    assert await client.closed() == Close(1000, "time is up")
    assert hub_room.counters.mercure_expired == 1
    assert hub_room.is_empty()
    await client.put_close(1000)
    assert await client.until_closed() == b""


async def test_a_close_that_is_not_answered_is_not_waited_for_and_expires_once(hub_room: HubRoom) -> None:
    client, session = await hub_room.socket(exact("a"), ends_at=hub_room.clock.now() + 5)
    hub_room.clock.advance(5 + LATE)
    hub_room.clock.advance(hub_room.limits.close_timeout - 1)
    assert not session.transport.is_closing()
    hub_room.clock.advance(1 + LATE)
    assert (await client.closed()).code == 1000
    assert await client.until_cut() == b""
    assert (hub_room.counters.mercure_expired, hub_room.counters.websocket_close_timeouts) == (1, 1)


async def test_e14_drained_it_is_closed_with_1001(hub_room: HubRoom) -> None:
    client, session = await hub_room.socket(exact("a"))
    session.drain()
    assert (await client.closed()).code == 1001
    assert hub_room.is_empty()


async def test_drained_before_it_is_attached_it_is_closed_then(hub_room: HubRoom) -> None:
    client, session = await hub_room.socket(exact("a"), is_attached=False)
    hub_room.audience.deliver(update("a"))
    session.drain()
    session.attach(b"", is_behind=False)
    assert json.loads(await client.heard())["id"] == "1"
    assert (await client.closed()).code == 1001


async def test_one_that_is_silent_for_too_long_is_closed(hub_room: HubRoom) -> None:
    client, _ = await hub_room.socket(exact("a"))
    seconds = hub_room.settings.idle_timeout
    hub_room.clock.advance(seconds + LATE)
    assert await client.closed() == Close(1001, f"no bytes for {seconds:g} seconds")
    assert hub_room.counters.idle_closed == 1


async def test_e11_a_client_that_does_not_read_is_cut_and_others_miss_nothing(hub_room: HubRoom) -> None:
    _, slow = await hub_room.socket(exact("a"), is_slow=True)
    other, _ = await hub_room.socket(exact("a"))
    data = "x" * 16_000
    while slow in hub_room.audience.sessions:
        hub_room.audience.deliver(update("a", data=data))
        assert json.loads(await other.heard())["data"] == data
    assert hub_room.counters.slow_clients == 1


@pytest.mark.parametrize("leaving", ["close", "reset"])
async def test_a_client_that_leaves_is_forgotten(hub_room: HubRoom, leaving: str) -> None:
    client, session = await hub_room.socket(exact("a"), ends_at=hub_room.clock.now() + 100)
    getattr(client, leaving)()
    await until(hub_room.is_empty)
    await hub_room.until_closed(session.transport)
    assert session.tick == NOWHERE
