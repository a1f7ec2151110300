"""The end of a process, from each state that a connection may be in, on the test's clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.app import App
from proxy.drain import GRACE_SECONDS
from tests.proxy.in_process import advance, client_of, gated, running
from tests.support.answers import Answer, grip_response, grip_stream, never, text
from tests.support.at_once import connect_at_once
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.publisher import close_item, publish
from tests.support.tls_client import TlsClient, install, trusting
from tests.support.turns import settle, until

SECONDS = 10


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}", settings=[f"proxy.drain_timeout={SECONDS}"]) as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await client_of(app) as client:
        yield client


async def begin(app: App) -> asyncio.Task[None]:
    """Tell the app to stop, and let it begin to."""
    task = asyncio.create_task(app.drain())
    await settle()
    return task


async def hold(app: App, client: RawClient, backend: ScriptedBackend, script: Answer) -> None:
    backend.answers("/hold", script)
    await client.send(encode_request("/hold"))
    await until(lambda: app.edge.sessions)


async def test_with_no_client_it_is_over_at_once(app: App) -> None:
    await (await begin(app))


async def test_idle_connections_are_closed_and_nobody_new_is_let_in(app: App, client: RawClient) -> None:
    await client.fetch("/")
    await advance(app, GRACE_SECONDS)
    draining = await begin(app)
    assert await client.until_closed() == b""
    await draining
    with pytest.raises(ConnectionRefusedError):
        await client_of(app)


async def test_whoever_is_connected_may_still_send_a_request(app: App) -> None:
    """Those too of whom the process does not know yet."""
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(await client_of(app))
        await until(lambda: app.clients.open_transports)
        waiting = [RawClient(connect_at_once(app.proxy_addresses[0])) for _ in range(20)]
        task = asyncio.create_task(app.drain())
        await settle()
        assert len(app.clients.open_transports) == 21
        for client in (known, *waiting):
            await client.send(encode_request("/"))
            assert (await client.response()).values(b"connection") == (b"close",)
            assert await client.until_closed() == b""
            client.close()
        await task
        assert app.counters.connections_cut == 0


async def test_whoever_sends_nothing_does_not_keep_it_from_ending(app: App, client: RawClient) -> None:
    await until(lambda: app.clients.open_transports)
    draining = await begin(app)
    await advance(app, GRACE_SECONDS - 0.1)
    assert not draining.done()
    await advance(app, 0.2)
    assert await client.until_closed() == b""
    await draining
    assert app.counters.connections_cut == 0


async def test_a_stream_is_ended_cleanly(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    await hold(app, client, backend, grip_stream("room", body=b"open"))
    await client.head()
    draining = await begin(app)
    await advance(app, 0)
    assert (await client.chunk(), await client.chunk()) == (b"open", b"")
    assert await client.until_closed() == b""
    await draining
    assert app.counters.sessions_drained == 1
    assert app.counters.connections_cut == 0


async def test_a_poll_is_answered_as_at_its_timeout(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    await hold(app, client, backend, grip_response("room", body=b"later"))
    draining = await begin(app)
    await advance(app, 0)
    found = await client.response()
    assert (found.body, found.values(b"connection")) == (b"later", (b"close",))
    assert await client.until_closed() == b""
    await draining


async def test_e14_subscribers_of_the_hub_are_ended_as_well() -> None:
    settings = [f"proxy.drain_timeout={SECONDS}", "mercure.anonymous=true", "mercure.history="]
    async with running(settings=settings) as app, await client_of(app) as streaming, await client_of(app) as polling:
        assert app.hub is not None
        audience = app.hub.hub.audience
        await streaming.send_request("/.well-known/mercure?match=a")
        assert (await streaming.head()).status == 200
        assert await streaming.chunk() == b":\n"
        await polling.send_request("/.well-known/mercure?match=a&poll=300")
        await until(lambda: len(audience.sessions) == 2)
        draining = await begin(app)
        await advance(app, SECONDS)
        assert await streaming.until_closed() == b"0\r\n\r\n"
        assert (await polling.response()).body == b'{"last_event_id":"earliest","updates":[]}'
        assert await polling.until_closed() == b""
        await draining
        assert (app.counters.sessions_drained, app.counters.connections_cut) == (2, 0)
        assert app.counters.mercure_subscribers == 0


@pytest.mark.parametrize("script", [grip_stream("room", body=b"open"), grip_response("room", body=b"later")])
async def test_a_hold_that_only_begins_now_ends_at_once(
    app: App, client: RawClient, backend: ScriptedBackend, script: Answer
) -> None:
    gate = asyncio.Event()
    backend.answers("/hold", gated(gate, script))
    await client.send(encode_request("/hold"))
    await backend.request()
    draining = await begin(app)
    gate.set()
    assert (await client.response()).body in (b"open", b"later")
    assert await client.until_closed() == b""
    await draining
    assert not app.edge.sessions


async def test_a_stream_closed_while_its_body_came_ends_once(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: room\r\nContent-Length: 9\r\n\r\n"
    await hold(app, client, backend, Answer(steps=(head + b"half,", gate, b"half")))
    await client.head()
    assert await client.chunk() == b"half,"
    await publish(app, close_item("room"))
    draining = await begin(app)
    gate.set()
    assert await client.chunk() == b"half"
    assert await client.until_closed() == b"0\r\n\r\n"
    await draining


async def test_a_request_under_way_is_finished(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.default = gated(gate, text(b"done"))
    await client.send(encode_request("/"))
    await backend.request()
    draining = await begin(app)
    assert not draining.done()
    gate.set()
    assert (await client.response()).body == b"done"
    await draining


async def test_what_takes_too_long_is_cut_and_counted(
    app: App, client: RawClient, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    backend.default = never()
    await client.send(encode_request("/"))
    await backend.request()
    draining = await begin(app)
    await advance(app, SECONDS - 0.1)
    assert not draining.done()
    await advance(app, 0.1)
    await draining
    assert await client.until_cut() == b""
    assert app.counters.connections_cut == 1
    assert "1 connections cut" in caplog.text
    await backend.disconnected(1)


@pytest.mark.parametrize(("sent", "cut"), [(b"", 0), (b"GET / HT", 1)], ids=["idle", "part of a head"])
async def test_a_client_by_tls_is_not_counted_as_cut_while_its_closing_is_awaited(
    tmp_path: Path, sent: bytes, cut: int
) -> None:
    """It takes a second to see that it says nothing any more: as long as the process has here."""
    trust = trusting(install(tmp_path, "default", "localhost"))
    settings = ["proxy.tls_listen=127.0.0.1:0", f"proxy.tls_certs={tmp_path}", "proxy.drain_timeout=2"]
    async with (
        running("* test", settings=settings) as app,
        await TlsClient.connect_tls(app.proxy_addresses[1], trust) as client,
    ):
        await client.fetch("/")
        await client.send(sent)
        await settle()
        draining = await begin(app)
        for _ in range(16):
            await advance(app, 0.125)
        await draining
        assert app.counters.connections_cut == cut


async def test_holds_are_ended_over_a_part_of_the_time(backend: ScriptedBackend) -> None:
    """Those who are ended come back at once, to somebody else."""
    async with running("* test", settings=[f"proxy.drain_timeout={SECONDS}"]) as app:
        numbers = iter(number / 10 for number in range(10))
        app.side.draining._random = lambda: next(numbers)  # noqa: SLF001
        clients = [await client_of(app) for _ in range(10)]
        for client in clients:
            await client.send(encode_request("/stream"))
        await until(lambda: len(app.edge.sessions) == 10)
        draining = await begin(app)
        left = []
        for _ in range(10):
            left.append(len(app.edge.sessions))
            await advance(app, 0.8)
        assert left == sorted(left, reverse=True)
        assert left[5] in (4, 5, 6)
        await until(lambda: not app.clients.open_transports)
        await draining
        for client in clients:
            client.close()
