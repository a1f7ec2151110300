"""What our own connection does beyond what both clients must (test_backend, test_backend_body, _switching)."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncGenerator

import pytest

from proxy.backend import READ_BUFFER, AnswerFailed, AnswerTruncated, BackendAddress
from proxy.backend_answer import OwnAnswer
from proxy.backend_connection import OwnConnection
from proxy.backend_pool import OwnPool
from proxy.request_body import RequestBody
from tests.proxy.asking import all_of, ask, fetch
from tests.support.answers import Ending, answer, chunked, never, text
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.turns import settle, until


@pytest.fixture
async def pool(clock: ManualClock) -> AsyncGenerator[OwnPool]:
    pool = OwnPool(clock)
    yield pool
    await pool.close()
    await settle()


async def test_a_connection_that_dies_behind_an_interim_answer_is_not_stale(
    pool: OwnPool, backend: ScriptedBackend
) -> None:
    """The backend has had the request, so it must not get it twice."""
    await fetch(pool, backend)
    backend.default = answer(b"HTTP/1.1 100 Continue\r\n\r\n", Ending.CLOSE)
    with pytest.raises(AnswerFailed) as failure:
        await ask(pool, backend)
    assert not failure.value.is_stale


@pytest.mark.parametrize(
    ("head", "accepted"),
    [
        (b"HTTP/1.1 200 OK\r\nA B: c\r\nX : y\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 1),
        (b"HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\n", 2),
    ],
)
async def test_a_connection_is_used_again_after_a_slip_that_leaves_no_doubt(
    pool: OwnPool, backend: ScriptedBackend, head: bytes, accepted: int
) -> None:
    backend.default = answer(head, b"hello")
    for _ in range(2):
        assert await fetch(pool, backend) == b"hello"
    assert backend.accepted == accepted


async def test_what_comes_unasked_closes_the_connection_at_once_and_is_logged(
    pool: OwnPool, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    late = asyncio.Event()
    backend.default = answer(*text(b"hello").steps, late, b"H", asyncio.Event())
    assert await fetch(pool, backend) == b"hello"
    late.set()
    await backend.disconnected(1)
    assert [record.getMessage() for record in caplog.records] == [
        f"{backend.host}:{backend.port}: sent what nobody had asked for; connection closed"
    ]


async def test_a_body_that_ends_with_a_reset_is_cut(pool: OwnPool) -> None:
    """Where the connection's end is the body's, only one in good order will do."""
    gate = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await gate.wait()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        connection = await pool.connect(BackendAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1]))
        found = await ask_on(connection)
        assert await found.read() == b"hello"
        gate.set()
        with pytest.raises(AnswerTruncated):
            await found.read()


async def test_a_small_body_that_is_here_leaves_with_its_head(pool: OwnPool, backend: ScriptedBackend) -> None:
    connection = await pool.connect(BackendAddress(host=backend.host, port=backend.port))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    found = await connection.exchange(method=b"POST", head=head, body=RequestBody.of(b"hello"))
    assert connection._writer is None, "no task was needed"  # noqa: SLF001
    await all_of(found)
    assert backend.requests[0].body == b"hello"


async def test_an_answer_cancelled_as_it_comes_leaves_its_connection_to_the_next(
    pool: OwnPool, backend: ScriptedBackend
) -> None:
    """It is in the pool, and perhaps another's, before the task that asked runs again."""
    connection = await pool.connect(BackendAddress(host=backend.host, port=backend.port))
    asking = asyncio.create_task(ask_on(connection))
    await until(lambda: connection._answer is None and asking_began(connection))  # noqa: SLF001
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await fetch(pool, backend) == b"hello\n"
    assert backend.accepted == 1


class HandingOn(OwnPool):
    """Has whoever waits for `kept` run before the task whose answer has just ended."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.kept = asyncio.Event()

    def keep(self, connection: OwnConnection) -> None:
        super().keep(connection)
        self.kept.set()


async def test_a_connection_that_is_anothers_before_its_task_runs_again_keeps_the_others_limit(
    backend: ScriptedBackend, clock: ManualClock
) -> None:
    pool = HandingOn(clock)
    backend.answers("/", text(b"first"), never())
    address = BackendAddress(host=backend.host, port=backend.port)

    async def second() -> OwnAnswer:
        await pool.kept.wait()
        connection = pool.take(address)
        assert connection is not None
        assert not first.done()
        return await ask_on(connection, limit=10)

    first = asyncio.create_task(ask_on(await pool.connect(address), limit=100))
    asking = asyncio.create_task(second())
    assert (await first).whole() == b"first"
    clock.advance(9.9)
    await settle()
    assert not asking.done()
    clock.advance(0.1)
    with pytest.raises(TimeoutError):
        await asking
    await pool.close()
    assert clock.next_due() is None


async def test_reading_stops_while_nobody_takes_what_came(pool: OwnPool, backend: ScriptedBackend) -> None:
    backend.default = text(b"x" * (READ_BUFFER * 40))
    found = await ask(pool, backend)
    assert isinstance(found, OwnAnswer)
    await until(lambda: found.connection is not None and found.connection.is_reading_paused)
    assert len(await all_of(found)) == READ_BUFFER * 40
    assert await fetch(pool, backend) == b"x" * (READ_BUFFER * 40)
    assert backend.accepted == 1


async def test_what_waits_to_be_read_is_counted_as_it_comes(pool: OwnPool, backend: ScriptedBackend) -> None:
    gates = [asyncio.Event() for _ in range(2)]
    backend.default = chunked(b"one", b"two", gates[0], b"three", gates[1], b"four")
    found = await ask(pool, backend)
    assert isinstance(found, OwnAnswer)
    await until(lambda: found.waiting == 6)
    gates[0].set()
    await until(lambda: found.waiting == 11)
    assert await found.read() == b"onetwothree"
    assert found.waiting == 0
    gates[1].set()
    assert await all_of(found) == b"four"


async def test_one_that_is_lost_leaves_nothing_behind(pool: OwnPool, backend: ScriptedBackend) -> None:
    """Not even for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await fetch(pool, backend)
            await backend.drop_connections()
            await settle()
        assert [one for one in gc.get_objects() if isinstance(one, OwnConnection) and one._keeper is pool] == []  # noqa: SLF001
    finally:
        gc.enable()


async def ask_on(connection: OwnConnection, *, limit: float = 0) -> OwnAnswer:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    return await connection.exchange(method=b"GET", head=head, body=RequestBody.of(b""), limit=limit)


def asking_began(connection: OwnConnection) -> bool:
    return not connection._is_silent  # noqa: SLF001
