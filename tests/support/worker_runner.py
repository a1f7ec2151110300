"""A worker of an app under test: `python -m tests.support.worker_runner NAME`, started by the app as its own worker.

NAME is that of the runner's abstract socket (`team`): the first line from there says what time it is, each further one
is a command, answered with one line. Everything else is as in `proxy.workers.worker`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from random import Random
from typing import Any

import uvloop

from proxy.log import configure
from proxy.workers.start import WorkerStart, read_start
from proxy.workers.worker import Worker, ignore_terminal, run_worker
from tests.support.clock import START, WALL_START, ManualClock
from tests.support.inspection import abort_during_fanout, by_name, live_objects, resident_bytes
from tests.support.turns import settle


class WorkerRunner:
    """Owns the worker and answers commands one after the other."""

    def __init__(self, worker: Worker, clock: ManualClock | None) -> None:
        self._worker = worker
        self._clock = clock

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until nobody asks."""
        while line := await reader.readline():
            ((name, value),) = json.loads(line).items()
            writer.write(json.dumps(await self._answer(name, value)).encode() + b"\n")
        writer.close()

    async def _answer(self, name: str, value: Any) -> object:
        match name:
            case "settle":
                await settle()
                return self._worker.settle()
            case "advance_to":
                assert self._clock is not None, "the app runs on the real clock"
                self._clock.advance_to(value)
                await settle()
                return None
            case "next_due":
                assert self._clock is not None, "the app runs on the real clock"
                return self._clock.next_due()
            case "memory":
                return resident_bytes()
            case "counters":
                return by_name(self._worker.counters)
            case "gc":
                return live_objects(value)
            case "abort_during_fanout":
                assert self._worker.side is not None, "it serves"
                abort_during_fanout(self._worker.side.edge, value)
                return None
            case _:
                raise ValueError(f"no such command: {name}")


async def run(start: WorkerStart, name: str) -> int:
    runner = socket.socket(socket.AF_UNIX)
    runner.connect("\0" + name)
    reader, writer = await asyncio.open_unix_connection(sock=runner)
    told = json.loads(await reader.readline())
    clock = None
    if told["now"] is not None:
        clock = ManualClock(start=told["now"], wall=WALL_START - START + told["now"])
    seed = told["seed"]
    random = (lambda: 0.0) if seed is None else Random(seed + start.number).random
    worker = Worker(start, clock=clock, random=random, counts_interval=0.0)
    serving = asyncio.create_task(WorkerRunner(worker, clock).serve(reader, writer))
    try:
        return await run_worker(worker, sys.stdin.fileno())
    finally:
        serving.cancel()


def main() -> int:
    """Run one worker, on uvloop unless HOLDFAST_TEST_LOOP=asyncio."""
    ignore_terminal()
    start = read_start(sys.stdin.buffer)
    configure(start.settings.log, sys.stderr)
    is_asyncio = os.environ.get("HOLDFAST_TEST_LOOP", "uvloop") == "asyncio"
    with asyncio.Runner(loop_factory=None if is_asyncio else uvloop.new_event_loop) as runner:
        return runner.run(run(start, sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
