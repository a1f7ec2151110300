"""Connections to backends, each answer as it may come; that no answer is ever taken for the one to another request.

Also the contract with aiohttp's client internals: whatever a release changes there shows here first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import pytest

from proxy.backend import (
    HEAD_LIMIT,
    AnswerFailed,
    AnswerTruncated,
    BackendAddress,
    BackendAnswer,
    BackendConnection,
    BackendPool,
    ConnectFailed,
)
from proxy.errors import RequestBodyError
from proxy.request_body import RequestBody
from tests.proxy.in_process import settle, until
from tests.support.answers import Answer, Ending, answer, chunk, chunked, close_without_answer, text, to_eof
from tests.support.backend import ScriptedBackend, closed_port

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
async def backend() -> AsyncGenerator[ScriptedBackend]:
    async with ScriptedBackend() as backend:
        yield backend


@pytest.fixture
async def pool() -> AsyncGenerator[BackendPool]:
    pool = BackendPool()
    yield pool
    await pool.close()
    await settle()


@pytest.fixture(autouse=True)
def _nothing_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


def nothing() -> None:
    """Take note of no progress."""


def body_of(*pieces: bytes) -> RequestBody:
    left = list(pieces)

    async def read() -> bytes:
        return left.pop(0) if left else b""

    return RequestBody(read, sum(map(len, pieces)))


def body_from(read: Callable[[], Awaitable[bytes]], length: int | None = None) -> RequestBody:
    return RequestBody(read, length)


async def connect(pool: BackendPool, backend: ScriptedBackend) -> BackendConnection:
    return await pool.connect(BackendAddress(host=backend.host, port=backend.port))


async def ask(
    pool: BackendPool, backend: ScriptedBackend, *, method: bytes = b"GET", body: RequestBody | None = None
) -> BackendAnswer:
    """Send one request on a pooled or a new connection and return its answer's head."""
    body = body or body_of()
    framing = b"Transfer-Encoding: chunked" if body.length is None else b"Content-Length: %d" % body.length
    head = b"%b / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % (method, framing)
    connection = await connect(pool, backend)
    return await connection.exchange(method=method, head=head, body=body, progress=nothing)


async def all_of(answer: BackendAnswer) -> bytes:
    pieces = []
    while piece := await answer.read():
        pieces.append(piece)
    return b"".join(pieces)


async def fetch(pool: BackendPool, backend: ScriptedBackend, **request: bytes) -> bytes:
    return await all_of(await ask(pool, backend, method=request.get("method", b"GET")))


# -- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        text(b"one two"),
        chunked(b"one", b" ", b"two"),
        to_eof(b"one", b" two"),
        answer(b"HTTP/1.0 200 OK\r\n\r\none two", Ending.CLOSE),
        answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", *text(b"one two").steps),
    ],
    ids=["length", "chunked", "to the end", "HTTP/1.0", "behind interim answers"],
)
async def test_a_body_comes_whole_however_it_is_delimited(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = script
    answer = await ask(pool, backend)
    assert answer.status == 200
    assert await all_of(answer) == b"one two"


async def test_head_and_headers_are_bytes_as_they_stood(pool: BackendPool, backend: ScriptedBackend) -> None:
    backend.default = answer(
        b"HTTP/1.1 299 Nicely \xe4 done\r\nx-LOW: \xff\xfe\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n"
    )
    found = await ask(pool, backend)
    assert (found.status, found.reason) == (299, b"Nicely \xe4 done")
    assert found.headers[:3] == ((b"x-LOW", b"\xff\xfe"), (b"Set-Cookie", b"a"), (b"set-cookie", b"b"))


@pytest.mark.parametrize(
    "script",
    [
        answer(b"what is this\r\n\r\n"),
        answer(b"\x16\x03\x01\x02\x00", Ending.CLOSE),
        answer(b"HTTP/1.1 20 OK\r\n\r\n"),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        answer(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_LIMIT + 10) + b"\r\n\r\n"),
        answer(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 600 + b"\r\n"),
        answer(b"HTTP/1.1 200 OK\r\nX: cut", Ending.CLOSE),
        answer(b"HTTP/1.1 100 Continue\r\n\r\n", Ending.CLOSE),
        answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw bytes"),
        close_without_answer(),
        answer(Ending.RESET),
    ],
    ids=[
        "garbage", "TLS", "status of two digits", "signed length", "two lengths", "a header too long",
        "too many headers", "half a head", "interim only", "switched protocols", "closed", "reset",
    ],
)  # fmt: skip
async def test_no_usable_answer_is_said_to_be_none(pool: BackendPool, backend: ScriptedBackend, script: Answer) -> None:
    backend.default = script
    with pytest.raises(AnswerFailed) as failure:
        await ask(pool, backend)
    assert not failure.value.is_stale
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"
    assert backend.accepted == 2


