"""A request body: small ones again and again, large ones once, and never a byte twice or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RequestBodyError
from proxy.request_body import NO_BODY, REPLAY_LIMIT, RequestBody
from tests.support.turns import settle


class Source:
    """Hands out pieces, each when it is let go."""

    def __init__(self, pieces: Sequence[bytes], *, is_gated: bool = False) -> None:
        self.pieces = list(pieces)
        self.gate = asyncio.Semaphore(0 if is_gated else 1_000_000)
        self.readers = 0

    async def read(self) -> bytes:
        self.readers += 1
        assert self.readers == 1, "two read at once"
        try:
            await self.gate.acquire()
            return self.pieces.pop(0) if self.pieces else b""
        finally:
            self.readers -= 1


def body_of(*pieces: bytes, chunked: bool = False) -> RequestBody:
    return RequestBody(Source(pieces).read, None if chunked else sum(map(len, pieces)))


async def all_of(body: RequestBody) -> bytes:
    return b"".join([piece async for piece in body.chunks()])


@pytest.mark.parametrize("chunked", [True, False])
@given(pieces=st.lists(st.binary(min_size=1, max_size=50)), times=st.integers(1, 3))
async def test_a_small_body_can_be_read_again(chunked: bool, pieces: list[bytes], times: int) -> None:
    body = body_of(*pieces, chunked=chunked)
    for _ in range(times):
        assert await all_of(body) == b"".join(pieces)
    assert body.is_replayable
    assert body.length == sum(map(len, pieces))


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("size", [REPLAY_LIMIT - 1, REPLAY_LIMIT, REPLAY_LIMIT + 1, 3 * REPLAY_LIMIT])
async def test_a_body_arrives_whole_whatever_was_read_ahead(chunked: bool, size: int) -> None:
    pieces = [bytes([number % 256]) * 999 for number in range(size // 999)]
    pieces.append(b"e" * (size - 999 * len(pieces)))
    body = body_of(*filter(None, pieces), chunked=chunked)
    await body.prefetch()
    assert await all_of(body) == b"".join(pieces)
    assert body.is_replayable is (size <= REPLAY_LIMIT)


async def test_a_chunked_body_has_a_length_once_it_is_known_to_be_small() -> None:
    body = body_of(b"one", b"two", chunked=True)
    assert body.length is None
    await body.prefetch()
    assert body.length == 6


async def test_a_long_chunked_body_stays_without_a_length() -> None:
    body = body_of(b"x" * REPLAY_LIMIT, b"y", chunked=True)
    await body.prefetch()
    assert body.length is None


@pytest.mark.parametrize(("size", "is_small"), [(0, True), (REPLAY_LIMIT, True), (REPLAY_LIMIT + 1, False)])
async def test_reading_what_is_small_says_whether_it_was(size: int, is_small: bool) -> None:
    body = body_of(*(b"x" * 1000 for _ in range(size // 1000)), b"x" * (size % 1000))
    assert await body.read_small() is is_small


async def test_a_body_is_ready_once_it_was_read_to_its_end_and_is_small() -> None:
    body = body_of(b"one ", b"two")
    assert body.ready() is None
    await body.read_small()
    assert body.ready() == b"one two"
    assert RequestBody.of(b"here").ready() == b"here"
    large = body_of(b"x" * (REPLAY_LIMIT + 1))
    await large.read_small()
    assert large.ready() is None


async def test_a_large_body_is_not_gathered() -> None:
    body = body_of(*(b"x" * 10_000 for _ in range(100)))
    kept = 0
    async for _ in body.chunks():
        kept = max(kept, sum(map(len, body._pieces)))  # noqa: SLF001
    assert kept <= REPLAY_LIMIT + 10_000


async def test_two_may_wait_for_the_same_body() -> None:
    """The backend is still being sent it when an early answer asks whether it is small."""
    source = Source([b"one", b"two", b"three"], is_gated=True)
    body = RequestBody(source.read, 11)
    sending, asking = asyncio.create_task(all_of(body)), asyncio.create_task(body.read_small())
    for _ in range(4):
        await settle()
        source.gate.release()
    assert await sending == b"onetwothree"
    assert await asking is True


async def test_a_reader_that_is_cancelled_loses_no_byte() -> None:
    source = Source([b"one", b"two"], is_gated=True)
    body = RequestBody(source.read, 6)
    for _ in range(3):
        reading = asyncio.create_task(all_of(body))
        await settle()
        source.gate.release()
        await settle()
        reading.cancel()
        await asyncio.wait([reading])
    source.gate.release()
    assert await all_of(body) == b"onetwo"


@pytest.mark.parametrize("error", [RequestBodyError("bad chunk"), ConnectionResetError("gone")])
async def test_what_reading_raises_reaches_every_reader(error: Exception) -> None:
    async def fail() -> bytes:
        raise error

    body = RequestBody(fail, 5)
    for _ in range(2):
        with pytest.raises(type(error)):
            await body.read_small()
        with pytest.raises(type(error)):
            await all_of(body)


async def test_it_is_known_when_nothing_is_left_to_wait_for() -> None:
    assert not body_of(b"some ", b"words").is_here
    read = body_of(b"some ", b"words")
    assert await read.read_small()
    assert read.is_here
    assert RequestBody.of(b"words").is_here
    assert NO_BODY.is_here
    assert [piece async for piece in NO_BODY.chunks()] == []
