"""The embedded history as the hub sees it: cursors, pages, restarts."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.engine import Limits
from handlers.errors import StorageError
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId, Topic
from tests.handlers.engines.updates import NOW, History, ids, presence, seqs, subscription, update

MANY = 20_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


async def test_h01_what_came_after_an_id_is_read_in_order(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(10)))
        place = await history.engine.find(EventId("urn:test:6"))
        assert place == 7
        assert ids(await history.engine.read(place, 10, 100)) == ["urn:test:7", "urn:test:8", "urn:test:9"]
        assert await history.engine.read(10, 10, 100) == ()


async def test_h02_everything_is_read_from_the_beginning(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        stored = await history.append(*map(update, range(10)))
        assert await history.engine.oldest() == 1
        assert await history.kept(page=3) == stored == history.delivered


@pytest.mark.parametrize("unknown", ["urn:test:3", "", "urn:test:1 ", "urn:test:1\0", "URN:TEST:1", "\udcff", "1"])
async def test_h03_an_unknown_id_is_told_from_every_other(path: Path, unknown: str) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(3)))
        assert await history.engine.find(EventId(unknown)) is None


async def test_h08_of_updates_with_one_id_the_first_is_found(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, (1, 2, 1, 3, 1)))
        assert await history.engine.find(EventId("urn:test:1")) == 1
        assert ids(await history.engine.read(1, 9, 9)) == ["urn:test:2", "urn:test:1", "urn:test:3", "urn:test:1"]


async def test_h08_of_updates_with_one_id_the_first_that_is_kept_is_found(path: Path) -> None:
    async with History(EmbeddedEngine(path, limits=Limits(size=3))) as history:
        await history.append(*map(update, (1, 2, 1, 3, 1)))
        assert await history.engine.find(EventId("urn:test:1")) == 3
        assert await history.engine.find(EventId("urn:test:2")) is None


async def test_h09_h10_of_many_updates_each_is_found_and_all_are_read(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(MANY)))
        # The reference looks at the oldest 10,000 only, and sends 1,000.
        for number in (0, 1, 9_999, 10_000, MANY - 1):
            assert await history.engine.find(EventId(f"urn:test:{number}")) == number + 1
        kept = await history.kept()
        assert seqs(kept) == list(range(1, MANY + 1))
        assert ids(kept) == [f"urn:test:{number}" for number in range(MANY)]


async def test_h11_after_a_restart_all_is_there_before_anything_is_written(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        stored = await history.append(*map(update, range(7)))
    async with History(EmbeddedEngine(path)) as history:
        assert (history.opened.last_seq, history.opened.last_id) == (7, "urn:test:6")
        assert await history.engine.find(EventId("urn:test:2")) == 3
        assert await history.kept() == stored
        assert history.delivered == []
        stored += await history.append(update(7))
        assert seqs(stored) == list(range(1, 9))
        assert await history.kept() == stored


async def test_h12_pages_read_during_a_storm_have_no_gap_and_no_duplicate(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:

        async def storm() -> None:
            for number in range(0, 3000, 30):
                await history.append(*map(update, range(number, number + 30)))

        storming = asyncio.create_task(storm())
        read: list[int] = []
        while len(read) < 3000:
            upto = len(history.delivered)
            page = await history.engine.read(len(read), upto, 70)
            # What has been delivered is stored, so that a page is short only where the seam is.
            assert seqs(page) == list(range(len(read) + 1, min(len(read) + 70, upto) + 1))
            read += seqs(page)
        await storming


async def test_an_update_is_found_as_soon_as_its_publisher_is_answered(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        for number in range(200):
            (stored,) = await history.append(update(number))
            assert await history.engine.find(stored.update.id) == stored.seq


async def test_every_field_comes_back_as_it_was(path: Path) -> None:
    updates = [
        Update(topics=(Topic("a"),), id=EventId("1")),
        Update(
            topics=(Topic("a\0b"), Topic('"\\'), Topic("\N{GRINNING FACE}")),
            id=EventId("\0é\u2028'"),
            data="\0\r\n\ufeff\uffff\U0010ffff",
            private=True,
            type="ty\0pe",
            retry=2**64 - 1,
        ),
        presence(subscription(1, {"deep": [[{}]], "big": 2**70, "nan\ud800": float("inf")}), active=False),
    ]
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*updates)
        assert [each.update for each in await history.kept()] == updates
        assert await history.engine.find(updates[1].id) == 2


async def test_an_update_that_cannot_be_written_fails_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with History(EmbeddedEngine(path)) as history:
        futures = [history.engine.append(each, at=NOW) for each in (update(1), update(2, data="\ud800"), update(3))]
        with pytest.raises(StorageError, match="surrogates not allowed"):
            await futures[1]
        assert [(await futures[index]).seq for index in (0, 2)] == [1, 2]
        assert ids(history.delivered) == ids(await history.kept()) == ["urn:test:1", "urn:test:3"]
    assert [record.getMessage()[:37] for record in caplog.records if record.levelno == logging.ERROR] == [
        "history update id='urn:test:2' not st"
    ]


async def test_subscriptions_stay_alive_until_an_update_says_that_they_are_gone(path: Path) -> None:
    first, second, third = subscription(1, {"name": "ann"}), subscription(2), subscription(3, [float("inf")])
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*(presence(each, active=True) for each in (first, second, third)))
        await history.append(presence(second, active=False))
    for _ in range(2):
        async with History(EmbeddedEngine(path)) as history:
            assert set(map(repr, history.opened.subscriptions)) == {repr(first), repr(third)}
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*(presence(each, active=False) for each in history.opened.subscriptions))
    async with History(EmbeddedEngine(path)) as history:
        assert history.opened.subscriptions == ()


async def test_what_has_aged_while_nobody_ran_is_trimmed_at_the_start(path: Path) -> None:
    async with History(EmbeddedEngine(path, limits=Limits(age=60))) as history:
        await history.append(update(1), at=NOW)
        await history.append(update(2), update(3), at=NOW + 30)
        assert await history.engine.oldest() == 1
    async with History(EmbeddedEngine(path, limits=Limits(age=60)), at=NOW + 61) as history:
        assert seqs(await history.kept()) == [2, 3]
    async with History(EmbeddedEngine(path, limits=Limits(age=60)), at=NOW + 1000) as history:
        assert (history.opened.last_seq, seqs(await history.kept())) == (3, [3])


async def test_a_defect_in_the_delivery_leaves_the_publisher_answered(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    engine = EmbeddedEngine(path)
    defect = RuntimeError("a defect")

    def deliver(_: object) -> None:
        raise defect

    engine.open(deliver, at=NOW)
    assert (await engine.append(update(1), at=NOW)).seq == 1
    assert (await engine.append(update(2), at=NOW)).seq == 2
    await engine.close()
    assert reported == [defect, defect]
    assert caplog.records == []
