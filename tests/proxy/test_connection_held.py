"""A client's connection before it is given to a session, while a session has it, and after it came back."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from proxy.app import App
from tests.proxy.in_process import census, client_of, gated, running
from tests.proxy.leaving import LEAVINGS, leavings
from tests.support.answers import Answer, grip_response, grip_stream
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.publisher import close_item, publish, response_item, stream_item
from tests.support.turns import settle, until

HOLDS = {
    "stream": grip_stream("room", body=b"open"),
    "poll": grip_response("room", body=b"later"),
}
NEXT = encode_request("/next")

OF_A_REQUEST = (
    "ClientConnection", "Feed", "RequestFramer", "HeadReader", "BodyReader", "Exchange", "Flow", "Repetition",
    "Written",
)  # fmt: skip
OF_AIOHTTP = ("StreamReader", "StreamWriter", "HttpRequestParser", "RawRequestMessage")
OF_A_HOLD = ("StreamSession", "ResponseSession", "Task")

kinds = pytest.mark.parametrize("kind", HOLDS)


@asynccontextmanager
async def held(app: App, backend: ScriptedBackend, kind: str, *, also: bytes = b"") -> AsyncGenerator[RawClient]:
    """A client that is held, having sent `also` right behind its request."""
    backend.answers("/hold", HOLDS[kind])
    opened = app.counters.sessions_opened
    async with await client_of(app) as client:
        await client.send(encode_request("/hold") + also)
        await until(lambda: app.counters.sessions_opened > opened)
        if kind == "stream":
            await client.head()
            assert await client.chunk() == b"open"
        yield client


async def end(app: App, client: RawClient, kind: str) -> None:
    """Publish what ends the hold, and have the client read it."""
    if kind == "stream":
        await publish(app, close_item("room"))
        assert await client.chunk() == b""
    else:
        await publish(app, response_item("room", "now"))
        assert (await client.response()).body == b"now"


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}") as app:
        yield app


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def trouble(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


# -- the client leaves --------------------------------------------------------------------------------------------


@kinds
@leavings
async def test_a_client_that_leaves_before_the_answer_ends_its_request(
    app: App, backend: ScriptedBackend, kind: str, leaving: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answers("/hold", gated(asyncio.Event(), HOLDS[kind]))
    async with await client_of(app) as client:
        await client.send(encode_request("/hold"))
        request = await backend.request()
        LEAVINGS[leaving](client)
        await backend.disconnected(request.connection)
    await until(lambda: not app.clients.open_transports)
    assert app.counters.requests_abandoned == 1
    assert not app.edge.sessions
    assert trouble(caplog) == []


@kinds
@leavings
async def test_a_client_that_leaves_while_held_is_forgotten(
    app: App, backend: ScriptedBackend, kind: str, leaving: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with held(app, backend, kind) as client:
        LEAVINGS[leaving](client)
        await until(lambda: not app.clients.open_transports)
    assert not app.edge.sessions
    assert app.counters.requests_abandoned == 0
    await publish(app, stream_item("room", "to nobody"), response_item("room", "to nobody"))
    assert app.counters.deliveries == 0
    assert trouble(caplog) == []


@leavings
async def test_a_client_that_leaves_in_the_middle_of_the_backends_body_is_forgotten(
    app: App, backend: ScriptedBackend, leaving: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = Answer(steps=(*head_of_a_stream(), asyncio.Event()))
    backend.answers("/hold", body)
    async with await client_of(app) as client:
        await client.send(encode_request("/hold"))
        await client.head()
        request = await backend.request()
        LEAVINGS[leaving](client)
        await backend.disconnected(request.connection)
    await until(lambda: not app.clients.open_transports)
    assert not app.edge.sessions
    assert app.counters.requests_abandoned == 1
    assert trouble(caplog) == []


@kinds
@leavings
async def test_a_client_that_leaves_behind_a_deep_pipeline_is_noticed_once_held(
    app: App, backend: ScriptedBackend, kind: str, leaving: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading is paused while the answer is waited for, and must not be when the session has the connection."""
    gate = asyncio.Event()
    backend.answers("/hold", gated(gate, HOLDS[kind]))
    async with await client_of(app) as client:
        await client.send(encode_request("/hold") + b"GET /" + b"x" * 300_000)
        await backend.request()
        LEAVINGS[leaving](client)
        gate.set()
        await until(lambda: not app.clients.open_transports)
    assert not app.edge.sessions
    assert trouble(caplog) == []


