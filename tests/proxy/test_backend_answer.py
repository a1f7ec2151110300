"""What is read of an answer while it comes, is cut, or is given up."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backend import AnswerTruncated
from proxy.backend_answer import OwnAnswer
from tests.support.turns import settle


class Origin:
    """A `Source` that notes what it is told."""

    def __init__(self) -> None:
        self.is_reading_paused = False
        self.told: list[str] = []

    def resume_reading(self) -> None:
        self.told.append("resume")
        self.is_reading_paused = False

    def close(self) -> None:
        self.told.append("close")

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        raise AnswerTruncated("gone")


@pytest.fixture
def origin() -> Origin:
    return Origin()


async def test_a_whole_body_is_given_in_one_piece_and_once(origin: Origin) -> None:
    answer = OwnAnswer(origin, [b"a", b"b"])
    assert answer.whole() is None
    answer.is_complete = True
    assert (answer.has_body_waiting, answer.whole(), await answer.read()) == (True, b"ab", b"")


async def test_reading_waits_for_more_however_often_it_is_woken_for_nothing(origin: Origin) -> None:
    pieces: list[bytes] = []
    answer = OwnAnswer(origin, pieces)
    reading = asyncio.create_task(answer.read())
    for _ in range(3):
        await settle()
        answer.wake()
    await settle()
    assert not reading.done()
    pieces.append(b"a")
    answer.wake()
    assert await reading == b"a"


async def test_what_came_is_read_before_the_failure_that_came_behind_it(origin: Origin) -> None:
    answer = OwnAnswer(origin, [b"a"])
    answer.fail(AnswerTruncated("first"))
    answer.fail(AnswerTruncated("second"))
    assert (answer.whole(), await answer.read()) == (None, b"a")
    for _ in range(2):
        with pytest.raises(AnswerTruncated, match="first"):
            await answer.read()


async def test_a_whole_answer_does_not_fail_any_more(origin: Origin) -> None:
    answer = OwnAnswer(origin, [b"a"])
    answer.is_complete = True
    answer.fail(AnswerTruncated("late"))
    assert (await answer.read(), await answer.read()) == (b"a", b"")


async def test_reading_what_had_piled_up_has_more_come(origin: Origin) -> None:
    origin.is_reading_paused = True
    answer = OwnAnswer(origin, [b"a"])
    await answer.read()
    assert origin.told == ["resume"]


async def test_a_reader_that_was_cancelled_is_not_woken(origin: Origin) -> None:
    answer = OwnAnswer(origin, [])
    reading = asyncio.create_task(answer.read())
    await settle()
    reading.cancel()
    answer.wake()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_an_answer_closes_the_connection_once_and_only_while_it_is_its_own(origin: Origin) -> None:
    answer = OwnAnswer(origin, [])
    answer.close()
    answer.close()
    assert origin.told == ["close"]
    answer = OwnAnswer(origin, [])
    answer.connection = None
    answer.close()
    assert origin.told == ["close"]


async def test_a_transport_is_taken_from_the_connection_or_there_is_none(origin: Origin) -> None:
    answer = OwnAnswer(origin, [])
    for reason in ("gone", "closed the connection"):
        with pytest.raises(AnswerTruncated, match=reason):
            answer.take_transport()
