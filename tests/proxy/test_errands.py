"""Tasks of held connections: none is lost, none fails unheard, and a process that stops can wait for them."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from proxy.errands import Errands
from tests.support.turns import settle, until


async def test_an_errand_is_run_and_forgotten() -> None:
    errands = Errands()
    done = asyncio.Event()

    async def errand() -> None:
        done.set()

    errands.start(errand(), name="one")
    assert (len(errands), done.is_set()) == (1, False)
    await settle()
    assert (len(errands), done.is_set()) == (0, True)


async def test_an_errand_that_nobody_else_knows_is_not_collected() -> None:
    errands = Errands()
    seen: list[str] = []

    async def errand() -> None:
        waiting = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0, waiting.set_result, None)
        gc.collect()
        await waiting
        seen.append("done")

    errands.start(errand(), name="one")
    await errands.all_done()
    assert seen == ["done"]


async def test_with_none_there_is_nothing_to_wait_for() -> None:
    await Errands().all_done()


async def test_the_wait_is_also_for_those_that_begin_meanwhile() -> None:
    errands = Errands()
    gates = [asyncio.Event(), asyncio.Event()]

    async def first() -> None:
        await gates[0].wait()
        errands.start(second(), name="second")

    async def second() -> None:
        await gates[1].wait()

    errands.start(first(), name="first")
    waiting = asyncio.create_task(errands.all_done())
    gates[0].set()
    await settle()
    assert (waiting.done(), len(errands)) == (False, 1)
    gates[1].set()
    await waiting


async def test_an_errand_that_begins_as_the_last_one_ends_is_waited_for() -> None:
    errands = Errands()
    gate = asyncio.Event()
    errands.start(gate.wait(), name="first")  # type: ignore[arg-type]
    waiting = asyncio.create_task(errands.all_done())
    await settle()
    gate.set()
    await until(lambda: not errands)
    late = asyncio.Event()
    errands.start(late.wait(), name="late")  # type: ignore[arg-type]
    await settle()
    assert not waiting.done()
    late.set()
    await waiting


async def test_what_is_cancelled_is_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    errands = Errands()
    for number in range(3):
        errands.start(asyncio.Event().wait(), name=f"number {number}")  # type: ignore[arg-type]
    await settle()
    errands.cancel_all()
    await errands.all_done()
    assert len(errands) == 0
    assert caplog.records == []


async def test_what_is_cancelled_before_it_began_is_gone_too() -> None:
    errands = Errands()
    errands.start(asyncio.Event().wait(), name="one")  # type: ignore[arg-type]
    errands.cancel_all()
    await errands.all_done()
    assert len(errands) == 0


async def test_a_fault_is_logged_under_its_name_and_touches_no_other(caplog: pytest.LogCaptureFixture) -> None:
    errands = Errands()
    gate = asyncio.Event()
    seen: list[str] = []

    async def failing() -> None:
        raise ValueError("this is wrong")

    async def waiting() -> None:
        await gate.wait()
        seen.append("done")

    errands.start(waiting(), name="the other")
    errands.start(failing(), name="events of ws://a/b")
    await settle()
    gate.set()
    await errands.all_done()
    assert seen == ["done"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("holdfast.errand", logging.ERROR)
    assert record.getMessage() == "events of ws://a/b failed"
    assert record.exc_info is not None
    assert "this is wrong" in caplog.text


async def test_a_promise_is_waited_for_until_it_is_kept() -> None:
    errands = Errands()
    errands.promise("a")
    errands.promise("b")
    waiting = asyncio.create_task(errands.all_done())
    errands.fulfil("a")
    errands.fulfil("never promised")
    await settle()
    assert (waiting.done(), errands.unkept) == (False, 1)
    errands.fulfil("b")
    await waiting


async def test_when_all_is_called_off_nothing_more_can_be_promised() -> None:
    errands = Errands()
    errands.promise("a")
    errands.cancel_all()
    errands.promise("b")
    await errands.all_done()
    assert errands.unkept == 0
