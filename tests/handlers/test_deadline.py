"""A bound on waiting, turned by hand."""

from __future__ import annotations

import asyncio

import pytest

from handlers.deadline import Deadline
from tests.support.clock import ManualClock
from tests.support.turns import settle, until


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def wait_within(clock: ManualClock, seconds: float) -> None:
    async with Deadline(clock, seconds):
        await forever()


async def test_it_raises_in_the_body_when_the_time_is_up() -> None:
    clock = ManualClock()
    task = asyncio.create_task(wait_within(clock, 10))
    await settle()
    clock.advance(9.9)
    await settle()
    assert not task.done()
    clock.advance(0.1)
    with pytest.raises(TimeoutError):
        await task


async def test_without_seconds_there_is_no_bound() -> None:
    clock = ManualClock()
    task = asyncio.create_task(wait_within(clock, 0))
    await settle()
    assert clock.next_due() is None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_body_that_ends_in_time_leaves_no_timer_behind() -> None:
    clock = ManualClock()
    async with Deadline(clock, 10):
        assert clock.next_due() is not None
    assert clock.next_due() is None


async def test_what_the_body_raises_passes_and_leaves_no_timer_behind() -> None:
    clock = ManualClock()
    with pytest.raises(ValueError, match="mine"):
        async with Deadline(clock, 10):
            raise ValueError("mine")
    assert clock.next_due() is None


async def test_cancellation_from_outside_stays_a_cancellation() -> None:
    clock = ManualClock()
    task = asyncio.create_task(wait_within(clock, 10))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.next_due() is None


@pytest.mark.parametrize("first", ["time", "cancel"])
async def test_cancellation_wins_when_the_time_is_up_at_the_same_moment(first: str) -> None:
    clock = ManualClock()
    task = asyncio.create_task(wait_within(clock, 10))
    await settle()
    if first == "cancel":
        task.cancel()
    clock.advance(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()


async def test_a_restart_counts_from_now() -> None:
    clock = ManualClock()
    deadlines: list[Deadline] = []

    async def wait() -> None:
        async with Deadline(clock, 10) as deadline:
            deadlines.append(deadline)
            await forever()

    task = asyncio.create_task(wait())
    await until(lambda: deadlines)
    clock.advance(9)
    deadlines[0].restart(10)
    clock.advance(9)
    await settle()
    assert not task.done()
    clock.advance(1)
    with pytest.raises(TimeoutError):
        await task


@pytest.mark.parametrize("way", ["stop", "restart"])
async def test_a_bound_can_be_lifted(way: str) -> None:
    clock = ManualClock()
    async with Deadline(clock, 10) as deadline:
        if way == "stop":
            deadline.stop()
        else:
            deadline.restart(0)
        clock.advance(100)
        await settle()


async def test_a_restart_after_the_end_arms_nothing() -> None:
    """A body that is still being sent reports progress when the answer has long been there."""
    clock = ManualClock()
    async with Deadline(clock, 10) as deadline:
        pass
    deadline.restart(10)
    assert clock.next_due() is None


async def test_a_restart_when_the_time_is_up_arms_nothing() -> None:
    clock = ManualClock()

    async def wait() -> None:
        async with Deadline(clock, 10) as deadline:
            try:
                await forever()
            finally:
                deadline.restart(10)
                assert clock.next_due() is None

    task = asyncio.create_task(wait())
    await settle()
    clock.advance(10)
    with pytest.raises(TimeoutError):
        await task


async def test_a_task_whose_time_was_up_is_not_being_cancelled_afterwards() -> None:
    clock = ManualClock()

    async def wait() -> int:
        with pytest.raises(TimeoutError):
            await wait_within(clock, 10)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    task = asyncio.create_task(wait())
    await settle()
    clock.advance(10)
    assert await task == 0


async def test_a_bound_within_a_bound_is_its_own() -> None:
    clock = ManualClock()

    async def wait() -> str:
        async with Deadline(clock, 10):
            try:
                await wait_within(clock, 5)
            except TimeoutError:
                return "inner"
            return "none"

    task = asyncio.create_task(wait())
    await settle()
    clock.advance(5)
    assert await task == "inner"
