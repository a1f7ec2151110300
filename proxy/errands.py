"""The tasks that the clients' door runs for connections it holds: requests that tell a backend of their events.

They are owned here, so that none is lost to the garbage collector, and a process that stops can wait for them. What is
to be told later, because a backend could not be reached, is a promise: waited for too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("holdfast.errand")


class Errands:
    """Runs coroutines as tasks. Each has to see to its own exceptions; what gets through is a fault of ours."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._promises: set[object] = set()
        self._idle = asyncio.Event()
        self._is_over = False

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def unkept(self) -> int:
        """How many backends are still to be told that a connection has ended."""
        return len(self._promises)

    def start(self, errand: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `errand` in a task of its own, and return that, for who may want to cancel it."""
        task = asyncio.create_task(errand, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def promise(self, by: object) -> None:
        """Note that `by` has something to tell a backend before it is done with; after `cancel_all` it is too late."""
        if not self._is_over:
            self._promises.add(by)

    def fulfil(self, by: object) -> None:
        """Note that `by` has told it, or has given up; harmless when it has promised nothing."""
        self._promises.discard(by)
        self._look()

    async def all_done(self) -> None:
        """Wait until no task runs, and nothing more is to be told."""
        while self._tasks or self._promises:
            self._idle.clear()
            await self._idle.wait()

    def cancel_all(self) -> None:
        """Cancel every task that runs, and forget what is to be told."""
        self._is_over = True
        self._promises.clear()
        for task in self._tasks:
            task.cancel()
        self._look()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
        self._look()

    def _look(self) -> None:
        if not self._tasks and not self._promises:
            self._idle.set()
