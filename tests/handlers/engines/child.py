"""What the tests run in a process of its own, on an embedded history: `python -m` this module, what, and the file.

What is found is written to standard output as JSON. The tests that start it judge.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import itertools
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from handlers.engines.embedded import EmbeddedEngine
from tests.handlers.engines.disk import Disk
from tests.handlers.engines.updates import NOW, History, ids, update

PUBLISHERS = 64


def tell(found: object) -> None:
    """Write a line."""
    # One call: publishers' lines don't mix, and what is written is out even if the process is killed next.
    os.write(1, f"{json.dumps(found)}\n".encode())


async def storm(path: Path) -> None:
    """Append for ever, and write each id, a line each, as soon as it is acknowledged."""
    numbers = itertools.count()
    async with History(EmbeddedEngine(path)) as history:
        tell({"begun with": history.opened.last_seq})

        async def publish() -> None:
            for number in numbers:
                (stored,) = await history.append(update(number, data=f"{os.getpid()}"))
                tell([stored.seq, number, os.getpid()])

        async with asyncio.TaskGroup() as publishers:
            for _ in range(PUBLISHERS):
                publishers.create_task(publish())


async def count_syncs(path: Path) -> None:
    """Append alone and with many at once; tell the syncs from each call to its answer."""
    disk = Disk()
    for durability in ("disk", "process"):
        async with History(EmbeddedEngine(path, durability=durability)) as history:

            async def publish(number: int, history: History = history) -> int:
                before = disk.syncs
                await history.append(update(number))
                return disk.syncs - before

            alone = [await publish(number) for number in range(50)]

            async def publish_some(publish: Callable[[int], Awaitable[int]] = publish) -> list[int]:
                return [await publish(number) for number in range(20)]

            before = disk.syncs
            together = await asyncio.gather(*(publish_some() for _ in range(PUBLISHERS)))
            found = {
                "alone": alone,
                "together": [*itertools.chain(*together)],
                "syncs together": disk.syncs - before,
                "batches": history.batches[len(alone) :],
            }
            tell({durability: found})


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond `size` bytes. Python ignores the signal, so that the write fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def fail(path: Path, spoil: Callable[[], None], mend: Callable[[], None]) -> None:
    """Append while the disk works, while it doesn't, and while it does again; tell what became of it all."""
    lines: list[str] = []
    noted = logging.Handler()
    noted.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("holdfast").addHandler(noted)
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(3)))
        spoil()
        refused = []
        for start in (100, 120):
            futures = [history.engine.append(update(number), at=NOW) for number in range(start, start + 20)]
            refused += await asyncio.gather(*futures, return_exceptions=True)
        while_spoilt = await history.kept()
        mend()
        await history.append(*map(update, range(3, 6)))
        found = {
            "refused": [f"{type(each).__name__}: {each}" for each in refused],
            "kept while spoilt": ids(while_spoilt),
            "delivered": ids(history.delivered),
            "kept": ids(await history.kept()),
            "lines": lines,
        }
    tell(found)


async def fill_disk(path: Path) -> None:
    disk = Disk()
    await fail(path, lambda: disk.refuse_writes(errno.ENOSPC), lambda: disk.refuse_writes(0))
    assert disk.refusals > 0


async def break_disk(path: Path) -> None:
    disk = Disk()
    await fail(path, lambda: disk.refuse_syncs(errno.EIO), lambda: disk.refuse_syncs(0))
    assert disk.refusals > 0


async def die_on_broken_disk(path: Path) -> None:
    """Have appends refused because they can't be synced, and be killed before anything else is written."""
    disk = Disk()
    async with History(EmbeddedEngine(path)) as history:
        await history.append(update(1))
        disk.refuse_syncs(errno.EIO)
        futures = [history.engine.append(update(number), at=NOW) for number in range(10, 60)]
        refused = await asyncio.gather(*futures, return_exceptions=True)
        tell({"refused": [type(each).__name__ for each in refused], "delivered": ids(history.delivered)})
        os.kill(os.getpid(), signal.SIGKILL)


async def bound_files(path: Path) -> None:
    await fail(path, functools.partial(limit_files, 4096), functools.partial(limit_files, resource.RLIM_INFINITY))


if __name__ == "__main__":
    ways = {
        "storm": storm,
        "syncs": count_syncs,
        "full": fill_disk,
        "broken": break_disk,
        "broken and killed": die_on_broken_disk,
        "bounded": bound_files,
    }
    asyncio.run(ways[sys.argv[1]](Path(sys.argv[2])))
