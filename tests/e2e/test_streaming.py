"""Bodies stream in both directions, with back-pressure and no copy held (row R35, DESIGN.md)."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.answers import Answer, answer, chunk, chunked, head, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd, encode_request
from tests.support.patience import bounded

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEGABYTE = 1 << 20
LARGE = 100 * MEGABYTE
PIECE = bytes(range(256)) * 256

FLAT = 24 * MEGABYTE
"""How much the process may grow while 100 MB go through: buffers and the allocator's slack, not the body."""


@pytest.mark.parametrize("kind", ["length", "chunked"])
async def test_100_mb_down_take_no_memory(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, kind: str
) -> None:
    """R35: the client gets every byte; the process stays as it was."""
    pieces = (PIECE,) * (LARGE // len(PIECE))
    length = answer(head(200, b"OK", [(b"Content-Length", b"%d" % LARGE)]), *pieces)
    backend.answers("/down", length if kind == "length" else chunked(*pieces))
    assert (await client.fetch("/warm")).status == 200
    before = await app.memory()
    await client.send_request("/down")
    answered = await client.head()
    if kind == "length":
        assert answered.length() == LARGE
        await client.skip(LARGE)
    else:
        total = 0
        while data := await client.chunk():
            total += len(data)
        assert total == LARGE
    assert await app.memory() - before < FLAT
    assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize("kind", ["length", "chunked"])
async def test_100_mb_up_take_no_memory(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, kind: str
) -> None:
    """R35: the backend gets every byte; the process stays as it was."""
    backend.answers("/up", Answer(steps=text().steps, keep_body=False))
    assert (await client.fetch("/warm")).status == 200
    backend.forget()
    before = await app.memory()
    piece = PIECE if kind == "length" else chunk(PIECE)
    framing = ("Content-Length", str(LARGE)) if kind == "length" else ("Transfer-Encoding", "chunked")
    await client.send(encode_request("/up", method="POST", headers=[framing]))
    for _ in range(LARGE // len(PIECE)):
        await client.send(piece)
    if kind == "chunked":
        await client.send(b"0\r\n\r\n")
    assert (await client.response()).status == 200
    assert (await backend.request()).body_length == LARGE
    assert await app.memory() - before < FLAT


async def test_a_client_that_does_not_read_stops_the_backend(app: AppProcess, backend: ScriptedBackend) -> None:
    """Back-pressure downwards: what the backend sends stays with the backend."""
    pieces = (PIECE,) * (LARGE // len(PIECE))
    backend.answers("/stalled-down", answer(head(200, b"OK", [(b"Content-Length", b"%d" % LARGE)]), *pieces))
    before = await app.memory()
    async with await RawClient.connect(app.proxy_address, receive_buffer=65_536) as client:
        await client.send_request("/stalled-down")
        assert (await client.head()).length() == LARGE
        async with await RawClient.connect(app.proxy_address) as other:
            for _ in range(50):
                assert (await other.fetch("/other")).status == 200
        assert await app.memory() - before < FLAT
        await client.skip(LARGE)


async def test_a_backend_that_does_not_read_stops_the_client(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """Back-pressure upwards: what the client sends stays with the client."""
    gate = asyncio.Event()
    backend.answers("/stalled-up", Answer(steps=text().steps, body_gate=gate, keep_body=False))
    before = await app.memory()
    await client.send(encode_request("/stalled-up", method="POST", headers=[("Content-Length", str(LARGE))]))

    async def upload() -> None:
        for _ in range(LARGE // len(PIECE)):
            await client.send(PIECE)

    sending = asyncio.create_task(upload())
    await backend.request_head()
    async with await RawClient.connect(app.proxy_address) as other:
        for _ in range(50):
            assert (await other.fetch("/other")).status == 200
    assert not sending.done()
    assert await app.memory() - before < FLAT
    gate.set()
    async with bounded():
        await sending
    assert (await client.response()).status == 200


async def test_pieces_arrive_as_the_backend_sends_them(client: RawClient, backend: ScriptedBackend) -> None:
    """Nothing waits for the body's end."""
    gates = [asyncio.Event() for _ in range(3)]
    backend.answers("/trickle", chunked(b"one", gates[0], b"two", gates[1], b"three", gates[2]))
    await client.send_request("/trickle")
    await client.head()
    for piece, gate in zip((b"one", b"two", b"three"), gates, strict=True):
        assert await client.chunk() == piece
        gate.set()
    assert await client.chunk() == b""


async def test_a_stream_of_ten_minutes_is_not_cut(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """There is no total timeout: a line a minute, on the test clock, until the backend is done."""
    gates = [asyncio.Event() for _ in range(10)]
    lines = [b"minute %d\n" % minute for minute in range(10)]
    backend.answers("/long", chunked(*(step for pair in zip(gates, lines, strict=True) for step in pair)))
    await client.send_request("/long")
    await client.head()
    for gate, line in zip(gates, lines, strict=True):
        await app.advance(60)
        gate.set()
        assert await client.chunk() == line
    assert await client.chunk() == b""


async def test_500_slow_requests_run_at_once(app: AppProcess, backend: ScriptedBackend) -> None:
    """There is no cap on connections to a backend: all 500 are with it before the first is answered."""
    gate = asyncio.Event()
    backend.answers("/slow", answer(gate, *text(b"slow\n").steps))
    async with crowd(app.proxy_address, 500) as clients:
        for client in clients:
            await client.send_request("/slow")
        for _ in clients:
            await backend.request()
        async with await RawClient.connect(app.proxy_address) as other:
            assert (await other.fetch("/other")).body == b"hello\n"
        gate.set()
        for client in clients:
            assert (await client.response()).body == b"slow\n"


async def test_a_client_that_leaves_takes_its_backend_request_along(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """The backend sees its connection close when nobody wants the answer any more."""
    gate = asyncio.Event()
    backend.answers("/left", chunked(b"begun", gate))
    await client.send_request("/left")
    await client.head()
    assert await client.chunk() == b"begun"
    connection = (await backend.request()).connection
    client.reset()
    await backend.disconnected(connection)
    counters = await app.counters()
    assert counters["requests_abandoned"] >= 1


async def test_an_upload_that_is_abandoned_does_not_look_complete(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """A client that leaves in the middle of its body: the backend's connection ends without the rest."""
    await client.send(encode_request("/half", method="POST", headers=[("Content-Length", "300000")]) + bytes(200_000))
    connection = (await backend.request_head()).connection
    client.reset()
    await backend.disconnected(connection)
    assert backend.requests_for("/half") == ()
    assert not app.tracebacks()


async def test_a_client_that_pauses_in_its_body_for_too_long_gets_408(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """`proxy.body_timeout`: each piece has its time, and no backend waits for a client for ever."""
    refused = (await app.counters())["requests_refused"]
    await client.send(encode_request("/slow", method="POST", headers=[("Content-Length", "30")]))
    for _ in range(3):
        await app.advance(50)
        await client.send(b"0123456789"[:9])
    await app.advance(61)
    answered = await client.response()
    assert (answered.status, answered.body) == (408, b"Request body not received in time.\n")
    assert answered.values(b"connection") == (b"close",)
    assert (await app.counters())["requests_refused"] == refused + 1


async def test_a_flood_of_interim_answers_is_502_and_stops_nobody(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """A hundred are enough for anybody."""
    backend.answers("/flood", answer(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5_000, *text(b"late").steps))
    assert (await client.fetch("/flood")).status == 502
    assert (await client.fetch("/after")).status == 200
