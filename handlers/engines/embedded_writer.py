"""The thread that writes an embedded history: it commits batches, and has the event loop deliver them.

A batch is what was appended while the commit before it ran. There is no timer: a lone update waits for nothing, and
with many publishers one sync serves them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handlers.engines.embedded_rows import Row
from handlers.engines.embedded_table import Table
from handlers.engines.engine import Committed, fail
from handlers.errors import StorageError
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.mercure.update_run import is_alike

log = logging.getLogger("holdfast.history")

LONGEST_BATCH = 1000
LARGEST_BATCH = 16 * 1024 * 1024
"""Bytes, about: the update that passes it is the batch's last."""

LONGEST_SLICE = 8
MOST_IN_SLICE = 64
LARGEST_SLICE = 256 * 1024
"""What of a batch is delivered in one turn of the loop: between two turns it reads, writes and sees to its timers. Each
run of updates that are alike is a walk over every receiver, each update a line in the log, and the bytes are about."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pending:
    """An update on its way to the disk."""

    update: Update
    row: Row
    future: asyncio.Future[StoredUpdate]


Slice = tuple[tuple[Pending, StoredUpdate | str], ...]
"""Updates with what became of them: their place, or why they are not stored."""


class Writer:
    """Runs the thread. `submit` and `finish` are for one thread of the caller's; `finish` comes last."""

    def __init__(self, table: Table, on_committed: Committed) -> None:
        self._table = table
        self._on_committed = on_committed
        self._backlog: deque[Slice] = deque()
        self._is_going_on = False
        self._queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        # A daemon: a process that ends without `close` must not wait for it for ever.
        self._thread = threading.Thread(target=self._run, name="holdfast-history", daemon=True)
        self._thread.start()

    def submit(self, pending: Pending) -> None:
        """Have `pending` written behind all that were submitted before it."""
        self._queue.put(pending)

    def finish(self) -> None:
        """Wait until everything submitted is written, and the thread has ended. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            stored, reason = self._write(batch)
            # Fails where the loop has been closed before the engine: then nobody waits any more.
            with contextlib.suppress(RuntimeError):
                batch[0].future.get_loop().call_soon_threadsafe(self._settle, batch, stored, reason)

    def _next_batch(self) -> list[Pending]:
        """Wait for one update, and take those that are there with it. Empty when `finish` was called."""
        batch: list[Pending] = []
        size = 0
        pending = self._queue.get()
        while pending is not None:
            batch.append(pending)
            size += pending.row.size
            if len(batch) == LONGEST_BATCH or size >= LARGEST_BATCH:
                return batch
            try:
                pending = self._queue.get_nowait()
            except queue.Empty:
                return batch
        # The end, to be met again once this batch is written.
        self._queue.put(None)
        return batch

    def _write(self, batch: Sequence[Pending]) -> tuple[list[StoredUpdate], str]:
        """Commit a batch; return what is stored, and if that is nothing, why."""
        try:
            first = self._table.append([pending.row for pending in batch])
        except StorageError as error:
            log.error("history updates=%d not stored: %s", len(batch), error)
            return [], str(error)
        except Exception as error:  # the root of the thread, which has to go on
            log.exception("history updates=%d not stored", len(batch))
            return [], f"{type(error).__name__}: {error}"
        return [StoredUpdate(seq=seq, update=pending.update) for seq, pending in enumerate(batch, first)], ""

    def _settle(self, batch: Sequence[Pending], stored: Sequence[StoredUpdate], reason: str) -> None:
        """Deliver what is stored, then tell the publishers, slice by slice. Runs on the loop."""
        if stored:
            self._backlog.extend(slices(tuple(zip(batch, stored, strict=True))))
        else:
            self._backlog.append(tuple((pending, reason) for pending in batch))
        if not self._is_going_on:
            self._go_on()

    def _go_on(self) -> None:
        self._is_going_on = False
        try:
            if self._backlog:
                self._deliver(self._backlog.popleft())
        finally:
            if self._backlog:
                self._is_going_on = True
                asyncio.get_running_loop().call_soon(self._go_on)

    def settle_rest(self) -> None:
        """Deliver at once what waits for its turn: the end. Runs on the loop."""
        while self._backlog:
            self._deliver(self._backlog.popleft())

    def _deliver(self, piece: Slice) -> None:
        stored = [each for _, each in piece if isinstance(each, StoredUpdate)]
        try:
            if stored:
                self._on_committed(stored)
        finally:
            # Stored they are, whatever became of the delivery. A publisher may have gone and cancelled his future.
            for pending, outcome in piece:
                if isinstance(outcome, str):
                    fail(pending.future, outcome)
                elif not pending.future.done():
                    pending.future.set_result(outcome)


def slices(outcomes: Slice) -> Iterator[Slice]:
    """Yield `outcomes` in pieces that can be delivered in one turn each."""
    begin = size = runs = 0
    last: Update | None = None
    for end, (pending, _) in enumerate(outcomes):
        runs += last is None or not is_alike(last, pending.update)
        if runs > LONGEST_SLICE or end - begin == MOST_IN_SLICE or size >= LARGEST_SLICE:
            yield outcomes[begin:end]
            begin, size, runs = end, 0, 1
        size += pending.row.size
        last = pending.update
    if begin < len(outcomes):
        yield outcomes[begin:]
