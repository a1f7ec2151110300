"""Reading: pages bounded by count and bytes, beside a transaction that runs, and what costs nothing in vain."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from handlers.engines import embedded_reader as module
from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.embedded_reader import FIND, PAGE_BYTES
from handlers.engines.engine import Limits, Wanted
from handlers.errors import StorageError
from handlers.protocol.names import EventId
from tests.handlers.engines.updates import History, ids, on, presence, seqs, subscription, update


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


# -- looking for topics ---------------------------------------------------------------------------------------------


async def selected(history: History, upto: int, wanted: Wanted, *, limit: int = 500, after: int = 0) -> list[int]:
    """Look for what is wanted to the end; return its places."""
    found: list[int] = []
    while after < upto:
        selection = await history.engine.select(after, upto, limit, wanted)
        assert after < selection.reached <= upto
        after = selection.reached
        found += seqs(selection.updates)
    return found


@pytest.mark.parametrize("limit", [1, 2, 500])
async def test_only_what_is_wanted_is_selected(path: Path, limit: int) -> None:
    topics = (("a",), ("b",), ("b", "a"), ("ab",), ('"a"',), ("a/1",), ("a",))
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*(on(number, *each) for number, each in enumerate(topics)))
        for wanted, places in (
            (Wanted(topics=("a",)), [1, 3, 7]),
            (Wanted(topics=("a", "ab")), [1, 3, 4, 7]),
            (Wanted(beginnings=("a",)), [1, 3, 4, 5, 6, 7]),  # the fifth by the quote in it: left to the caller
            (Wanted(topics=("b",), beginnings=("a/",)), [2, 3, 6]),
            (Wanted(topics=('"a"',)), [5]),
            (Wanted(topics=("c",)), []),
        ):
            assert await selected(history, 7, wanted, limit=limit) == places
            assert await selected(history, 5, wanted, limit=limit, after=1) == [
                each for each in places if 1 < each <= 5
            ]


async def test_a_selection_looks_at_so_much_at_once_and_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SELECT", module.SELECT.replace(str(module.SPAN), "10"))
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*(on(number, "a" if number == 25 else "b") for number in range(40)))
        first = await history.engine.select(0, 40, 500, Wanted(topics=("a",)))
        assert (first.updates, first.reached, first.is_trimmed) == ((), 11, False)
        assert await selected(history, 40, Wanted(topics=("a",))) == [26]


async def test_a_selection_is_bounded_in_bytes(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*(update(number, data="x" * (PAGE_BYTES // 2)) for number in range(4)))
        wanted = Wanted(topics=update(0).topics)
        first = await history.engine.select(0, 4, 500, wanted)
        assert (seqs(first.updates), first.reached) == ([1], 1)
        assert await selected(history, 4, wanted) == [1, 2, 3, 4]


async def test_a_selection_says_when_what_comes_next_is_gone(path: Path) -> None:
    async with History(EmbeddedEngine(path, limits=Limits(size=3))) as history:
        await history.append(*(on(number, "b") for number in range(9)))
        for after, upto, is_trimmed in ((0, 9, True), (5, 9, True), (6, 9, False), (2, 4, True), (9, 9, False)):
            found = await history.engine.select(after, upto, 500, Wanted(topics=("a",)))
            assert (found.updates, found.reached, found.is_trimmed) == ((), upto, is_trimmed)


async def test_subscriptions_are_looked_for_where_that_is_asked(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(presence(subscription(1), active=True), on(1, "/current"))
        wanted = Wanted(topics=("/current",))
        assert seqs((await history.engine.select(0, 2, 500, wanted)).updates) == [1, 2]
        assert seqs((await history.engine.select(0, 2, 500, wanted, with_presence=False)).updates) == [2]
