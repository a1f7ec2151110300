"""A process that is started with its settings, and its end in words."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from proxy.workers.child import Child, describe_status
from proxy.workers.start import WorkerStart
from tests.handlers.links.linking import Site, ends
from tests.support.patience import bounded
from tests.support.settings import settings_from

START = WorkerStart(number=1, settings=settings_from([], routes=["* test"]), link="nowhere", addresses=())
READS = (
    "import sys, proxy.workers.start as start; told = start.read_start(sys.stdin.buffer); "
    "assert told.settings.route_lines == ('* test',); "
)
"""A program that imports what this process can, and reads its start."""


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-c", READS + code)


async def ended(code: str) -> str:
    with ends() as (parent, _):
        child = Child(Site(parent).worker)
        assert (child.pid, str(child)) == (0, "worker 1 (process 0)")
        await child.start(START, python(code))
        assert str(child) == f"worker 1 (process {child.pid})"
        async with bounded():
            how = await child.wait()
        assert child.began.is_set()
        child.kill()
        return how


async def test_it_is_told_what_it_needs_and_its_end_is_waited_for() -> None:
    assert await ended("sys.exit(4)") == "with status 4"


async def test_its_input_stays_open_until_it_is_killed() -> None:
    with ends() as (parent, _):
        child = Child(Site(parent).worker)
        await child.start(START, python("sys.stdin.buffer.read()"))
        child.kill()
        async with bounded():
            assert await child.wait() == "by SIGKILL"


async def test_the_terminals_signals_do_not_reach_it_from_its_first_moment_on() -> None:
    with ends() as (parent, _):
        child = Child(Site(parent).worker)
        await child.start(START, python("sys.stdin.buffer.read()"))
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
        child.kill()
        async with bounded():
            await child.wait()


async def test_a_program_that_is_not_there_is_named() -> None:
    with ends() as (parent, _):
        child = Child(Site(parent).worker)
        with pytest.raises(OSError, match="No such file"):
            await child.start(START, ("/nonexistent/program",))


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "with status 0"), (1, "with status 1"), (-signal.SIGTERM, "by SIGTERM"), (-63, "by signal 63")],
)
def test_an_end_in_words(status: int, words: str) -> None:
    assert describe_status(status) == words
