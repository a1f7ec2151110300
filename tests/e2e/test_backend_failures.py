"""What the client gets when the backend fails, and when a request is sent again (reference 1.7, 3.16)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.answers import Answer, Ending, answer, chunk, close_without_answer, head, never, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend, hello
from tests.support.client import RawClient
from tests.support.http import Request

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILURE = b"Error while proxying to origin.\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast with a plain and some bounded routes, two of them to a port that does not answer."""
    with socket.socket() as full, socket.socket() as filler, socket.socket() as another:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for taken in (filler, another):
            # A listener whose queue is full lets further connection attempts wait for ever.
            taken.setblocking(False)
            taken.connect_ex(full.getsockname())
        deaf = f"127.0.0.1:{full.getsockname()[1]}"
        routes = (
            f"* {backend.address}",
            f"bounded.test {backend.address},timeout=30",
            f"deaf.test {deaf},connect_timeout=7",
            f"deaf-first.test {deaf},connect_timeout=7 {backend.address}",
        )
        async with AppProcess(*routes) as app:
            yield app


BROKEN: dict[str, Answer] = {
    "closes without a word": close_without_answer(),
    "resets": answer(Ending.RESET),
    "is not HTTP": answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Ending.CLOSE),
    "ends in its head": answer(b"HTTP/1.1 200 OK\r\nContent-", Ending.CLOSE),
    "has a header without a colon": answer(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"),
    "has two lengths": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "has a length that is none and chunks": answer(
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "has a header that is almost a length": answer(b"HTTP/1.1 200 OK\r\nContent Length: 1\r\n\r\na"),
    "breaks a line in a header without a name": answer(b"HTTP/1.1 200 OK\r\nA B: c\rX: y\r\n\r\n"),
    "switches protocols unasked": answer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "has a head without end": answer(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000),
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN.keys())
async def test_no_usable_answer_is_502(client: RawClient, backend: ScriptedBackend, script: Answer) -> None:
    """Reference 3.16; the client's connection goes on."""
    backend.answers("/broken", script)
    response = await client.fetch("/broken", method="POST", body=b"x")
    assert (response.status, response.body) == (502, FAILURE)
    assert len(backend.requests) == 1
    assert (await client.fetch("/next")).status == 200


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answer(head(200, b"OK", [(b"Content-Length", b"10")]) + b"abc", Ending.CLOSE), id="by length"),
        pytest.param(
            answer(head(200, b"OK", [(b"Transfer-Encoding", b"chunked")]) + chunk(b"abc"), Ending.CLOSE), id="in chunks"
        ),
        pytest.param(answer(head(200, b"OK", [(b"Content-Length", b"10")]) + b"abc", Ending.RESET), id="by a reset"),
    ],
)
async def test_an_answer_cut_short_is_cut_short(client: RawClient, backend: ScriptedBackend, script: Answer) -> None:
    """The client must be able to tell: neither a last chunk nor the full length comes, but the connection ends."""
    backend.answers("/short", script)
    await client.send_request("/short")
    head = await client.head()
    assert head.status == 200
    rest = await client.until_cut()
    assert b"0\r\n\r\n" not in rest
    assert rest in (b"abc", b"3\r\nabc\r\n", b"")


async def test_a_chunk_that_is_none_cuts_the_answer(client: RawClient, backend: ScriptedBackend) -> None:
    """The same for a body that turns out not to be HTTP after its head was passed on."""
    gate = asyncio.Event()
    first = head(200, b"OK", [(b"Transfer-Encoding", b"chunked")]) + chunk(b"abc")
    backend.answers("/bad-chunk", answer(first, gate, b"zz\r\nabc\r\n0\r\n\r\n"))
    await client.send_request("/bad-chunk")
    assert (await client.head()).status == 200
    assert await client.chunk() == b"abc"
    gate.set()
    assert await client.until_cut() == b""


async def test_a_silent_backend_is_504_after_its_timeout(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """`timeout=30`: nothing at 29.9 seconds, 504 at 30, and the backend's connection is closed."""
    backend.answers("/silent", never())
    await client.send_request("/silent", host="bounded.test")
    connection = (await backend.request()).connection
    await app.advance(29.9)
    assert client.pending() == b""
    await app.advance(0.2)
    response = await client.response()
    assert response.status == 504
    assert response.body.endswith(b"\n")
    await backend.disconnected(connection)
    assert (await client.fetch("/next")).status == 200


async def test_a_target_that_does_not_connect_is_504(app: AppProcess, client: RawClient) -> None:
    """`connect_timeout=7`."""
    await client.send_request("/", host="deaf.test")
    await app.until(lambda counters: counters["requests"] > 0)
    await advance_until_answered(app, client, 7)
    assert (await client.response()).status == 504


async def test_a_target_that_does_not_connect_fails_over(app: AppProcess, client: RawClient) -> None:
    """R12, reference 1.7: a connect timeout moves on to the next target."""
    await client.send_request("/", host="deaf-first.test")
    await advance_until_answered(app, client, 7)
    assert (await client.response()).body == b"hello\n"


async def advance_until_answered(app: AppProcess, client: RawClient, seconds: float) -> None:
    """Turn the clock by `seconds` again and again: when connecting begins cannot be seen from outside."""
    for _ in range(50):
        await app.advance(seconds)
        if client.pending():
            return
    raise AssertionError("no answer however far the clock is turned")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"])
async def test_a_dead_reused_connection_is_retried_for_idempotent_methods(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, method: str
) -> None:
    """The pooled connection dies when it is used again; the client never notices."""
    await live_pool(client, backend)
    retries = (await app.counters())["backend_retries"]
    assert (await client.fetch("/reused", method=method)).status == 200
    assert [request.nth > 1 for request in backend.requests_for("/reused")] == [True, False]
    assert (await app.counters())["backend_retries"] == retries + 1


@pytest.mark.parametrize("method", ["POST", "PATCH", "MYOWN"])
async def test_a_dead_reused_connection_is_not_retried_otherwise(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, method: str
) -> None:
    """The backend may have acted on it, so 502 it is."""
    await live_pool(client, backend)
    await app.advance(0.1)  # it would not be used as soon as it has answered
    response = await client.fetch("/reused", method=method, body=b"once")
    assert (response.status, response.body) == (502, FAILURE)
    assert len(backend.requests_for("/reused")) == 1


async def test_a_fresh_connection_that_dies_is_not_retried(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """It was not the pool's fault: the backend gets the request once, even a GET."""
    await backend.drop_connections()
    await app.counters()  # A turn of the app's loop, in which it sees that its pool is dead.
    backend.answers("/fresh", close_without_answer())
    assert (await client.fetch("/fresh")).status == 502
    assert [request.nth for request in backend.requests_for("/fresh")] == [1]


async def test_connections_closed_while_pooled_are_not_used(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """Even a POST goes through after the backend closed its idle connections."""
    await live_pool(client, backend)
    await backend.drop_connections()
    await app.counters()  # A turn of the app's loop, in which it sees that its pool is dead.
    backend.answers("/dropped", text(b"fine\n"))
    assert (await client.fetch("/dropped", method="POST", body=b"x")).body == b"fine\n"


async def live_pool(client: RawClient, backend: ScriptedBackend) -> None:
    """Leave one live connection in the pool, whose next request for `/reused` kills it."""
    await backend.drop_connections()

    def die_when_reused(request: Request) -> Answer:
        return close_without_answer() if request.nth > 1 else hello(request)

    backend.answers("/reused", die_when_reused)
    assert (await client.fetch("/warm")).status == 200
    backend.forget()
