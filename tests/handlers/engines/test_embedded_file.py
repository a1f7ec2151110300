"""The history's file: who may open it, what it must be, and what an operator reads when it is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.embedded_file import APPLICATION, LOG_LIMIT, VERSION, HistoryFile
from handlers.errors import StorageError
from tests.handlers.engines.updates import NOW, History, update


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def refusal(path: Path) -> str:
    """Return the text of the refusal, without the path that it begins with."""
    with pytest.raises(StorageError) as caught:
        EmbeddedEngine(path).open(lambda _: None, at=NOW)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("synced", "level"), [(True, 2), (False, 1)])
def test_a_new_file_is_made_as_promised(path: Path, synced: bool, level: int) -> None:
    with closing(HistoryFile(path, synced=synced)) as file:
        assert pragma(file.connection, "journal_mode") == "wal"
        assert pragma(file.connection, "synchronous") == level
        assert pragma(file.connection, "journal_size_limit") == LOG_LIMIT
        assert pragma(file.connection, "user_version") == VERSION
        assert pragma(file.connection, "application_id") == APPLICATION


async def test_its_files_are_for_their_owner_alone(path: Path) -> None:
    mask = os.umask(0)
    try:
        async with History(EmbeddedEngine(path)) as history:
            await history.append(update(1))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(mask)
    assert modes == dict.fromkeys(("history.db", "history.db-lock", "history.db-shm", "history.db-wal"), 0o600)


async def test_closing_puts_the_log_back_into_the_file(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(update(1))
        await history.engine.find(update(1).id)
    assert {file.name for file in path.parent.iterdir()} == {"history.db", "history.db-lock"}


def test_a_file_in_use_is_refused(path: Path) -> None:
    with closing(HistoryFile(path, synced=True)):
        assert refusal(path) == "in use by another process"
    HistoryFile(path, synced=True).close()


def test_a_file_in_use_is_refused_under_another_name_too(path: Path) -> None:
    other = path.with_name("link.db")
    other.symlink_to(path.name)
    with (
        closing(HistoryFile(other, synced=True)),
        pytest.raises(StorageError, match=f"^{path}: in use by another process"),
    ):
        HistoryFile(path, synced=True)


def test_a_relative_path_is_refused_in_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with closing(HistoryFile(path, synced=True)), pytest.raises(StorageError, match=f"^{path}: "):
        HistoryFile(Path(path.name), synced=True)


def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "a b?mode=memory#c%41é.db")
    assert engine.open(lambda _: None, at=NOW).last_seq == 0
    assert (tmp_path / "a b?mode=memory#c%41é.db").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no/history.db") == f"the folder {tmp_path / 'no'} does not exist"
    assert not (tmp_path / "no").exists()


def test_a_folder_is_refused(path: Path) -> None:
    path.mkdir()
    assert refusal(path) == "is a directory"


def test_where_nothing_may_be_written_the_system_s_reason_is_told() -> None:
    # sysfs lets nobody make files, not even root.
    assert refusal(Path("/sys/history.db")) in {"permission denied", "read-only file system"}


@pytest.mark.parametrize("content", [b"no database", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refusal(path) in {"file is not a database", "database disk image is malformed"}
    assert path.read_bytes() == content
    # The lock is free again.
    assert refusal(path) != "in use by another process"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("CREATE TABLE updates (seq)", "is the database of another program"),
        (f"PRAGMA application_id = 7; PRAGMA user_version = {VERSION}; CREATE TABLE a (b)", "is the database of"),
        (
            f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION + 1}; CREATE TABLE a (b)",
            f"was written by a newer Holdfast (format {VERSION + 1}; this one knows up to {VERSION})",
        ),
    ],
)
def test_what_this_version_does_not_know_is_refused_and_left_alone(path: Path, sql: str, reason: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
    content = path.read_bytes()
    assert refusal(path).startswith(reason)
    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_history(path: Path) -> None:
    path.touch()
    with closing(HistoryFile(path, synced=True)) as file:
        assert pragma(file.connection, "user_version") == VERSION


async def test_a_damaged_table_is_refused(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(10)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE subscriptions")
    assert refusal(path) == "no such table: subscriptions"
    # The lock is free again.
    assert refusal(path) != "in use by another process"


async def test_a_subscription_that_something_else_wrote_is_refused(path: Path) -> None:
    async with History(EmbeddedEngine(path)):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO subscriptions VALUES ('a', 'exact', 'b', 'no JSON')")
    assert refusal(path).startswith("a subscription cannot be read: ")
