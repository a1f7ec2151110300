"""Request bodies on their way to a backend that may answer early, take nothing, or go."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backend import BackendPool
from proxy.errors import RequestBodyError
from tests.proxy.asking import all_of, ask, body_from, connect, fetch
from tests.support.answers import Answer, chunked, never, text
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.turns import settle

pytestmark = pytest.mark.usefixtures("nothing_logged_as_an_error")


@pytest.mark.parametrize("length", [11, None], ids=["length", "chunked"])
async def test_a_body_is_sent_in_its_framing(pool: BackendPool, backend: ScriptedBackend, length: int | None) -> None:
    left = [b"hello", b" ", b"world"]

    async def read() -> bytes:
        return left.pop(0) if left else b""

    found = await ask(pool, backend, method=b"POST", body=body_from(read, length))
    assert await all_of(found) == b"hello\n"
    assert backend.requests[0].body == b"hello world"
    await fetch(pool, backend)
    assert backend.accepted == 1


@pytest.mark.parametrize("length", [11, None], ids=["length", "chunked"])
async def test_an_early_answer_costs_the_connection_if_the_body_is_not_over(
    pool: BackendPool, backend: ScriptedBackend, length: int | None
) -> None:
    """The rest of this body would be read as the next request."""
    left = [b"hello"]

    async def read() -> bytes:
        return left.pop(0) if left else await asyncio.get_running_loop().create_future()

    backend.default = Answer(steps=text(b"no thanks", status=413).steps, early=True)
    found = await ask(pool, backend, method=b"POST", body=body_from(read, length))
    assert found.status == 413
    assert await all_of(found) == b"no thanks"
    await backend.disconnected(1)
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"
    assert backend.accepted == 2


@pytest.mark.parametrize("error", [RequestBodyError("bad chunk"), ConnectionResetError("gone"), TimeoutError("gone")])
@pytest.mark.parametrize("is_early", [False, True], ids=["before the answer", "behind the answer's head"])
async def test_a_body_that_fails_takes_the_connection_along(
    pool: BackendPool, backend: ScriptedBackend, error: Exception, is_early: bool
) -> None:
    go = asyncio.Event()
    left = [b"hello"]

    async def read() -> bytes:
        if left:
            return left.pop(0)
        await go.wait()
        raise error

    start = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
    backend.default = Answer(steps=(start,) if is_early else (asyncio.Event(),), early=is_early)
    asking = asyncio.create_task(ask(pool, backend, method=b"POST", body=body_from(read)))
    await backend.request_head()
    if is_early:
        found = await asking
        assert await found.read() == b"ab"
        go.set()
        await settle()
        found.close()
    else:
        go.set()
        await settle()
        if isinstance(error, RequestBodyError):
            with pytest.raises(RequestBodyError):
                await asking
        else:
            asking.cancel()  # as the client's own task is when the client is gone
            await asyncio.wait([asking])
    await backend.disconnected(1)


@pytest.mark.parametrize("is_early", [False, True], ids=["before the answer", "behind the answer's head"])
async def test_a_fault_of_our_own_in_a_body_leaves_nobody_waiting(
    pool: BackendPool, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture, is_early: bool
) -> None:
    go = asyncio.Event()

    async def read() -> bytes:
        await go.wait()
        raise LookupError("mine")

    start = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
    backend.default = Answer(steps=(start,) if is_early else (asyncio.Event(),), early=is_early)
    asking = asyncio.create_task(ask(pool, backend, method=b"POST", body=body_from(read)))
    await backend.request_head()
    if is_early:
        found = await asking
        assert await found.read() == b"ab"
        go.set()
        with pytest.raises(LookupError):
            await found.read()
        found.close()
    else:
        go.set()
        with pytest.raises(LookupError):
            await asking
    await backend.disconnected(1)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["a request's body was not sent"]
    caplog.clear()


async def test_a_backend_that_takes_no_body_holds_the_client_up(pool: BackendPool, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.default = Answer(steps=text(b"done").steps, body_gate=gate, keep_body=False)
    size, piece = 0, b"x" * 65_536

    async def read() -> bytes:
        nonlocal size
        if size >= 32 << 20:
            return b""
        size += len(piece)
        return piece

    asking = asyncio.create_task(ask(pool, backend, method=b"POST", body=body_from(read)))
    await backend.request_head()
    before = -1
    while before != size:
        before = size
        for _ in range(50):
            await settle()
    assert size < 16 << 20
    gate.set()
    assert await all_of(await asking) == b"done"


async def test_an_answer_whose_client_is_slow_is_not_gathered(pool: BackendPool, backend: ScriptedBackend) -> None:
    sent = 0

    async def count() -> None:
        nonlocal sent
        sent += 1

    backend.default = chunked(*(b"x" * 65_536 for _ in range(512)))
    found = await ask(pool, backend)
    for _ in range(200):
        await settle()
    size = len(await found.read())
    assert size <= 1 << 20
    total = size
    while piece := await found.read():
        total += len(piece)
    assert total == 32 << 20


async def test_the_time_for_an_answer_counts_from_the_last_piece_that_was_taken(
    pool: BackendPool, backend: ScriptedBackend, clock: ManualClock
) -> None:
    left, go = [b"a", b"b"], asyncio.Semaphore(0)

    async def read() -> bytes:
        await go.acquire()
        return left.pop(0) if left else b""

    backend.default = never()
    connection = await connect(pool, backend)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
    asking = asyncio.create_task(connection.exchange(method=b"POST", head=head, body=body_from(read, 2), limit=10))
    await backend.request_head()
    for _ in range(2):
        clock.advance(9)
        go.release()
        await settle()
    go.release()
    clock.advance(9.9)
    await settle()
    assert not asking.done()
    clock.advance(0.1)
    with pytest.raises(TimeoutError):
        await asking
    await backend.disconnected(1)