@pytest.mark.parametrize(
    "script",
    [
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Ending.CLOSE),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Ending.RESET),
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello"), Ending.CLOSE),
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + b"9\r\ncut", Ending.CLOSE),
    ],
    ids=["length", "length, reset", "chunked", "within a chunk"],
)
async def test_a_body_cut_short_is_noticed(pool: BackendPool, backend: ScriptedBackend, script: Answer) -> None:
    backend.default = script
    found = await ask(pool, backend)
    with pytest.raises(AnswerTruncated):
        await all_of(found)
    found.close()


async def test_a_body_that_turns_out_bad_is_noticed(pool: BackendPool, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello")
    backend.default = answer(start, gate, b"zz\r\nno chunk\r\n")
    found = await ask(pool, backend)
    assert await found.read() == b"hello"
    gate.set()
    with pytest.raises(AnswerTruncated):
        await found.read()
    found.close()


# -- which connections are used again -----------------------------------------------------------------------------


@pytest.mark.parametrize("script", [text(b"hello"), chunked(b"hello")], ids=["length", "chunked"])
async def test_a_connection_is_used_again_after_a_whole_answer(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = script
    for _ in range(3):
        assert await fetch(pool, backend) == b"hello"
    assert backend.accepted == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end_with_their_head(
    pool: BackendPool, backend: ScriptedBackend, status: int
) -> None:
    backend.default = answer(b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status)
    for _ in range(2):
        found = await ask(pool, backend)
        assert found.status == status
        assert await found.read() == b""
        found.close()
    assert backend.accepted == 1


@pytest.mark.parametrize("body", [b"", b"hello"], ids=["well-behaved", "careless"])
async def test_the_answer_to_a_head_ends_with_its_head(
    pool: BackendPool, backend: ScriptedBackend, body: bytes
) -> None:
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
    found = await ask(pool, backend, method=b"HEAD")
    assert (found.status, await found.read()) == (200, b"")
    found.close()
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"


@pytest.mark.parametrize(
    "script",
    [
        answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
        answer(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        to_eof(b"hello"),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"),
    ],
    ids=["told to close", "HTTP/1.0", "to the end", "a second answer behind it", "part of a second answer behind it"],
)
async def test_a_connection_that_is_not_in_step_is_not_used_again(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = script
    assert await fetch(pool, backend) == b"hello"
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"
    assert backend.accepted == 2


@pytest.mark.parametrize(
    "stray",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 200 OK\r\nContent-", b"H", b"garbage\r\n\r\n"],
    ids=["a whole answer", "part of one", "one byte", "garbage"],
)
async def test_what_comes_on_an_idle_connection_answers_nobody(
    pool: BackendPool, backend: ScriptedBackend, stray: bytes
) -> None:
    """Else it would be taken for the answer to the next request, whoever's that is."""
    late = asyncio.Event()
    sent = asyncio.Event()

    async def note() -> None:
        await late.wait()

    backend.default = answer(*text(b"hello").steps, late, stray, sent, asyncio.Event())
    assert await fetch(pool, backend) == b"hello"
    late.set()
    sent.set()
    for _ in range(5):
        await settle()
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"


async def test_an_answer_that_is_given_up_takes_its_connection_along(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", asyncio.Event())
    found = await ask(pool, backend)
    await found.read()
    found.close()
    await backend.disconnected(1)


async def test_a_request_that_is_cancelled_takes_its_connection_along(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    backend.default = answer(asyncio.Event())
    asking = asyncio.create_task(ask(pool, backend))
    await backend.request()
    asking.cancel()
    await asyncio.wait([asking])
    await backend.disconnected(1)


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
async def test_a_pooled_connection_that_died_is_not_used(
    pool: BackendPool, backend: ScriptedBackend, ending: Ending
) -> None:
    backend.default = answer(*text(b"hello").steps, ending)
    assert await fetch(pool, backend) == b"hello"
    await backend.disconnected(1)
    await settle()
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"


async def test_a_reused_connection_that_dies_under_the_request_is_stale(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    await fetch(pool, backend)
    backend.default = close_without_answer()
    with pytest.raises(AnswerFailed) as failure:
        await ask(pool, backend)
    assert failure.value.is_stale


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", closed_port()), ("no-such-host.invalid", 80), ("a" * 70, 80), ("a..b", 80)]
)
async def test_what_cannot_be_reached_says_so(pool: BackendPool, host: str, port: int) -> None:
    with pytest.raises(ConnectFailed):
        await pool.connect(BackendAddress(host=host, port=port))


# -- request bodies -----------------------------------------------------------------------------------------------


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
    backend.default = Answer(steps=(start, asyncio.Event()) if is_early else (asyncio.Event(),), early=is_early)
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


async def test_progress_is_told_for_each_piece(pool: BackendPool, backend: ScriptedBackend) -> None:
    told: list[int] = []
    connection = await connect(pool, backend)
    body = body_of(b"a", b"b", b"c")
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    found = await connection.exchange(method=b"POST", head=head, body=body, progress=lambda: told.append(1))
    await all_of(found)
    await until(lambda: len(told) == 3)
