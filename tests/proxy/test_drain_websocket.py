"""The end of a process that holds WebSockets: clients get 1001, backends hear of it, and it is over in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest
from websockets.frames import Opcode

from proxy.app import App
from proxy.drain import ERRANDS_SECONDS
from tests.proxy.in_process import advance, gated, running
from tests.proxy.sockets import bodies, nothing_left, over_http, through
from tests.support.answers import never
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, event, events
from tests.support.turns import settle, until
from tests.support.websocket import WsClient, handshake
from tests.support.ws_backend import WsBackend

SECONDS = 10
SETTINGS = (f"proxy.drain_timeout={SECONDS}",)
BARE_CLOSE = b"CLOSE\r\n"


@pytest.fixture
async def sockets() -> AsyncGenerator[WsBackend]:
    async with WsBackend() as sockets:
        yield sockets


@pytest.fixture
async def app(backend: ScriptedBackend, sockets: WsBackend) -> AsyncGenerator[App]:
    routes = (f"* {backend.address},over_http", f"*,path_beg=/through {sockets.address}")
    async with running(*routes, settings=SETTINGS) as app:
        yield app


async def begin(app: App) -> asyncio.Task[None]:
    """Tell the app to stop, and let it begin to."""
    draining = asyncio.create_task(app.drain())
    await advance(app, 0)
    return draining


async def test_a_client_gets_1001_and_its_backend_a_close(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), events()) as client:
        draining = await begin(app)
        assert (await client.closed()).code == 1001
        await client.put_close(1001)
        assert await client.until_closed() == b""
        await draining
        assert bodies(backend) == [OPEN, BARE_CLOSE]
    assert (app.counters.sessions_drained, app.counters.connections_cut) == (1, 0)
    await nothing_left(app)


async def test_a_backend_that_speaks_websocket_gets_a_close_frame(app: App, sockets: WsBackend) -> None:
    async with through(app, sockets, path="/through") as (client, peer):
        draining = await begin(app)
        assert (await client.closed()).code == 1001
        frame = await peer.frame()
        assert (frame.opcode, frame.data) == (Opcode.CLOSE, b"")
        await peer.put_close()
        peer.close()
        await client.put_close(1001)
        assert await client.until_closed() == b""
        await draining
    await nothing_left(app)


async def test_a_client_that_does_not_answer_is_cut_in_time(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), events()) as client:
        draining = await begin(app)
        assert (await client.closed()).code == 1001
        await advance(app, SECONDS - 0.1)
        assert not draining.done()
        await advance(app, 0.2)
        await draining
        await client.until_cut()
    assert bodies(backend) == [OPEN, BARE_CLOSE]
    await nothing_left(app)


async def test_a_backend_that_hangs_holds_nobody_up(
    app: App, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with over_http(app, backend, events(OPEN), never()) as client:
        draining = await begin(app)
        await client.closed()
        await client.put_close(1001)
        await client.until_closed()
        await until(lambda: len(bodies(backend)) == 2)
        await settle()
        assert not draining.done(), "it has a moment to answer"
        await advance(app, ERRANDS_SECONDS)
        await draining
    assert "1 WebSockets' backends may not know of the end" in caplog.text
    assert app.counters.websocket_notices_lost >= 1
    await backend.disconnected(1)
    await nothing_left(app)


async def test_nor_does_one_that_hangs_already(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), never()) as client:
        await client.say("x")
        await until(lambda: len(bodies(backend)) == 2)
        draining = await begin(app)
        assert (await client.closed()).code == 1001
        await client.put_close(1001)
        await client.until_closed()
        await settle()
        await advance(app, ERRANDS_SECONDS)
        await draining
    assert bodies(backend) == [OPEN, event("TEXT", "x")]
    await nothing_left(app)


async def test_nor_does_one_that_is_down(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN)) as client:
        await backend.refuse()
        draining = await begin(app)
        assert (await client.closed()).code == 1001
        client.close()
        await advance(app, ERRANDS_SECONDS)
        await draining


async def test_one_that_comes_back_in_time_is_told(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), events()) as client:
        await backend.refuse()
        client.close()
        await until(lambda: app.counters.websocket_retries == 1)
        await backend.listen()
        draining = await begin(app)
        await advance(app, 1.2)
        await draining
    assert bodies(backend)[-1] == b"DISCONNECT\r\n"
    assert app.counters.websocket_notices_lost == 0


async def test_nor_does_one_that_speaks_websocket_and_does_not_answer(app: App, sockets: WsBackend) -> None:
    async with through(app, sockets, path="/through") as (client, peer):
        draining = await begin(app)
        await client.closed()
        client.close()
        await draining
        assert (await peer.frame()).opcode is Opcode.CLOSE
        await advance(app, SECONDS + 1)
        await peer.until_cut()
    await nothing_left(app)


async def test_a_client_that_still_waits_for_its_backend_is_cut_in_time(app: App, backend: ScriptedBackend) -> None:
    backend.answers("/ws", never())
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        await client.send_request("/ws", headers=handshake())
        await backend.request()
        draining = await begin(app)
        await advance(app, SECONDS + 0.2)
        await client.until_cut()
        await settle()
        await advance(app, ERRANDS_SECONDS)
        await draining
    await backend.disconnected(1)
    await nothing_left(app)


async def test_one_whose_backend_accepts_it_now_is_let_in_and_out_again(app: App, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.answers("/ws", gated(gate, events(OPEN, event("TEXT", "m:lost"))), events())
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        await client.send_request("/ws", headers=handshake())
        await backend.request()
        draining = await begin(app)
        gate.set()
        assert (await client.head()).status == 101
        assert (await client.closed()).code == 1001
        await client.put_close(1001)
        assert await client.until_closed() == b""
        await draining
    assert bodies(backend) == [OPEN, BARE_CLOSE]
    await nothing_left(app)


async def test_many_are_told_over_a_part_of_the_time(app: App, backend: ScriptedBackend) -> None:
    numbers = iter(number / 4 for number in range(4))
    app.side.draining._random = lambda: next(numbers)  # noqa: SLF001
    backend.answers("/ws", events(OPEN))
    clients = []
    for _ in range(4):
        client = await WsClient.connect(app.proxy_addresses[0])
        clients.append(await client.open("/ws"))
    backend.answers("/ws", events())
    draining = await begin(app)
    left = []
    for _ in range(4):
        left.append(len(app.edge.sessions))
        await advance(app, 2)
    assert left == [3, 2, 1, 0]
    for client in clients:
        client.close()
    await draining
    assert bodies(backend)[4:] == [BARE_CLOSE] * 4
