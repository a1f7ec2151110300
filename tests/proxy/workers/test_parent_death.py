"""A process that can notice nothing ends with its parent all the same."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

from tests.support.app_process import ROOT
from tests.support.patience import bounded

ASK = "from proxy.workers.parent_death import die_with_parent\n"
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-P", "-c", sys.argv[1]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
child.stdout.readline()
os.write(1, b"%d\\n" % child.pid)
sys.stdin.read()
"""
STOPPED = (
    ASK
    + "import os, signal\nassert die_with_parent()\nprint('asked', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)\n"
)
WITHOUT = (
    "import logging, sys\nlogging.basicConfig(level='DEBUG')\nsys.modules['ctypes'] = None\n"
    + ASK
    + "assert die_with_parent()\n"
)


async def run(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


async def test_one_that_is_stopped_ends_with_its_parent() -> None:
    parent = await run(PARENT, STOPPED)
    assert parent.stdout is not None
    async with bounded():
        pid = int(await parent.stdout.readline())
        try:
            end = os.pidfd_open(pid)
            parent.kill()
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(end, ended.set)
            await ended.wait()
            asyncio.get_running_loop().remove_reader(end)
            os.close(end)
            await parent.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise


async def test_where_it_cannot_be_asked_for_the_worker_serves_and_says_so() -> None:
    process = await run(WITHOUT)
    async with bounded():
        _, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert b"a worker that hangs may outlive its parent" in errors
