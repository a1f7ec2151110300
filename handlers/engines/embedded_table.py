"""The transaction of an embedded history: append rows, note which subscriptions are alive, trim to the limits.

Called by the thread that writes, and once at the start. A transaction happens whole or not at all, and costs a few
statements however many rows it has: each statement gives the interpreter's lock away and has to win it back, which
takes 5 ms while the event loop is busy. So rows are inserted many with one statement, a statement that is all there is
to do is not wrapped in a transaction, being one by itself, and trimming looks at no rows but those that go.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from handlers.engines.embedded_file import VERSION
from handlers.engines.embedded_rows import LiveKey, Row, decode_subscription
from handlers.engines.engine import Limits, Opened
from handlers.errors import StorageError
from handlers.protocol.mercure.update import ActiveSubscription
from handlers.protocol.names import EventId

LARGEST_INSERT = 256
"""Rows of one statement; a power of two, as all are that are many, so that few statements have to be kept ready."""
FEW = 16
"""Rows up to which any number has a statement of its own."""

_INSERT = """INSERT INTO updates
    (seq, at, size, bytes_before, private, retry, type, id, topics, presence, data) VALUES """
# The sequence remembers the last place even where someone has emptied the table by hand.
_LOAD = """SELECT
    (SELECT min(seq) FROM updates),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'updates'), 0),
    coalesce((SELECT bytes_before + size FROM updates ORDER BY seq DESC LIMIT 1), 0)"""

_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

# Walked from the oldest (a `+` keeps SQLite from any other way), and what comes before the first that stays is to go.
_FIRST_TO_STAY = """SELECT seq FROM updates
    WHERE +seq = ? OR (+seq > ? AND bytes_before >= ? AND at >= ?) ORDER BY seq LIMIT 1"""


LONGEST_TRIM = 10_000
"""Rows that one commit deletes at most: more than one can add, and few enough that no publisher waits for what a silent
week has left. The next commits go on."""


@dataclass(frozen=True, slots=True)
class _Span:
    """What the table holds: places `first` to `last`, and `end`, the size of all updates since the first ever."""

    first: int
    last: int
    end: int


class Table:
    """The tables of one history, and what is known of them. Not to be used by two threads at once."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._span: _Span | None = None

    def open(self, at: float) -> Opened:
        """Trim, and tell what there is. Raises StorageError, also when the file can't be written."""
        with self._transaction():
            span = self._trim(self._load(), at, most=None)
            subscriptions = self._subscriptions()
            newest = self._connection.execute("SELECT id FROM updates ORDER BY seq DESC LIMIT 1").fetchall()
        self._span = span
        return Opened(
            last_seq=span.last, last_id=EventId(newest[0][0]) if newest else None, subscriptions=subscriptions
        )

    def append(self, rows: Sequence[Row]) -> int:
        """Store `rows`, at least one, in their order; return the place of the first. Raises StorageError."""
        # Unknown while it is being changed: after a failure it is asked of the file again.
        before, self._span = self._span, None
        try:
            if before is not None and self._is_one_statement(rows):
                with reported():
                    self._span = self._insert(before, rows)
            else:
                with self._transaction():
                    before = before or self._load()
                    span = self._trim(self._insert(before, rows), rows[-1].at, most=LONGEST_TRIM)
                    self._note_subscriptions(rows)
                self._span = span
        except StorageError:
            self._cover()
            raise
        return before.last + 1

    def _is_one_statement(self, rows: Sequence[Row]) -> bool:
        """Say whether there is nothing to do but to insert `rows`, and that all at once."""
        limits, count = self._limits, len(rows)
        if limits.size or limits.age or limits.bytes or largest_insert(count) != count:
            return False
        return all(row.key is None for row in rows)

    def _cover(self) -> None:
        """Overwrite what a failed transaction may have left in the log.

        Where the sync alone failed it is all there, and a process killed next would leave it to be taken for committed.
        Any other transaction is written in its place, whether or not that can be synced.
        """
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        with reported():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite has often rolled back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _load(self) -> _Span:
        ((first, last, end),) = self._connection.execute(_LOAD).fetchall()
        return _Span(last + 1 if first is None else first, last, end)

    def _insert(self, span: _Span, rows: Sequence[Row]) -> _Span:
        last, end, done = span.last, span.end, 0
        while done < len(rows):
            count = largest_insert(len(rows) - done)
            values: list[object] = []
            for row in rows[done : done + count]:
                last += 1
                values += (last, row.at, row.size, end, row.private, row.retry, row.type, row.id)
                values += (row.topics, row.presence, row.data)
                end += row.size
            self._connection.execute(_INSERT + ", ".join([_VALUES] * count), values)
            done += count
        return _Span(span.first, last, end)

    def _trim(self, span: _Span, at: float, *, most: int | None) -> _Span:
        """Delete the oldest rows until the limits allow what is left, or only the newest is left; `most` at once."""
        limits = self._limits
        if not (limits.size or limits.age or limits.bytes):
            return span
        above = span.last - limits.size if limits.size else -1
        bytes_before = span.end - limits.bytes if limits.bytes else -1
        since = at - limits.age if limits.age else -math.inf
        stays = self._connection.execute(_FIRST_TO_STAY, (span.last, above, bytes_before, since)).fetchall()
        if not stays or stays[0][0] <= span.first:
            return span
        first = stays[0][0] if most is None else min(stays[0][0], span.first + most)
        self._connection.execute("DELETE FROM updates WHERE seq < ?", (first,))
        return _Span(first, span.last, span.end)

    def _note_subscriptions(self, rows: Sequence[Row]) -> None:
        # Of one that comes and goes within the batch, only the end counts.
        changed = {row.key: row.payload for row in rows if row.key is not None}
        if not changed:
            return
        gone = [key for key, payload in changed.items() if payload is None]
        alive = [(*key, payload) for key, payload in changed.items() if payload is not None]
        self._connection.executemany("DELETE FROM subscriptions WHERE subscriber = ? AND kind = ? AND value = ?", gone)
        self._connection.executemany("INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?)", alive)

    def _subscriptions(self) -> tuple[ActiveSubscription, ...]:
        rows = self._connection.execute("SELECT subscriber, kind, value, payload FROM subscriptions").fetchall()
        return tuple(decode_subscription(LiveKey(*key), payload) for *key, payload in rows)


def largest_insert(count: int) -> int:
    """Return how many of `count` rows, at least one, the next statement takes."""
    return count if count <= FEW else min(LARGEST_INSERT, 1 << count.bit_length() - 1)


@contextlib.contextmanager
def reported() -> Generator[None]:
    """Turn what SQLite raises into StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(str(error)) from error
