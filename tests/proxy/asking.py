"""One request to a backend through a pool, without a proxy around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from proxy.backend import BackendAddress, BackendAnswer, BackendConnection, BackendPool
from proxy.request_body import RequestBody
from tests.support.backend import ScriptedBackend


def body_of(*pieces: bytes) -> RequestBody:
    left = list(pieces)

    async def read() -> bytes:
        return left.pop(0) if left else b""

    return RequestBody(read, sum(map(len, pieces)))


def body_from(read: Callable[[], Awaitable[bytes]], length: int | None = None) -> RequestBody:
    return RequestBody(read, length)


async def connect(pool: BackendPool, backend: ScriptedBackend) -> BackendConnection:
    address = BackendAddress(host=backend.host, port=backend.port)
    return pool.take(address) or await pool.connect(address)


async def ask(
    pool: BackendPool, backend: ScriptedBackend, *, method: bytes = b"GET", body: RequestBody | None = None
) -> BackendAnswer:
    """Send one request on a pooled or a new connection and return its answer's head."""
    body = body or body_of()
    framing = b"Transfer-Encoding: chunked" if body.length is None else b"Content-Length: %d" % body.length
    head = b"%b / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % (method, framing)
    connection = await connect(pool, backend)
    return await connection.exchange(method=method, head=head, body=body)


async def all_of(answer: BackendAnswer) -> bytes:
    pieces = []
    while piece := await answer.read():
        pieces.append(piece)
    return b"".join(pieces)


async def fetch(pool: BackendPool, backend: ScriptedBackend, **request: bytes) -> bytes:
    return await all_of(await ask(pool, backend, method=request.get("method", b"GET")))
