"""SIGTERM: nobody new, held clients ended in good order over a bounded time, requests in flight finished."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.e2e.holding import open_poll, open_stream, stopping
from tests.support.answers import answer, grip_response, grip_stream, never, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELD = 30
DRAINING = "proxy.drain_timeout=10"


async def test_sigterm_ends_holds_cleanly_and_spread(backend: ScriptedBackend) -> None:
    """Streams get their last chunk, polls their timeout answer, none all at once; then the process ends with 0."""
    async with (
        AppProcess(f"* {backend.address}", settings=[DRAINING], seed=1) as app,
        crowd(app.proxy_address, HELD) as streams,
        crowd(app.proxy_address, HELD) as polls,
    ):
        for client in streams:
            await open_stream(client, backend, "/stream", grip_stream("stream", body=b"open"))
            assert await client.chunk() == b"open"
        for client in polls:
            await open_poll(app, client, backend, "/poll", grip_response("poll", body=b"later\n"))
        app.signal(signal.SIGTERM)
        await stopping(app, 2 * HELD)
        await app.advance(4)
        ended = sum(bool(client.pending()) for client in (*streams, *polls))
        assert HELD / 2 < ended < 2 * HELD - HELD / 2
        await app.advance(4.1)
        for client in streams:
            assert await client.chunk() == b""
            assert await client.until_closed() == b""
        for client in polls:
            response = await client.response()
            assert (response.status, response.body) == (200, b"later\n")
            assert response.values(b"connection") == (b"close",)
            assert await client.until_closed() == b""
        assert await app.exit_status() == 0


async def test_sigterm_closes_idle_clients_and_refuses_new_ones(backend: ScriptedBackend) -> None:
    """The port is free for the next process at once."""
    gate = asyncio.Event()
    backend.answers("/busy", answer(gate, *text(b"finished\n").steps))
    async with (
        AppProcess(f"* {backend.address}", settings=[DRAINING]) as app,
        await RawClient.connect(app.proxy_address) as idle,
        await RawClient.connect(app.proxy_address) as busy,
    ):
        assert (await idle.fetch("/")).status == 200
        backend.forget()
        await busy.send_request("/busy")
        await backend.request()
        app.signal(signal.SIGTERM)
        await stopping(app, 0)
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect(app.proxy_address)
        await app.advance(1)
        assert await idle.until_closed() == b""
        gate.set()
        response = await busy.response()
        assert (response.status, response.body) == (200, b"finished\n")
        assert response.values(b"connection") == (b"close",)
        assert await busy.until_closed() == b""
        assert await app.exit_status() == 0


async def test_requests_that_come_just_after_sigterm_are_answered(backend: ScriptedBackend) -> None:
    """On connections that were there, whether they have been used or not."""
    async with (
        AppProcess(f"* {backend.address}", settings=[DRAINING]) as app,
        await RawClient.connect(app.proxy_address) as used,
        await RawClient.connect(app.proxy_address) as fresh,
    ):
        assert (await used.fetch("/")).status == 200
        await app.until(lambda counters: counters["connections"] == 2)
        app.signal(signal.SIGTERM)
        await stopping(app, 0)
        for client in (used, fresh):
            response = await client.fetch("/")
            assert (response.status, response.values(b"connection")) == (200, (b"close",))
            assert await client.until_closed() == b""
        assert await app.exit_status() == 0


async def test_sigterm_waits_no_longer_than_it_was_told_to(backend: ScriptedBackend) -> None:
    """A request that does not end within drain_timeout is cut, and the process ends all the same."""
    backend.answers("/stuck", never())
    async with (
        AppProcess(f"* {backend.address}", settings=[DRAINING]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await client.send_request("/stuck")
        await backend.request()
        app.signal(signal.SIGTERM)
        await stopping(app, 0)
        await app.advance(9.9)
        assert client.pending() == b""
        await app.advance(0.2)
        assert await client.until_cut() == b""
        assert await app.exit_status() == 0


async def test_what_waits_for_an_earlier_item_is_delivered_before_the_end(backend: ScriptedBackend) -> None:
    async with (
        AppProcess(f"* {backend.address}", settings=[DRAINING], seed=1) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await open_stream(client, backend, "/waits", grip_stream("waits", body=b"open"))
        assert await client.chunk() == b"open"
        await publish(app, stream_item("waits", "1", id="1"), stream_item("waits", "3", **{"id": "3", "prev-id": "2"}))
        assert await client.chunk() == b"1"
        app.signal(signal.SIGTERM)
        assert await client.chunk() == b"3"
        await stopping(app, 1)
        await app.advance(11)
        assert await client.chunk() == b""
        assert await app.exit_status() == 0
