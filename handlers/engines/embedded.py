"""The embedded engine: the history in one SQLite file of this machine (write-ahead log), used by one process at a time.

Made by the composition root, called by the hub. SQLite lives on threads: one writes (`embedded_writer`), a few read
(`embedded_reader`), and the event loop waits for none of them. The parts:

    embedded_file      opens and locks the file, and sees to its schema
    embedded_rows      updates as rows, and back
    embedded_table     the table's transaction: append, note who is alive, trim
    embedded_writer    the thread that commits batches
    embedded_reader    look-ups and pages, on connections of their own

The file grows to what the limits keep, and does not shrink: room of trimmed updates is used again.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from handlers.engines.embedded_file import HistoryFile
from handlers.engines.embedded_reader import Reader
from handlers.engines.embedded_rows import encode_row
from handlers.engines.embedded_table import Table
from handlers.engines.embedded_writer import Pending, Writer
from handlers.engines.engine import CLOSED, Committed, Durability, Limits, Opened, Selection, Wanted, fail, refused
from handlers.errors import StorageError
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.names import EventId

log = logging.getLogger("holdfast.history")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """What exists between `open` and `close`."""

    file: HistoryFile
    writer: Writer
    reader: Reader

    def end(self) -> None:
        """Write what is queued, and close everything. Blocks."""
        self.writer.finish()
        self.reader.close()
        # Last: whoever closes the last connection puts the log back into the file, and that can't be a reader.
        self.file.close()


class EmbeddedEngine:
    """Implements `Engine`."""

    def __init__(self, path: Path, *, limits: Limits = Limits(), durability: Durability = "disk") -> None:  # noqa: B008  # frozen
        """`durability`: `disk` syncs before an update counts as stored, `process` survives the process only."""
        self._path = path
        self._limits = limits
        self._durability = durability
        self._running: _Running | None = None

    def open(self, on_committed: Committed, *, at: float) -> Opened:
        """Open the file and trim it; make it if there is none."""
        file = HistoryFile(self._path, synced=self._durability == "disk")
        try:
            table = Table(file.connection, self._limits)
            opened = table.open(at)
            reader = Reader(file.path)
        except StorageError as error:
            file.close()
            raise StorageError(f"{file.path}: {error}") from error
        except BaseException:
            file.close()
            raise
        self._running = _Running(file=file, writer=Writer(table, on_committed), reader=reader)
        return opened

    def append(self, update: Update, *, at: float) -> asyncio.Future[StoredUpdate]:
        """Hand `update` to the thread that writes."""
        if self._running is None:
            return refused(CLOSED)
        future: asyncio.Future[StoredUpdate] = asyncio.get_running_loop().create_future()
        try:
            row = encode_row(update, at=at)
        except StorageError as error:
            # Here, so that one update which can't be written takes no batch with it.
            log.error("history update id=%.200r not stored: %s", update.id, error)
            fail(future, str(error))
        else:
            self._running.writer.submit(Pending(update=update, row=row, future=future))
        return future

    async def find(self, event_id: EventId) -> int | None:
        """Look `event_id` up in the index."""
        return await self._reader().find(event_id)

    async def read(self, after: int, upto: int, limit: int, *, with_presence: bool = True) -> tuple[StoredUpdate, ...]:
        """Read a page."""
        return await self._reader().read(after, upto, limit, with_presence=with_presence)

    async def select(
        self, after: int, upto: int, limit: int, wanted: Wanted, *, with_presence: bool = True
    ) -> Selection:
        """Have SQLite look for what is wanted."""
        return await self._reader().select(after, upto, limit, wanted, with_presence=with_presence)

    async def oldest(self) -> int | None:
        """Return the first place that is kept."""
        return await self._reader().oldest()

    async def close(self) -> None:
        """Write what is queued, put the log back into the file, and unlock it."""
        running, self._running = self._running, None
        if running is not None:
            await asyncio.to_thread(running.end)
            running.writer.settle_rest()

    def _reader(self) -> Reader:
        if self._running is None:
            raise StorageError(CLOSED)
        return self._running.reader
