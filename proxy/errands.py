"""The tasks that the clients' door runs for connections it holds: requests that tell a backend of their events.

They are owned here, so that none is lost to the garbage collector, and a process that stops can wait for them.
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
        self._idle = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, errand: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run `errand` in a task of its own."""
        task = asyncio.create_task(errand, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def all_done(self) -> None:
        """Wait until no task runs."""
        while self._tasks:
            self._idle.clear()
            await self._idle.wait()

    def cancel_all(self) -> None:
        """Cancel every task that runs."""
        for task in self._tasks:
            task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
        if not self._tasks:
            self._idle.set()
