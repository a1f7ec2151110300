"""The way back from a hold: the connection serves HTTP again, and a retry is one without asking the client.

And how many clients are let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.app import App
from tests.proxy.client_door import listening
from tests.proxy.in_process import client_of, running
from tests.support.answers import Answer, grip_response, grip_stream, text
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.publisher import close_item, hint_item, publish, stream_item
from tests.support.turns import until

NEXT = encode_request("/next")


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}", settings=["hold.kernel_unsent_limit=16384"]) as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=4096) as client:
        yield client


async def hold(app: App, client: RawClient, backend: ScriptedBackend, *scripts: Answer, request: bytes) -> None:
    backend.answers("/hold", *scripts)
    await client.send(request)
    await until(lambda: app.edge.sessions)


@pytest.mark.parametrize(
    "request_bytes",
    [
        encode_request("/hold", headers=[("X-a", "b")]),
        encode_request("/hold", method="POST", body=b"some words"),
        b"POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n6\r\n words\r\n0\r\n\r\n",
        encode_request("/hold", method="POST", headers=[("Expect", "100-continue")], body=b"some words"),
    ],
    ids=["without a body", "length", "chunked", "expecting"],
)
async def test_a_retry_asks_the_backend_the_same_again(
    app: App, client: RawClient, backend: ScriptedBackend, request_bytes: bytes
) -> None:
    await hold(app, client, backend, grip_response("room"), text(b"answered"), request=request_bytes + NEXT)
    await publish(app, hint_item("room"))
    if b"Expect" in request_bytes:
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.response()).body == b"answered"
    assert (await client.response()).body == b"hello\n"
    first, again = backend.requests_for("/hold")
    assert (first.method, first.target, first.headers, first.body) == (
        again.method, again.target, again.headers, again.body,
    )  # fmt: skip
    assert app.counters.retries == 1


async def test_a_retry_may_be_held_again(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    await hold(app, client, backend, grip_response("room"), request=encode_request("/hold"))
    for number in range(2, 20):
        await publish(app, hint_item("room"))
        await until(lambda number=number: app.counters.sessions_opened == number)  # type: ignore[misc]
    backend.answers("/hold", text(b"at last"))
    await publish(app, hint_item("room"))
    assert (await client.response()).body == b"at last"


@pytest.mark.parametrize("size", [50_000, 300_000, 900_000, 2_500_000])
async def test_a_client_that_is_behind_when_its_stream_ends_still_gets_all_and_goes_on(
    app: App, client: RawClient, backend: ScriptedBackend, size: int
) -> None:
    """Below `outbox_limit`, and beyond it within the grace: the new protocol must learn that the old one was paused."""
    await hold(app, client, backend, grip_stream("room"), request=encode_request("/hold"))
    await client.head()
    piece = "x" * 50_000
    for _ in range(size // len(piece)):
        await publish(app, stream_item("room", piece))
    await publish(app, close_item("room"))
    await client.send(NEXT * 3)
    for _ in range(size // len(piece)):
        assert len(await client.chunk()) == len(piece)
    assert await client.chunk() == b""
    for _ in range(3):
        assert (await client.response()).body == b"hello\n"
    assert app.counters.slow_clients == 0


async def test_a_client_that_is_behind_can_be_held_again(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    await hold(app, client, backend, grip_stream("room"), request=encode_request("/hold"))
    await client.head()
    for number in range(5):
        await publish(app, *(stream_item("room", "x" * 50_000) for _ in range(10)), close_item("room"))
        assert not app.edge.sessions
        await client.send(encode_request("/hold"))
        for _ in range(10):
            assert len(await client.chunk()) == 50_000
        assert await client.chunk() == b""
        await until(lambda number=number: app.counters.sessions_opened == number + 2)  # type: ignore[misc]
        await client.head()


async def test_a_held_client_that_leaves_is_known_to_be_gone(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    await hold(app, client, backend, grip_stream("room"), request=encode_request("/hold"))
    waiting = asyncio.create_task(app.clients.all_closed())
    client.close()
    await waiting
    assert not app.clients.open_transports


async def test_two_clients_are_two(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    await hold(app, client, backend, grip_stream("room"), request=encode_request("/hold"))
    async with await client_of(app) as other:
        assert (await other.fetch("/")).status == 200
        assert len(app.clients.open_transports) == 2


async def test_a_client_for_whom_there_is_no_room_is_cut_and_counted(
    app: App, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.fetch("/")
    app.clients.connection_limit = 1
    for _ in range(2):
        async with await client_of(app) as other:
            assert await other.until_cut() == b""
    assert app.counters.connections_refused == 2
    assert [record.getMessage() for record in caplog.records if "no room" in record.getMessage()] == [
        "no room for another client: 1 are connected (said every 10 seconds)"
    ]
    assert len(app.clients.connections) == 1
    assert (await client.fetch("/")).status == 200


async def test_a_held_client_comes_back_however_many_are_connected(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    await hold(app, client, backend, grip_stream("room"), request=encode_request("/hold"))
    await client.head()
    app.clients.connection_limit = 1
    await publish(app, close_item("room"))
    assert await client.chunk() == b""
    assert (await client.fetch("/")).status == 200


async def test_clients_and_their_time_are_counted() -> None:
    async with listening() as door:
        async with await door.connect() as one, await door.connect() as other:
            await one.fetch("/")
            await other.fetch("/")
            door.clock.advance(90)
            door.clients.count_time()
            assert (door.counters.connections, door.counters.connection_seconds) == (2, 180)
        await door.clients.all_closed()
        door.clock.advance(90)
        door.clients.count_time()
        assert (door.counters.connections, door.counters.connections_opened) == (0, 2)
        assert door.counters.connection_seconds == 180
