"""The file of an embedded history: opened by one process at a time, and with the schema that this version knows.

Used by `embedded` alone. Refuses, with a text for the operator, what is not a history, what a newer version wrote, and
what another process has open.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

from handlers.errors import StorageError

APPLICATION = 0x486F6C64
"""SQLite's `application_id`: a file without it, which has tables, is another program's."""

VERSION = 1
"""SQLite's `user_version`: the schema below."""

LOG_LIMIT = 16 * 1024 * 1024
"""Bytes that the write-ahead log keeps on the disk once it is written back; SQLite writes it back at 4 MB."""

# `bytes_before` is the size of all updates before this one since the first ever: a sum over any stretch of rows is a
# subtraction. What trimming looks at stands before what may be long, so that it never reads the long part.
SCHEMA = """
    CREATE TABLE updates (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, size INTEGER NOT NULL, bytes_before INTEGER NOT NULL,
        private INTEGER NOT NULL, retry TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, topics TEXT NOT NULL,
        presence TEXT, data TEXT NOT NULL
    ) STRICT;
    CREATE INDEX updates_by_id ON updates (id);
    CREATE TABLE subscriptions (
        subscriber TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, payload TEXT NOT NULL,
        PRIMARY KEY (subscriber, kind, value)
    ) STRICT, WITHOUT ROWID;
"""


class HistoryFile:
    """The open file. `connection` is the one that writes; it begins and ends its transactions itself."""

    def __init__(self, path: Path, *, synced: bool) -> None:
        """Raises StorageError. `synced`: a commit is on the disk when it returns."""
        # In full, and without symbolic links: where it leads is what the operator has to find out.
        self.path = Path(os.path.realpath(path))
        try:
            self._lock = _lock(self.path)
            try:
                _create(self.path)
                self.connection = _connect(self.path, synced=synced)
            except BaseException:
                os.close(self._lock)
                raise
        except StorageError as error:
            raise StorageError(f"{self.path}: {error}") from error
        except OSError as error:
            raise StorageError(f"{self.path}: {_reason(self.path, error)}") from error

    def close(self) -> None:
        """Close the connection, and let other processes have the file."""
        try:
            self.connection.close()
        finally:
            os.close(self._lock)


def _lock(path: Path) -> int:
    """Lock a file beside the history; return its descriptor.

    The kernel lets go of it when the process ends, in whatever way. The history itself can't carry the lock: closing
    any descriptor of that file drops the locks which SQLite has on it. The file beside it stays: removing it is a race.
    """
    descriptor = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StorageError("in use by another process") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _create(path: Path) -> None:
    """Make the file if there is none, for this user alone: SQLite gives its log the same mode.

    One that is there is opened too, since the system's reason for refusing says more than SQLite's.
    """
    is_new = not path.exists()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if not is_new:
        return
    # A new file's name is safe only once its folder is on the disk.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _connect(path: Path, *, synced: bool) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StorageError(str(error)) from error
    try:
        _prepare(connection, synced=synced)
    except sqlite3.Error as error:
        connection.close()
        raise StorageError(str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, *, synced: bool) -> None:
    """Check whose file it is before anything in it is changed, then set it up."""
    application, version, tables = (
        _value(connection, "PRAGMA application_id"),
        _value(connection, "PRAGMA user_version"),
        _value(connection, "SELECT count(*) FROM sqlite_schema"),
    )
    if tables and application != APPLICATION:
        raise StorageError("is the database of another program")
    if version > VERSION:
        raise StorageError(f"was written by a newer Holdfast (format {version}; this one knows up to {VERSION})")
    mode = _value(connection, "PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise StorageError("cannot have a write-ahead log there: a network file system has none")
    connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
    if not tables:
        connection.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
        )


def _value(connection: sqlite3.Connection, sql: str) -> Any:
    (row,) = connection.execute(sql).fetchall()
    return row[0]


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"the folder {path.parent} does not exist"
    return (error.strerror or str(error)).lower()
