"""A backend connection after a 101: taken out of its client's hands, or closed."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backend import READ_BUFFER, AnswerFailed, AnswerTruncated, BackendAnswer, BackendPool
from proxy.backend_aiohttp import AiohttpAnswer
from proxy.backend_answer import OwnAnswer
from tests.proxy.asking import body_of, connect, fetch
from tests.support.answers import Answer, Ending, Step, answer, text
from tests.support.backend import ScriptedBackend
from tests.support.turns import settle, until

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"


class Taker(asyncio.Protocol):
    """Takes over; remembers."""

    def __init__(self) -> None:
        self.data = b""
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


async def switched(pool: BackendPool, backend: ScriptedBackend, *steps: Step) -> BackendAnswer:
    """Ask for another protocol, and get what `steps` are behind the 101."""
    backend.default = answer(*steps)
    connection = await connect(pool, backend)
    return await connection.exchange(method=b"GET", head=HEAD, body=body_of(), upgrades=True)


def is_reading_paused(answer: BackendAnswer) -> bool:
    if isinstance(answer, OwnAnswer):
        return answer.connection is not None and answer.connection.is_reading_paused
    assert isinstance(answer, AiohttpAnswer)
    return answer._connection._protocol._buffer_paused  # noqa: SLF001


def is_lost(answer: BackendAnswer) -> bool:
    if isinstance(answer, OwnAnswer):
        return answer.connection is None
    assert isinstance(answer, AiohttpAnswer)
    return answer._connection._protocol.transport is None  # noqa: SLF001


async def test_the_transport_comes_with_what_stood_behind_the_101(pool: BackendPool, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    found = await switched(pool, backend, SWITCH + b"behind", gate, b" and more", asyncio.Event())
    transport, tail = found.take_transport()
    taker = Taker()
    transport.set_protocol(taker)
    assert (found.status, tail) == (101, b"behind")
    gate.set()
    await until(lambda: taker.data)
    assert taker.data == b" and more"
    found.close()
    await settle()
    assert not transport.is_closing(), "the answer has nothing to do with it any more"
    transport.abort()
    await until(lambda: taker.is_lost)


async def test_bytes_that_look_like_an_answer_are_none(pool: BackendPool, backend: ScriptedBackend) -> None:
    found = await switched(pool, backend, SWITCH + b"HTTP/1.1 200 OK\r\n\r\n", asyncio.Event())
    transport, tail = found.take_transport()
    assert tail == b"HTTP/1.1 200 OK\r\n\r\n"
    transport.abort()


async def test_reading_goes_on_when_it_had_been_stopped(pool: BackendPool, backend: ScriptedBackend) -> None:
    large = b"x" * (READ_BUFFER * 40)
    found = await switched(pool, backend, SWITCH, large + b"end", asyncio.Event())
    await until(lambda: is_reading_paused(found))
    transport, tail = found.take_transport()
    taker = Taker()
    transport.set_protocol(taker)
    await until(lambda: len(tail) + len(taker.data) == len(large) + 3)
    assert (tail + taker.data).endswith(b"xend")
    transport.abort()


async def test_the_connection_is_nobody_elses_any_more(pool: BackendPool, backend: ScriptedBackend) -> None:
    found = await switched(pool, backend, SWITCH, asyncio.Event())
    transport, _ = found.take_transport()
    taker = Taker()
    transport.set_protocol(taker)
    backend.default = text(b"hello")
    assert await fetch(pool, backend) == b"hello"
    assert backend.accepted == 2
    await pool.close()
    await settle()
    assert not transport.is_closing()
    transport.abort()


async def test_one_that_is_not_taken_is_closed(pool: BackendPool, backend: ScriptedBackend) -> None:
    found = await switched(pool, backend, SWITCH + b"behind", asyncio.Event())
    assert await found.read() == b""
    found.close()
    await backend.disconnected(1)
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"
    assert backend.accepted == 2


@pytest.mark.parametrize("ending", Ending)
async def test_one_that_is_gone_cannot_be_taken(pool: BackendPool, backend: ScriptedBackend, ending: Ending) -> None:
    gate = asyncio.Event()
    found = await switched(pool, backend, SWITCH, gate, ending)
    gate.set()
    await backend.disconnected(1)
    await until(lambda: is_lost(found))
    with pytest.raises(AnswerTruncated):
        found.take_transport()
    found.close()


@pytest.mark.parametrize(
    "script",
    [
        answer(b"HTTP/1.1 101 X\r\n\r\n", asyncio.Event()),
        answer(b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n", asyncio.Event()),
        answer(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", asyncio.Event()),
    ],
    ids=["nothing", "no connection", "no upgrade"],
)
async def test_a_101_that_switches_nothing_is_no_answer(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    with pytest.raises(AnswerFailed):
        await switched(pool, backend, *script.steps)
    await backend.disconnected(1)


async def test_a_101_that_nobody_asked_for_is_no_answer(pool: BackendPool, backend: ScriptedBackend) -> None:
    backend.default = answer(SWITCH, asyncio.Event())
    with pytest.raises(AnswerFailed):
        await fetch(pool, backend)
    await backend.disconnected(1)


async def test_another_answer_to_the_same_request_is_an_ordinary_one(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    found = await switched(pool, backend, *text(b"no", status=403).steps)
    assert (found.status, await found.read(), await found.read()) == (403, b"no", b"")
    found.close()
    assert await fetch(pool, backend) == b"no"
    assert backend.accepted == 1
