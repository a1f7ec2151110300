"""Look-ups and pages of an embedded history, on threads and connections of their own.

Called by `embedded`. The write-ahead log lets them read while a commit runs, and each reading begins afresh, so that it
sees all that is committed. None is kept open: that would keep the log from being written back.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from handlers.engines.embedded_rows import READ_COLUMNS, decode_rows, needles_of
from handlers.engines.engine import Selection, Wanted
from handlers.errors import StorageError
from handlers.protocol.mercure.update import StoredUpdate
from handlers.protocol.names import EventId

T = TypeVar("T")

THREADS = 2
"""One for pages and one for look-ups, so that who comes now doesn't wait for the pages of those that came before. More
would read no faster: they share the interpreter."""

PAGE_BYTES = 1024 * 1024

FIND: Final = "SELECT min(seq) FROM updates WHERE id = ?"

# One row of JSON, not a row for each update: the interpreter's lock is given away at each row, and winning it back from
# a busy event loop takes 5 ms. Its last row is chosen first, so that no data is looked at in vain: the page ends before
# the update that would pass PAGE_BYTES, and has one at least.
_PAGE: Final = f"""
    SELECT CAST(json_group_array(json_array({READ_COLUMNS})) AS BLOB) FROM (
        SELECT * FROM updates WHERE seq > ?1 AND seq <= (
            SELECT max(seq) FROM (
                SELECT seq, sum(size) OVER (ORDER BY seq) AS reach, row_number() OVER (ORDER BY seq) AS number FROM (
                    SELECT seq, size FROM updates
                    WHERE seq > ?1 AND seq <= ?2 AND (?4 OR presence IS NULL) ORDER BY seq LIMIT ?3
                )
            ) WHERE number = 1 OR reach <= {PAGE_BYTES}
        ) AND (?4 OR presence IS NULL) ORDER BY seq
    )
"""  # noqa: S608  # constants


SPAN = 20_000
"""Places that one selection looks at: about 10 ms, in which nobody else is given a page."""

# What is wanted is picked out by the text of its topics, of all rows: in SQLite, a thirtieth of what it costs to make
# values of them, and while the event loop runs. An index would have to be kept at every commit.
SELECT: Final = f"""
    WITH span(first, last) AS (
        SELECT seq, min(?2, seq + {SPAN}) FROM updates WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT 1
    ), found(seq, size) AS MATERIALIZED (
        SELECT updates.seq, size FROM span, updates
        WHERE updates.seq >= first AND updates.seq <= last AND (?4 OR presence IS NULL) AND (%s)
        ORDER BY updates.seq LIMIT ?3
    ), fitting(seq) AS (
        SELECT seq FROM (
            SELECT seq, sum(size) OVER (ORDER BY seq) AS reach, row_number() OVER (ORDER BY seq) AS number FROM found
        ) WHERE number = 1 OR reach <= {PAGE_BYTES}
    )
    SELECT (SELECT first FROM span), (SELECT last FROM span), (SELECT count(*) FROM found), (
        SELECT CAST(json_group_array(json_array({READ_COLUMNS})) AS BLOB) FROM (
            SELECT * FROM updates WHERE seq IN (SELECT seq FROM fitting) ORDER BY seq
        )
    )
"""  # noqa: S608  # constants


class Reader:
    """Reads the history at `path`, which is open for writing in this process. `close` comes last, and blocks."""

    def __init__(self, path: Path) -> None:
        """Raises StorageError."""
        self._connections: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._paging = ThreadPoolExecutor(1, thread_name_prefix="holdfast-history-pages")
        self._finding = ThreadPoolExecutor(1, thread_name_prefix="holdfast-history-look-ups")
        try:
            for _ in range(THREADS):
                self._connections.put(_connect(path))
        except sqlite3.Error as error:
            self.close()
            raise StorageError(str(error)) from error

    async def find(self, event_id: EventId) -> int | None:
        """Return the place of the first update with this id."""
        try:
            event_id.encode()
        except UnicodeEncodeError:
            return None  # Such an id is never stored.
        return await self._run(self._finding, _find, event_id)

    async def read(self, after: int, upto: int, limit: int, *, with_presence: bool) -> tuple[StoredUpdate, ...]:
        """Return a page."""
        return await self._run(self._paging, _read, after, upto, limit, with_presence)

    async def select(self, after: int, upto: int, limit: int, wanted: Wanted, *, with_presence: bool) -> Selection:
        """Return what is wanted of the next SPAN places."""
        return await self._run(self._paging, _select, (after, upto, limit, with_presence), needles_of(wanted))

    async def oldest(self) -> int | None:
        """Return the first place that is kept."""
        return await self._run(self._finding, _oldest)

    def close(self) -> None:
        """Wait for what is being read, and close the connections. Blocks."""
        for threads in (self._paging, self._finding):
            threads.shutdown(wait=True)
        while not self._connections.empty():
            self._connections.get().close()

    async def _run(self, threads: Executor, read: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, self._borrow, read, arguments)

    def _borrow(self, read: Callable[..., T], arguments: tuple[object, ...]) -> T:
        # There are as many connections as threads, so one is free.
        connection = self._connections.get()
        try:
            return read(connection, *arguments)
        except sqlite3.Error as error:
            raise StorageError(str(error)) from error
        finally:
            self._connections.put(connection)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)


def _find(connection: sqlite3.Connection, event_id: str) -> int | None:
    return _place(connection, FIND, event_id)


def _oldest(connection: sqlite3.Connection) -> int | None:
    return _place(connection, "SELECT min(seq) FROM updates")


def _read(
    connection: sqlite3.Connection, after: int, upto: int, limit: int, with_presence: bool
) -> tuple[StoredUpdate, ...]:
    ((page,),) = connection.execute(_PAGE, (after, upto, limit, with_presence)).fetchall()
    return decode_rows(page)


def _select(connection: sqlite3.Connection, bounds: tuple[int, int, int, bool], needles: tuple[str, ...]) -> Selection:
    after, upto, limit, _ = bounds
    sql = SELECT % " OR ".join(f"instr(topics, ?{number})" for number in range(5, 5 + len(needles)))
    ((first, last, found, page),) = connection.execute(sql, (*bounds, *needles)).fetchall()
    updates = decode_rows(page)
    if first is None:
        return Selection(updates=(), reached=upto, is_trimmed=after < upto)
    is_all = found == len(updates) < limit
    return Selection(updates=updates, reached=last if is_all else updates[-1].seq, is_trimmed=first > after + 1)


def _place(connection: sqlite3.Connection, sql: str, *arguments: str) -> int | None:
    ((seq,),) = connection.execute(sql, arguments).fetchall()
    place: int | None = seq
    return place
