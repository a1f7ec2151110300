"""What one client can make its connection hold in memory, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.body_reader import READ_BUFFER
from proxy.client_server import HEAD_SECONDS
from proxy.exchange import Exchange
from proxy.feed import KEPT_LIMIT
from tests.proxy.client_door import Door, echo, listening
from tests.support.client import RawClient, encode_request
from tests.support.turns import settle, until

GET = encode_request("/")
SOCKET_BUFFERS = 8 << 20
"""More than the kernel and one read of the loop take of bytes that nobody wants."""


@pytest.fixture
async def door() -> AsyncGenerator[Door]:
    async with listening() as door:
        yield door


@pytest.fixture
async def client(door: Door) -> AsyncGenerator[RawClient]:
    async with await door.connect() as client:
        yield client


async def test_a_body_that_is_read_slowly_is_not_gathered(door: Door, client: RawClient) -> None:
    go_on = asyncio.Semaphore(0)
    sizes: list[int] = []

    async def serve(exchange: Exchange) -> None:
        async for piece in exchange.body.chunks():
            sizes.append(len(piece))
            await go_on.acquire()
        exchange.answer_text(200, "done")

    door.serve = serve
    sending = asyncio.create_task(client.send(encode_request("/", method="POST", body=b"x" * (4 * SOCKET_BUFFERS))))
    await until(lambda: sizes)
    for _ in range(20):
        go_on.release()
        await settle()
    assert not sending.done()
    assert max(sizes) <= 2 * READ_BUFFER + 262_144
    for _ in range(10_000):
        go_on.release()
    await sending
    assert (await client.response()).status == 200


async def test_requests_sent_ahead_of_the_answers_are_bounded(door: Door, client: RawClient) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        await echo(exchange)

    door.serve = wait
    sending = asyncio.create_task(client.send(GET * (SOCKET_BUFFERS // len(GET))))
    await until(lambda: door.served)
    await settle()
    kept = [framer_kept(door)]
    gate.set()
    for _ in range(300):
        await client.response()
        kept.append(framer_kept(door))
    assert max(kept) <= KEPT_LIMIT + 262_144
    sending.cancel()


async def test_reading_goes_on_once_what_was_sent_ahead_is_answered(door: Door, client: RawClient) -> None:
    count = 4 * KEPT_LIMIT // len(GET)
    sending = asyncio.create_task(client.send(GET * count))
    for _ in range(count):
        assert (await client.response()).status == 200
    await sending
    assert (await client.fetch("/last")).body == b"/last \n"


async def test_answers_that_are_not_taken_are_bounded(door: Door) -> None:
    async with await RawClient.connect(door.address, receive_buffer=4096) as client:
        sending = asyncio.create_task(client.send(encode_request("/" + "x" * 20_000) * 1000))
        written = 0
        while len(door.served) > written or not door.served:
            written = len(door.served)
            for _ in range(50):
                await settle()
        assert not sending.done()
        assert max(transport.get_write_buffer_size() for transport in door.clients.open_transports) < 262_144
        sending.cancel()


@pytest.mark.parametrize("sent", [b"", GET[:10]])
async def test_without_a_keep_alive_timeout_a_first_head_is_not_waited_for_without_end(sent: bytes) -> None:
    async with listening(keep_alive_timeout=0) as door, await door.connect() as client:
        await client.send(sent)
        await until(lambda: door.clients.connections)
        await settle()
        door.clock.advance(HEAD_SECONDS + 0.2)
        assert await client.until_closed() == b""


async def test_without_a_keep_alive_timeout_an_answer_may_take_long() -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.answer_text(200, "done")

    async with listening(keep_alive_timeout=0) as door, await door.connect() as client:
        door.serve = wait
        await client.send(GET)
        await until(lambda: door.served)
        for _ in range(3):
            door.clock.advance(HEAD_SECONDS + 1)
            await settle()
        gate.set()
        assert (await client.response()).status == 200
        assert await client.until_closed() == b""


@pytest.mark.parametrize(("size", "is_kept"), [(100, True), (5000, False)])
async def test_what_a_large_head_came_to_is_not_kept_while_idle(
    door: Door, client: RawClient, size: int, is_kept: bool
) -> None:
    await client.fetch("/", headers=[("X", "x" * size)])
    await settle()
    connection = door.connection
    assert (connection._feed.framer._heads.last is not None) is is_kept  # noqa: SLF001
    assert (door.served[0].earlier is connection._earlier) is is_kept  # noqa: SLF001


def framer_kept(door: Door) -> int:
    return door.connection._feed.framer.kept  # noqa: SLF001
