"""What becomes of an instruct: an answer, a stream or a long poll. The backend's part is played by a script."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest

from proxy.app import App
from proxy.held_answer import HELD_BODY_LIMIT
from tests.proxy.in_process import advance, client_of, running
from tests.support.answers import Answer, answer, grip_instruct, grip_response, grip_stream
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.publisher import close_item, publish, stream_item
from tests.support.turns import until

PREV_ID = {"hold": {"mode": "stream", "channels": [{"name": "room", "prev-id": "1"}]}}


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"*,debug {backend.address}") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await client_of(app) as client:
        yield client


async def test_an_instruct_without_a_hold_is_an_answer(client: RawClient, backend: ScriptedBackend) -> None:
    backend.default = grip_instruct({"response": {"code": 201, "reason": "Made", "body": "here"}})
    found = await client.fetch("/")
    assert (found.status, found.reason, found.body) == (201, b"Made", b"here")
    assert (await client.fetch("/")).status == 201


async def test_a_head_request_is_told_of_the_stream_but_not_held(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.default = grip_stream("room", body=b"open")
    found = await client.fetch("/", method="HEAD")
    assert (found.status, found.head.is_chunked()) == (200, True)
    assert not app.edge.sessions
    assert (await client.fetch("/", method="HEAD")).status == 200


async def test_what_is_published_while_the_body_comes_follows_it(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: room\r\nContent-Length: 8\r\n\r\n"
    backend.default = answer(head + b"one,", gate, b"two,")
    await client.send(encode_request("/"))
    assert (await client.head(), await client.chunk())[1] == b"one,"
    await publish(app, stream_item("room", "news"))
    gate.set()
    assert (await client.chunk(), await client.chunk()) == (b"two,", b"news")


async def test_an_answer_that_ends_in_the_middle_of_a_streams_body_is_cut_and_not_held(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    head = b"HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: room\r\nContent-Length: 8\r\n\r\n"
    gate = asyncio.Event()
    backend.default = answer(head + b"one,", gate, b"")
    await client.send(encode_request("/"))
    await client.head()
    await until(lambda: app.edge.sessions)
    await backend.drop_connections()
    await client.until_cut()
    assert not app.edge.sessions
    assert app.counters.backend_truncated == 1


@pytest.mark.parametrize("kind", ["poll", "instruct"])
async def test_a_body_that_would_have_to_be_kept_is_bounded(
    app: App, client: RawClient, backend: ScriptedBackend, kind: str
) -> None:
    large = b"x" * (HELD_BODY_LIMIT + 1)
    backend.default = grip_response("room", body=large) if kind == "poll" else grip_instruct({"x": large.decode()})
    found = await client.fetch("/")
    assert (found.status, b"too large" in found.body) == (502, True)
    assert not app.edge.sessions


@pytest.mark.parametrize("size", [100_000, 100_001])
async def test_a_request_that_would_have_to_be_kept_is_bounded(
    app: App, client: RawClient, backend: ScriptedBackend, size: int
) -> None:
    backend.default = grip_stream("room", body=b"open")
    await client.send_request("/", method="POST", body=b"x" * size)
    if size == 100_000:
        await client.head()
        await until(lambda: app.edge.sessions)
    else:
        assert (await client.response()).status == 400
        assert not app.edge.sessions


@pytest.mark.parametrize(
    "script",
    [grip_instruct({"hold": {"mode": "what"}}), grip_stream(), grip_instruct([1])],
    ids=["mode", "none", "list"],
)
async def test_an_instruct_that_cannot_be_obeyed_is_502_or_an_answer_but_never_a_hold(
    app: App, client: RawClient, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = script
    await client.send(encode_request("/"))
    assert (await client.head()).status in (200, 502)
    assert app.counters.instructs_refused + len(app.edge.sessions) == 1


async def test_a_stream_that_could_recover_nothing_is_refused(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.default = grip_instruct({**PREV_ID, "response": {"body": "body"}})
    found = await client.fetch("/")
    assert found.body == b"body\n\nchannel 'room' specifies prev-id, but no next link found\n"
    assert app.counters.instructs_refused == 1
    assert not app.edge.sessions


async def test_what_is_unknown_is_said_once(
    app: App, client: RawClient, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    backend.default = grip_stream("room; filter=one; filter=two; filter=var-subst")
    for _ in range(3):
        await client.send(encode_request("/"))
        await client.head()
        await publish(app, close_item("room"))
        assert await client.chunk() == b""
    told = [record.getMessage() for record in caplog.records if "has no effect here" in record.getMessage()]
    assert len(told) == 2


async def test_a_poll_is_answered_at_its_timeout(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    backend.default = grip_response("room", body=b"later", headers=[("Grip-Timeout", "7")])
    await client.send(encode_request("/"))
    await until(lambda: app.edge.sessions)
    await advance(app, 6.9)
    assert app.edge.sessions
    await advance(app, 0.2)
    assert (await client.response()).body == b"later"
    assert not app.edge.sessions


@pytest.mark.parametrize(
    "script",
    [
        grip_stream("room"),
        grip_response("room", headers=[("Grip-Timeout", "7")]),
        grip_instruct({"response": {"body": "x"}}),
        grip_instruct({"hold": {"mode": "stream", "channels": [{"name": "room"}]}}),
    ],
    ids=["stream", "poll", "answer", "stream by instruct"],
)
async def test_what_is_held_is_linked_to_the_hub_as_well(backend: ScriptedBackend, script: Answer) -> None:
    backend.default = script
    async with running(f"*,mercure_link {backend.address}") as app, await client_of(app) as client:
        await client.send(encode_request("/"))
        await until(lambda: app.edge.sessions or app.counters.requests_abandoned or client.pending())
        await advance(app, 7.2)
        assert (await client.head()).values(b"link") == (b'</.well-known/mercure>; rel="mercure"',)
