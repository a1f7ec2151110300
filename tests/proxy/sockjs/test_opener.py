"""A SockJS session is opened: what the log says of it, and what is left when client or backend does not want it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxy.app import App
from tests.proxy.in_process import census, client_of, gated, running
from tests.support.answers import answer, text
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, events
from tests.support.turns import until
from tests.support.websocket import WsClient

SESSIONS = ("SockJsSession", "WebSocketSession", "SockJsPoll", "SockJsSocket", "OverHttpLink")


async def test_the_log_says_where_the_session_leads(
    client: RawClient, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert (await client.fetch("/s/0/a/xhr", method="POST", body=b"")).body == b"o\n"
    line = f"POST http://example.com/s/0/a/xhr -> {backend.address}[http] from=127.0.0.1 route=chat code=200 2"
    assert any(line in message for message in caplog.messages), caplog.messages


@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming"])
async def test_nothing_is_left_of_one_that_was_refused(
    app: App, client: RawClient, backend: ScriptedBackend, transport: str
) -> None:
    backend.answers("/s", text("no\n", status=403))
    refused = await client.fetch(f"/s/0/a/{transport}", method="POST", body=b"")
    assert (refused.status, refused.body) == (403, b"no\n")
    assert (await client.fetch(f"/s/0/a/{transport}", method="POST", body=b"")).status == 403
    await until(lambda: not census(*SESSIONS))
    assert app.counters.sockjs_opened == 0


async def test_a_refusal_of_a_backend_that_speaks_websocket(backend: ScriptedBackend) -> None:
    """It is relayed as it comes, with what a page needs to read it."""
    refusal = b"HTTP/1.1 401 Unauthorized\r\nX-Why: so\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    backend.answers("/s", answer(refusal))
    async with running(f"*,sockjs=/s {backend.address}") as app, await client_of(app) as client:
        page = [("Origin", "http://p.example")]
        refused = await client.fetch("/s/0/a/xhr", method="POST", headers=page, body=b"")
        assert (refused.status, refused.body, refused.values(b"x-why")) == (401, b"no", (b"so",))
        assert refused.values(b"access-control-allow-origin") == (b"http://p.example",)
        (request,) = backend.requests
        assert (request.method, request.values(b"upgrade"), request.body) == (b"GET", (b"websocket",), b"")


async def test_a_client_that_leaves_meanwhile_leaves_nothing(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/s", gated(gate, events(OPEN)), events())
    await client.send_request("/s/0/a/xhr", method="POST", body=b"")
    assert (await backend.request()).body == OPEN
    async with await client_of(app) as other:
        second = await other.fetch("/s/0/a/xhr", method="POST", body=b"")
        assert second.body == b'c[2010,"Another connection still open"]\n'
        client.close()
        await until(lambda: app.counters.requests_abandoned == 1)
        gate.set()
        assert (await backend.request()).body == b"DISCONNECT\r\n"
        await until(lambda: not census(*SESSIONS))


async def test_a_websocket_client_that_leaves_meanwhile(app: App, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.answers("/s/websocket", gated(gate, events(OPEN)), events())
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        asking = asyncio.create_task(client.ask("/s/0/a/websocket"))
        assert (await backend.request()).body == OPEN
        asking.cancel()
    gate.set()
    assert (await backend.request()).body == b"DISCONNECT\r\n"
    await until(lambda: not census(*SESSIONS))


async def test_the_test_target_takes_sockjs_where_its_path_is_ws(client: RawClient) -> None:
    assert (await client.fetch("/t/0/a/xhr", method="POST", body=b"")).status == 404


async def test_its_transport_knows_who_the_client_is(app: App, client: RawClient) -> None:
    assert (await client.fetch("/s/0/a/xhr", method="POST", body=b"")).body == b"o\n"
    assert app.side is not None
    (session,) = app.side.edge.sessions
    assert session.transport.get_extra_info("peername")[0].endswith("127.0.0.1")
    assert session.transport.get_extra_info("ssl_object") is None
