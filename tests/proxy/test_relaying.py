"""A backend's answer on its way to the client: as it comes, as it stood, and no faster than it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.app import App
from proxy.backend import READ_BUFFER
from tests.proxy.in_process import client_of, running
from tests.proxy.sockets import nothing_left
from tests.support.answers import Answer, Ending, answer, chunk, chunked, head, text, to_eof
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.turns import settle, until
from tests.support.ws_backend import WsBackend

LONG = 64_000_000
KERNEL = 40_000_000
"""Bytes that the kernel may take on both connections, generously."""


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}", f"*,path_beg=/plain,no_grip {backend.address}") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await client_of(app) as client:
        yield client


async def test_the_head_goes_ahead_of_a_body_that_has_yet_to_come(client: RawClient, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.default = answer(head(299, b"Fine", [(b"x-A", b"\xff"), (b"Content-Length", b"4")]), gate, b"body")
    await client.send(encode_request("/"))
    found = await client.head()
    assert (found.status, found.reason, found.values(b"x-a")) == (299, b"Fine", (b"\xff",))
    gate.set()
    assert await client.body(found) == b"body"


async def test_each_piece_goes_on_as_it_comes(client: RawClient, backend: ScriptedBackend) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    backend.default = chunked(b"one", gates[0], b"two", gates[1], b"three")
    await client.send(encode_request("/"))
    assert (await client.head()).is_chunked()
    assert await client.chunk() == b"one"
    gates[0].set()
    assert await client.chunk() == b"two"
    gates[1].set()
    assert (await client.chunk(), await client.chunk()) == (b"three", b"")


@pytest.mark.parametrize(
    ("script", "body"),
    [
        (text(b""), b""),
        (text(b"hello"), b"hello"),
        (chunked(), b""),
        (chunked(b"a", b"b"), b"ab"),
        (to_eof(b"hel", b"lo"), b"hello"),
        (answer(head(204, b"None", [])), b""),
        (answer(head(304, b"Same", [(b"ETag", b"e")])), b""),
    ],
    ids=["empty", "length", "no chunk", "chunks", "to the end", "204", "304"],
)
async def test_the_client_s_connection_goes_on_behind_it(
    client: RawClient, backend: ScriptedBackend, script: Answer, body: bytes
) -> None:
    backend.answers("/first", script)
    assert (await client.fetch("/first")).body == body
    assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize(("path", "names"), [("/", set()), ("/plain", {b"grip-status"})])
async def test_grip_headers_are_for_us_where_it_is_spoken(
    client: RawClient, backend: ScriptedBackend, path: str, names: set[bytes]
) -> None:
    backend.default = text(b"x", headers=[(b"Grip-Status", b"201"), (b"Connection", b"x-hop"), (b"X-Hop", b"1")])
    found = await client.fetch(path)
    assert {name for name in found.head.names() if name.startswith((b"grip", b"x-hop"))} == names


async def test_a_link_to_the_hub_stands_behind_the_backends_own_links(backend: ScriptedBackend) -> None:
    """Whatever the status, and on the answer to HEAD too."""
    own = b'</topic>; rel="self"'
    async with running(f"*,mercure_link {backend.address}") as app, await client_of(app) as client:
        for status, method in [(200, "GET"), (404, "GET"), (304, "GET"), (200, "HEAD")]:
            body = b"" if method == "HEAD" or status == 304 else b"x"
            backend.default = text(body, status=status, headers=[(b"Link", own)])
            found = await client.fetch("/", method=method)
            assert (found.status, found.body) == (status, body)
            assert found.values(b"link") == (own, b'</.well-known/mercure>; rel="mercure"')


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize(
    "start",
    [
        head(200, b"OK", [(b"Content-Length", b"9")]) + b"half",
        head(200, b"OK", [(b"Transfer-Encoding", b"chunked")]) + chunk(b"half"),
        head(200, b"OK", [(b"Transfer-Encoding", b"chunked")]) + chunk(b"half") + b"9\r\nhal",
    ],
    ids=["length", "chunked", "within a chunk"],
)
async def test_an_answer_that_is_cut_is_cut_for_the_client_too(
    app: App, client: RawClient, backend: ScriptedBackend, start: bytes, ending: Ending
) -> None:
    """It must not be taken for a whole one."""
    gate = asyncio.Event()
    backend.default = answer(start, gate, ending)
    await client.send(encode_request("/"))
    await client.read_until(b"half")
    gate.set()
    assert not (await client.until_cut()).endswith(b"0\r\n\r\n")
    assert app.counters.backend_truncated == 1
    await nothing_left(app)


async def test_a_client_that_does_not_read_stops_the_reading_of_the_answer() -> None:
    async with WsBackend() as backend, running(f"* {backend.address}") as app, await client_of(app) as client:
        await client.send(encode_request("/"))
        peer = await backend.accept()
        await peer.asked()
        await peer.send(head(200, b"OK", [(b"Content-Length", b"%d" % LONG)]))
        piece = bytes(range(250)) * 40
        taken = await peer.stuff(piece, at_most=KERNEL)
        (transport,) = app.clients.open_transports
        assert 0 < transport.get_write_buffer_size() < 4 * READ_BUFFER + 600_000
        await client.head()
        reading = asyncio.create_task(client.skip(taken))
        await peer.send(piece[taken % len(piece) :])
        await reading
        assert (await client.read_exactly(50))[-1:] == piece[(taken + 49) % len(piece) :][:1]
        client.close()
        await peer.until_cut()
        await nothing_left(app)


async def test_a_client_that_leaves_while_it_is_behind_takes_the_backends_connection_along() -> None:
    async with WsBackend() as backend, running(f"* {backend.address}") as app, await client_of(app) as client:
        await client.send(encode_request("/"))
        peer = await backend.accept()
        await peer.asked()
        await peer.send(head(200, b"OK", [(b"Content-Length", b"%d" % LONG)]))
        await peer.stuff(b"x" * 10_000, at_most=KERNEL)
        client.reset()
        await peer.until_cut()
        await until(lambda: app.counters.requests_abandoned == 1)
        await settle()
        await nothing_left(app)
