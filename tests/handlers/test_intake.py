"""A transport that is read: two reasons stop that, and it goes on when neither is left."""

from __future__ import annotations

import asyncio

from handlers.intake import Intake
from tests.handlers.room import Room


async def test_it_is_not_read_between_a_pause_and_the_resumption(room: Room) -> None:
    _, transport = await room.connect()
    intake = Intake(transport)
    intake.pause()
    assert not transport.is_reading()
    intake.resume()
    assert transport.is_reading()


async def test_what_is_put_off_is_taken_in_the_next_turn_and_nothing_read_before(room: Room) -> None:
    _, transport = await room.connect()
    intake = Intake(transport)
    reading: list[bool] = []
    intake.put_off(lambda: reading.append(transport.is_reading()))
    intake.resume()
    assert (reading, transport.is_reading()) == ([], False)
    await asyncio.sleep(0)
    assert (reading, transport.is_reading()) == ([False], True)


async def test_one_that_is_paused_while_it_is_taken_stays_so(room: Room) -> None:
    _, transport = await room.connect()
    intake = Intake(transport)
    intake.put_off(intake.pause)
    await asyncio.sleep(0)
    assert not transport.is_reading()
    intake.resume()
    assert transport.is_reading()


async def test_what_is_put_off_again_is_not_read_in_between(room: Room) -> None:
    _, transport = await room.connect()
    intake = Intake(transport)
    taken: list[str] = []
    intake.put_off(lambda: intake.put_off(lambda: taken.append("all")))
    await asyncio.sleep(0)
    assert (taken, transport.is_reading()) == ([], False)
    await asyncio.sleep(0)
    assert (taken, transport.is_reading()) == (["all"], True)


async def test_one_that_is_closed_is_left_alone(room: Room) -> None:
    _, transport = await room.connect()
    intake = Intake(transport)
    transport.abort()
    intake.pause()
    intake.resume()
    intake.put_off(lambda: None)
    await asyncio.sleep(0)
