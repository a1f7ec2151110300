"""A WebSocket passed through when one side takes nothing: the other is not read, and what waits between is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from websockets.frames import Frame, Opcode

from handlers.framed import RELAY_WATER
from proxy.app import App
from proxy.through import WRITE_WATER
from tests.proxy.in_process import advance, running
from tests.proxy.sockets import nothing_left, session_of, through, through_link_of
from tests.support.publisher import publish
from tests.support.turns import until
from tests.support.websocket import WsClient
from tests.support.ws_backend import WsBackend

KERNEL = 40_000_000
"""Bytes that the kernel may take on four sockets, generously."""
ONE_READ = 600_000
"""Bytes that a loop hands over at once, and an unfinished frame."""
FRAME = Frame(Opcode.BINARY, b"x" * 10_000)


@pytest.fixture
async def backend() -> AsyncGenerator[WsBackend]:
    async with WsBackend() as backend:
        yield backend


@pytest.fixture
async def app(backend: WsBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address},sub=room", settings=["hold.idle_timeout=0"]) as app:
        yield app


async def stuff(end: WsClient) -> int:
    """Send frames until nobody takes any more; return how many bytes were taken."""
    return await end.stuff(FRAME.serialize(mask=not end.is_server), at_most=KERNEL)


async def test_a_client_that_does_not_read_stops_the_reading_of_its_backend(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        taken = await stuff(peer)
        waiting = session_of(app).transport.get_write_buffer_size()
        assert RELAY_WATER < waiting < RELAY_WATER + ONE_READ
        assert session_of(app).is_behind
        assert app.edge.sessions, "it is not cut: nothing of what it is behind with was published"
        frames = taken // len(FRAME.serialize(mask=False))
        await client.skip(frames * len(FRAME.serialize(mask=False)))
        await peer.send(FRAME.serialize(mask=False)[taken % len(FRAME.serialize(mask=False)) :])
        assert await client.frame() == FRAME
        await peer.say("and on")
        assert await client.heard() == "and on"


async def test_a_backend_that_does_not_read_stops_the_reading_of_the_client(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        data = FRAME.serialize(mask=True)
        taken = await client.stuff(data, at_most=KERNEL)
        waiting = through_link_of(app)._transport.get_write_buffer_size()  # noqa: SLF001
        assert WRITE_WATER < waiting < WRITE_WATER + ONE_READ
        frames = taken // len(data)
        await peer.skip(frames * len(data))
        await client.send(data[taken % len(data) :])
        assert await peer.frame() == FRAME
        await client.say("and on")
        assert await peer.heard() == "and on"
    await nothing_left(app)


async def test_one_direction_does_not_wait_for_the_other(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await stuff(peer)
        await client.say("the other way")
        assert await peer.heard() == "the other way"


async def test_a_published_message_is_not_waited_for(app: App, backend: WsBackend) -> None:
    """The bound of a slow client is for what nobody can hold back; what a backend sends counts towards it."""
    async with through(app, backend) as (client, peer):
        taken = await stuff(peer)
        await publish(app, {"channel": "room", "formats": {"ws-message": {"content": "published"}}})
        assert app.edge.sessions
        data = FRAME.serialize(mask=False)
        sending = asyncio.create_task(peer.send(data[taken % len(data) :]))
        while (frame := await client.frame()) == FRAME:
            pass
        assert frame.data == b"published"
        await sending


async def test_a_client_that_goes_while_it_is_behind_lets_the_backend_go(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await stuff(peer)
        client.reset()
        await until(lambda: not app.edge.sessions)
        await peer.until_cut()
    await nothing_left(app)


async def test_a_backend_that_goes_while_it_is_behind_lets_the_client_close(app: App, backend: WsBackend) -> None:
    """The client was not read, and must be again, or its answer to the close would not be seen."""
    async with through(app, backend) as (client, peer):
        await stuff(client)
        peer.reset()
        assert (await client.closed()).code == 1011
        client.close()
    await nothing_left(app)


async def test_a_backend_that_closes_while_it_is_behind_lets_the_client_close(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        taken = await stuff(client)
        await peer.put_close(4000)
        assert (await client.closed()).code == 4000
        peer.reset()
        data = FRAME.serialize(mask=True)
        await client.send(data[taken % len(data) :])
        await client.put_close(4000)
        assert await client.until_closed() == b""
    await nothing_left(app)


async def test_a_backend_that_is_let_go_while_it_is_behind_lets_the_client_speak(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await stuff(client)
        session_of(app).detach()
        await until(lambda: app.counters.websocket_discarded)
        await advance(app, 10.2)
        await peer.until_cut()
        assert app.edge.sessions
    await nothing_left(app)
