"""Reading: pages bounded by count and bytes, beside a transaction that runs, and what costs nothing in vain."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.embedded_reader import FIND, PAGE_BYTES
from handlers.engines.engine import Limits
from handlers.errors import StorageError
from handlers.protocol.names import EventId
from tests.handlers.engines.updates import History, ids, seqs, update


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.mark.parametrize(
    ("after", "upto", "limit", "read"),
    [
        (0, 9, 100, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (0, 100, 100, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (0, 9, 4, [1, 2, 3, 4]),
        (3, 9, 4, [4, 5, 6, 7]),
        (3, 5, 4, [4, 5]),
        (8, 9, 1, [9]),
        (9, 9, 1, []),
        (9, 100, 1, []),
        (5, 3, 10, []),
        (0, 0, 10, []),
        (0, 9, 0, []),
        (-1, 2, 10, [1, 2]),
    ],
)
async def test_a_page_has_what_was_asked_for(path: Path, after: int, upto: int, limit: int, read: list[int]) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(9)))
        assert seqs(await history.engine.read(after, upto, limit)) == read


async def test_a_page_begins_with_what_is_kept(path: Path) -> None:
    async with History(EmbeddedEngine(path, limits=Limits(size=3))) as history:
        await history.append(*map(update, range(9)))
        assert await history.engine.oldest() == 7
        assert seqs(await history.engine.read(2, 9, 2)) == [7, 8]


@pytest.mark.parametrize(
    ("sizes", "pages"),
    [
        pytest.param([PAGE_BYTES // 4] * 7, [3, 3, 1], id="a quarter and a bit each"),
        pytest.param([PAGE_BYTES * 2, 10, PAGE_BYTES * 2, PAGE_BYTES], [1, 1, 1, 1], id="larger than a page"),
        pytest.param([10, PAGE_BYTES // 2, 10, 10, PAGE_BYTES], [4, 1], id="mixed"),
    ],
)
async def test_a_page_is_bounded_in_bytes_and_never_empty_before_the_end(
    path: Path, sizes: list[int], pages: list[int]
) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*(update(number, data="x" * size) for number, size in enumerate(sizes)))
        found: list[int] = []
        after = 0
        while page := await history.engine.read(after, len(sizes), 500):
            found.append(len(page))
            after = page[-1].seq
        assert found == pages
        assert after == len(sizes)


async def test_reading_does_not_wait_for_a_transaction_and_does_not_see_it(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(update(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE updates SET id = 'other'")
            assert await history.engine.find(EventId("other")) is None
            assert ids(await history.kept()) == ["urn:test:1"]
            other.execute("COMMIT")
        assert await history.engine.find(EventId("other")) == 1


async def test_many_may_read_at_once(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(100)))
        found = await asyncio.gather(*(history.engine.find(EventId(f"urn:test:{number}")) for number in range(100)))
        assert found == list(range(1, 101))


async def test_reading_leaves_nothing_that_keeps_the_log_from_being_written_back(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(100)))
        await history.kept(page=7)
        await history.engine.find(EventId("urn:test:5"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            busy, in_log, written_back = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, in_log, written_back) == (0, 0, 0)


async def test_what_cannot_be_read_is_told(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(update(1), update(2))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE updates SET topics = '{}' WHERE seq = 2")
            with pytest.raises(StorageError, match="an update cannot be read"):
                await history.kept()
            assert ids(await history.engine.read(0, 1, 10)) == ["urn:test:1"]
            other.execute("ALTER TABLE updates RENAME TO elsewhere")
        for reading in (history.engine.find(EventId("a")), history.engine.read(0, 1, 1), history.engine.oldest()):
            with pytest.raises(StorageError, match="no such table: updates"):
                await reading


async def test_an_id_is_looked_up_by_index(path: Path) -> None:
    async with History(EmbeddedEngine(path)):
        with closing(sqlite3.connect(path)) as other:
            plan = other.execute(f"EXPLAIN QUERY PLAN {FIND}", ("a",)).fetchall()
    assert [step[3] for step in plan] == ["SEARCH updates USING COVERING INDEX updates_by_id (id=?)"]
