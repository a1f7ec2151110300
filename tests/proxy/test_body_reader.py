"""Bytes put into a body's reader come out in their order; what nobody takes holds the client back."""

from __future__ import annotations

import asyncio

import pytest

from proxy.body_reader import READ_BUFFER, BodyReader


class Owner:
    """Records whether the client is held back."""

    def __init__(self) -> None:
        self._is_paused = False

    def pause_for_body(self) -> None:
        self._is_paused = True

    def resume_for_body(self) -> None:
        self._is_paused = False

    def is_paused(self) -> bool:
        """Whether the client is held back now."""
        return self._is_paused


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def reader(owner: Owner) -> BodyReader:
    return BodyReader(owner)


async def test_all_that_is_here_comes_at_once_and_nothing_at_the_end(reader: BodyReader) -> None:
    reader.feed(b"some ")
    reader.feed(b"")
    reader.feed(b"words")
    assert await reader.read() == b"some words"
    reader.end()
    assert not reader.is_waiting_needed
    assert [await reader.read(), await reader.read()] == [b"", b""]


async def test_what_is_not_here_yet_is_waited_for(reader: BodyReader) -> None:
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    reader.feed(b"some ")
    reader.feed(b"words")
    assert await reading == b"some words"


async def test_whoever_gives_up_waiting_may_wait_again(reader: BodyReader) -> None:
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    reader.feed(b"words")
    assert await reader.read() == b"words"


@pytest.mark.parametrize("waits", [True, False])
async def test_a_failure_is_seen_by_whoever_reads_now_or_later(reader: BodyReader, waits: bool) -> None:
    reading = asyncio.create_task(reader.read())
    if waits:
        await asyncio.sleep(0)
    reader.fail(ConnectionResetError("gone"))
    for each in (reading, reader.read()):
        with pytest.raises(ConnectionResetError):
            await each


async def test_a_client_is_held_back_while_nobody_takes_what_is_here(reader: BodyReader, owner: Owner) -> None:
    reader.feed(b"x" * 2 * READ_BUFFER)
    assert not owner.is_paused()
    reader.feed(b"x")
    assert owner.is_paused()
    assert len(await reader.read()) == 2 * READ_BUFFER + 1
    assert not owner.is_paused()


async def test_what_is_discarded_is_not_kept_and_holds_nobody_back(reader: BodyReader, owner: Owner) -> None:
    reader.feed(b"x" * 3 * READ_BUFFER)
    reader.discard()
    assert not owner.is_paused()
    reader.feed(b"x" * 3 * READ_BUFFER)
    assert not owner.is_paused()
    reader.end()
    assert await reader.read() == b""