# -- the client sends early ---------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("split", [len(NEXT), 10, 1, 0], ids=["whole", "part of a head", "one byte", "nothing"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_a_client_sends_early_is_its_next_request(
    app: App, backend: ScriptedBackend, kind: str, split: int, when: str
) -> None:
    early, rest = NEXT[:split], NEXT[split:]
    async with held(app, backend, kind, also=early if when == "before" else b"") as client:
        if when == "after":
            await client.send(early)
        await settle()
        await end(app, client, kind)
        await client.send(rest)
        assert (await client.response()).body == b"hello\n"
    assert [request.target for request in backend.requests] == [b"/hold", b"/next"]


@kinds
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_body_sent_early_goes_with_its_request(
    app: App, backend: ScriptedBackend, kind: str, when: str
) -> None:
    post = encode_request("/next", method="POST", body=b"some words")
    async with held(app, backend, kind, also=post[:-4] if when == "before" else b"") as client:
        await client.send(post[-4:] if when == "before" else post)
        await end(app, client, kind)
        assert (await client.response(method="POST")).body == b"hello\n"
    assert backend.requests[-1].body == b"some words"


@kinds
async def test_late_bytes_are_joined_in_their_order(app: App, backend: ScriptedBackend, kind: str) -> None:
    async with held(app, backend, kind, also=NEXT[:3]) as client:
        for place in range(3, len(NEXT)):
            await client.send(NEXT[place : place + 1])
            await settle()
        await end(app, client, kind)
        assert (await client.response()).status == 200


@kinds
async def test_more_than_the_kept_limit_costs_the_connection(app: App, backend: ScriptedBackend, kind: str) -> None:
    async with held(app, backend, kind) as client:
        await client.send_as_far_as_taken(b"x" * 70_000)
        assert await client.until_cut() == b""
    await until(lambda: not app.clients.open_transports)
    assert app.counters.kept_overflows == 1
    assert not app.edge.sessions


@kinds
async def test_exactly_the_kept_limit_is_kept(app: App, backend: ScriptedBackend, kind: str) -> None:
    many = NEXT * (65_536 // len(NEXT))
    async with held(app, backend, kind) as client:
        await client.send(many)
        await settle()
        await end(app, client, kind)
        for _ in range(65_536 // len(NEXT)):
            assert (await client.response()).body == b"hello\n"


# -- the connection comes back ------------------------------------------------------------------------------------


@kinds
async def test_a_connection_is_held_and_given_back_a_hundred_times(
    app: App, backend: ScriptedBackend, kind: str
) -> None:
    backend.answers("/hold", HOLDS[kind])
    async with await client_of(app) as client:
        after_one: Counter[str] = Counter()
        for turn in range(1, 101):
            await client.send(encode_request("/hold"))
            await until(lambda turn=turn: app.counters.sessions_opened == turn)  # type: ignore[misc]
            if kind == "stream":
                await client.head()
                assert await client.chunk() == b"open"
            await end(app, client, kind)
            assert (await client.fetch("/between")).status == 200
            await settle()
            after_one = after_one or census(*OF_A_REQUEST, *OF_AIOHTTP, *OF_A_HOLD)
        assert census(*OF_A_REQUEST, *OF_AIOHTTP, *OF_A_HOLD) == after_one
        assert len(app.clients.open_transports) == 1
        assert len(app.clients.connections) == 1
    await until(lambda: not app.clients.open_transports)


@pytest.mark.parametrize("kind", ["stream", "response"])
async def test_of_a_held_request_nothing_remains(kind: str) -> None:
    """500 held connections own no connection object, parser, reader, memory of a request, or task."""
    async with running("* test") as app:
        before = census(*OF_A_REQUEST, *OF_AIOHTTP, "Task")
        others = census("StreamSession", "ResponseSession")  # of tests before this one, not freed yet
        clients = [await client_of(app) for _ in range(500)]
        gc.disable()
        try:
            for client in clients:
                await client.send(encode_request(f"/{kind}?channel=room"))
            await until(lambda: app.counters.sessions_opened == 500)
            await settle()
            assert app.clients.connections == []
            assert len(app.clients.open_transports) == 500
            # Not even for the collector: memory that waits for it is memory.
            assert census(*OF_A_REQUEST, *OF_AIOHTTP, "Task", collects=False) == before
        finally:
            gc.enable()
            for client in clients:
                client.close()
        await until(lambda: not app.clients.open_transports)
        assert census("StreamSession", "ResponseSession") <= others


def head_of_a_stream() -> tuple[bytes, ...]:
    head = b"HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: room\r\nContent-Length: 9\r\n\r\n"
    return (head + b"open",)
