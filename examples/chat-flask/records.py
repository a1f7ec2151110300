"""Who is in which room and what was said there, in an SQLite file that several workers share. Knows no Holdfast."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator
from dataclasses import dataclass

DATABASE = os.environ.get("CHAT_DATABASE", "chat.sqlite")
LOCK_LIMIT = 10  # seconds to wait for another worker's change
KEPT = 100  # messages of a room
SILENT = 100  # seconds after which a member that was not seen is taken for gone

TABLES = (
    "CREATE TABLE IF NOT EXISTS member (client TEXT PRIMARY KEY, room TEXT, name TEXT, seen REAL)",
    "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, room TEXT, name TEXT, text TEXT)",
    "CREATE INDEX IF NOT EXISTS message_of_room ON message (room, id)",
)


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said. The id is the time in milliseconds: it goes on growing when the file is lost."""

    id: int
    name: str
    text: str


class Records:
    """What is read and changed in one transaction. A client is named by its Connection-Id."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add_member(self, client: str, room: str, name: str) -> None:
        """Note that a client is in a room, under a name."""
        self._database.execute("INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?)", (client, room, name, time.time()))

    def remove_member(self, client: str) -> bool:
        """Forget a client; False if it was no member."""
        return self._database.execute("DELETE FROM member WHERE client = ?", (client,)).rowcount > 0

    def see_member(self, client: str) -> bool:
        """Note that a client is still there; False if it is no member."""
        return self._database.execute("UPDATE member SET seen = ? WHERE client = ?", (time.time(), client)).rowcount > 0

    def remove_silent_members(self, room: str) -> bool:
        """Forget those of whose end nobody has told us, as when Holdfast was killed; False if there are none."""
        limit = time.time() - SILENT
        return self._database.execute("DELETE FROM member WHERE room = ? AND seen < ?", (room, limit)).rowcount > 0

    def name_of(self, client: str) -> str | None:
        """Return a member's name; None if the client is no member."""
        row = self._database.execute("SELECT name FROM member WHERE client = ?", (client,)).fetchone()
        return row and str(row[0])

    def names(self, room: str) -> tuple[str, ...]:
        """Return the names of a room's members."""
        rows = self._database.execute("SELECT DISTINCT name FROM member WHERE room = ? ORDER BY name", (room,))
        return tuple(name for (name,) in rows)

    def add_message(self, room: str, name: str, text: str) -> Message:
        """Keep a message, and forget the oldest."""
        (newest,) = self._database.execute("SELECT COALESCE(MAX(id), 0) FROM message").fetchone()
        message = Message(max(newest + 1, time.time_ns() // 1_000_000), name, text)
        self._database.execute("INSERT INTO message VALUES (?, ?, ?, ?)", (message.id, room, name, text))
        forget = """DELETE FROM message WHERE room = ?1 AND id <=
            (SELECT id FROM message WHERE room = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"""
        self._database.execute(forget, (room, KEPT))
        return message

    def messages(self, room: str, after: int) -> tuple[Message, ...]:
        """Return those of a room's messages whose id is above `after`."""
        query = "SELECT id, name, text FROM message WHERE room = ? AND id > ? ORDER BY id"
        return tuple(Message(*row) for row in self._database.execute(query, (room, after)))


@contextlib.contextmanager
def changing() -> Generator[Records]:
    """Yield the records, which all other workers leave alone meanwhile. An exception takes the changes back."""
    with contextlib.closing(sqlite3.connect(DATABASE, timeout=LOCK_LIMIT, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        with database:
            for table in TABLES:
                database.execute(table)
            yield Records(database)
