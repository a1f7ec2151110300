"""The backend of a WebSocket over HTTP fails: while it opens, and once it is connected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest

from proxy.app import App
from proxy.events_sender import REFUSAL_LIMIT
from tests.proxy.in_process import advance, running
from tests.proxy.sockets import bodies, nothing_left, over_http, over_http_link_of, until_told
from tests.support.answers import Answer, Ending, answer, close_without_answer, head, never, text
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, TYPE, event, events, message
from tests.support.turns import until
from tests.support.websocket import WsClient, handshake

DISCONNECT = b"DISCONNECT\r\n"
TIMEOUT = 7
BAD_GATEWAY = b"Error while proxying to origin.\n"
GATEWAY_TIMEOUT = b"Timed out while proxying to origin.\n"

HALF = head(200, b"OK", [(b"Content-Type", TYPE.encode()), (b"Content-Length", b"100")]) + OPEN
CHUNKED = head(200, b"OK", [(b"Content-Type", TYPE.encode()), (b"Transfer-Encoding", b"chunked")])

BROKEN = {
    "closed": close_without_answer(),
    "reset": answer(Ending.RESET),
    "garbage": answer(b"\x00\x01what?\r\n\r\n", Ending.CLOSE),
    "half a head": answer(b"HTTP/1.1 200 OK\r\nContent-", Ending.CLOSE),
    "half a body": answer(HALF, Ending.CLOSE),
    "half a body, reset": answer(HALF, Ending.RESET),
    "half a chunk": answer(CHUNKED + b"6\r\nOPE", Ending.CLOSE),
    "no chunk": answer(CHUNKED + b"6\r\nOPEN\r\n\r\nzz\r\n"),
    "another protocol": answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n"),
    "half an event": events(b"OPEN"),
    "no size": events(OPEN, b"TEXT x\r\n"),
    "too long": events(OPEN, b"X" * 1_000_001),
    "too long, in chunks": answer(CHUNKED + b"f4241\r\n" + b"X" * 1_000_001),
}
broken = pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
slow = pytest.mark.parametrize(
    "script",
    [never(), answer(HALF, asyncio.Event()), answer(CHUNKED, asyncio.Event())],
    ids=["says nothing", "half a body", "a head"],
)


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address},over_http,timeout={TIMEOUT}") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[WsClient]:
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        yield client


# -- while it opens -----------------------------------------------------------------------------------------------


@broken
async def test_an_opening_that_fails_is_502_and_leaves_nothing(
    app: App, client: WsClient, backend: ScriptedBackend, script: Answer
) -> None:
    backend.answers("/ws", script)
    refused = await client.ask("/ws")
    assert refused is not None
    assert (refused.status, refused.body) == (502, BAD_GATEWAY)
    assert app.counters.backend_failures == 1
    assert (await client.fetch("/next")).status == 200, "the connection goes on"
    client.close()
    await nothing_left(app)
    assert bodies(backend) == [OPEN]


@slow
async def test_an_opening_that_takes_too_long_is_504(
    app: App, client: WsClient, backend: ScriptedBackend, script: Answer
) -> None:
    backend.answers("/ws", script)
    await client.send_request("/ws", headers=handshake())
    await backend.request()
    await until(lambda: app.counters.websocket_requests)
    await let_the_head_arrive(client, backend)
    await advance(app, TIMEOUT + 1)
    refused = await client.response()
    assert (refused.status, refused.body) == (504, GATEWAY_TIMEOUT)
    assert app.counters.backend_timeouts == 1
    await backend.disconnected(1)
    client.close()
    await nothing_left(app)


async def let_the_head_arrive(client: WsClient, backend: ScriptedBackend) -> None:
    """Let an exchange go round behind what the backend has written, so that it has been read."""
    async with await WsClient.connect(client._socket.getpeername()) as other:  # noqa: SLF001
        backend.answers("/barrier", text(b"barrier"))
        await other.fetch("/barrier")


async def test_a_refusal_that_does_not_end_is_504(app: App, client: WsClient, backend: ScriptedBackend) -> None:
    backend.answers("/ws", answer(head(403, b"No", [(b"Content-Length", b"9")]) + b"half", asyncio.Event()))
    await client.send_request("/ws", headers=handshake())
    await backend.request()
    await let_the_head_arrive(client, backend)
    await advance(app, TIMEOUT + 1)
    assert (await client.response()).status == 504


async def test_a_refusal_that_is_cut_is_502(app: App, client: WsClient, backend: ScriptedBackend) -> None:
    backend.answers("/ws", answer(head(403, b"No", [(b"Content-Length", b"9")]) + b"half", Ending.CLOSE))
    refused = await client.ask("/ws")
    assert refused is not None
    assert refused.status == 502


@pytest.mark.parametrize(("size", "status"), [(REFUSAL_LIMIT, 403), (REFUSAL_LIMIT + 1, 502)])
async def test_a_refusals_body_is_bounded(
    app: App, client: WsClient, backend: ScriptedBackend, size: int, status: int
) -> None:
    backend.answers("/ws", text(b"x" * size, status=403))
    refused = await client.ask("/ws")
    assert refused is not None
    assert refused.status == status


@pytest.mark.parametrize(
    "framing",
    [
        text(b"no\n", status=403, headers=[(b"Connection", b"close, X-Hop"), (b"X-Hop", b"1")]),
        answer(head(403, b"OK", [(b"Transfer-Encoding", b"chunked")]) + b"3\r\nno\n\r\n0\r\n\r\n"),
        answer(head(403, b"OK", []) + b"no\n", Ending.CLOSE),
        answer(head(403, b"OK", [(b"Grip-Hold", b"stream"), (b"Content-Length", b"3")]) + b"no\n"),
    ],
    ids=["length", "chunked", "to the end", "grip"],
)
async def test_a_refusal_is_framed_for_the_client_whatever_its_framing_was(
    client: WsClient, backend: ScriptedBackend, framing: Answer
) -> None:
    backend.answers("/ws", framing)
    refused = await client.ask("/ws")
    assert refused is not None
    assert (refused.status, refused.body) == (403, b"no\n")
    assert refused.values(b"content-length") == (b"3",)
    assert not {b"transfer-encoding", b"connection", b"x-hop", b"grip-hold"} & set(refused.head.names())
    assert (await client.fetch("/next")).body == b"hello\n"


# -- once it is connected -----------------------------------------------------------------------------------------


@broken
async def test_a_failure_later_ends_the_client_and_is_told_to_the_backend(
    app: App, backend: ScriptedBackend, script: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    if script is BROKEN["half an event"]:
        script = events(b"TEXT")
    # A kept connection that closes without a word is tried again on a fresh one.
    again = (script,) if script in (BROKEN["closed"], BROKEN["reset"]) else ()
    async with over_http(app, backend, events(OPEN), script, *again, events()) as client:
        await client.say("x")
        closing = await client.closed()
        assert (closing.code, closing.reason) == (1011, "backend failed")
        await client.put_close(1011)
        assert await client.until_closed() == b""
    await until_told(backend, *[event("TEXT", "x")] * (1 + len(again)), DISCONNECT)
    assert app.counters.websocket_backend_faults == 1
    assert "ws://example.com/ws closed with 1011" in caplog.text
    await nothing_left(app)


@slow
async def test_an_answer_that_takes_too_long_ends_the_client(
    app: App, backend: ScriptedBackend, script: Answer
) -> None:
    async with over_http(app, backend, events(OPEN), script, events()) as client:
        await client.say("x")
        await until(lambda: len(bodies(backend)) == 2)
        await let_the_head_arrive(client, backend)
        await advance(app, TIMEOUT + 1)
        assert (await client.closed()).code == 1011
        await client.put_close(1011)
        assert await client.until_closed() == b""
    await until_told(backend, event("TEXT", "x"), DISCONNECT)
    await nothing_left(app)


@pytest.mark.parametrize("status", [201, 204, 302, 404, 500])
async def test_another_status_later_ends_the_client(app: App, backend: ScriptedBackend, status: int) -> None:
    script = answer(head(status, b"X", [(b"Content-Type", TYPE.encode()), (b"Content-Length", b"0")]))
    async with over_http(app, backend, events(OPEN), script, events()) as client:
        await client.say("x")
        assert (await client.closed()).code == 1011
    await until_told(backend, event("TEXT", "x"), DISCONNECT)


async def test_what_came_before_a_failure_is_delivered(app: App, backend: ScriptedBackend) -> None:
    said = events(message("kept"), OPEN, message("lost"))
    async with over_http(app, backend, events(OPEN), said, events()) as client:
        await client.say("x")
        assert await client.heard() == "kept"
        assert (await client.closed()).code == 1011


async def test_a_refusal_of_the_close_is_no_reason_to_wait(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), text(b"no", status=500)) as client:
        await client.put_close(4000)
        assert (await client.closed()).code in (1011, 4000)
        assert await client.until_closed() == b""
    await nothing_left(app)


async def test_a_fault_of_ours_is_logged_and_ends_that_connection_alone(
    app: App, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    async with over_http(app, backend, events(OPEN), events()) as client:
        over_http_link_of(app)._sender._headers = None  # type: ignore[assignment]  # noqa: SLF001
        await client.say("x")
        assert (await client.closed()).code == 1011
        await client.put_close(1011)
        assert await client.until_closed() == b""
    assert "ws://example.com/ws: internal error" in caplog.text
