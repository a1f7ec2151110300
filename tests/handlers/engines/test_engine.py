"""The contract that every engine keeps, run against each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.engine import Engine
from handlers.engines.memory import MemoryEngine
from handlers.errors import StorageError
from handlers.protocol.mercure.update import StoredUpdate
from handlers.protocol.names import EventId
from tests.handlers.engines.updates import NOW, History, presence, seqs, subscription, update
from tests.support.patience import bounded


@pytest.fixture(params=["memory", "embedded"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return MemoryEngine() if request.param == "memory" else EmbeddedEngine(tmp_path / "history.db")


async def test_a_new_history_is_empty(engine: Engine) -> None:
    async with History(engine) as history:
        assert (history.opened.last_seq, history.opened.last_id, history.opened.subscriptions) == (0, None, ())
        assert await engine.find(EventId("urn:test:0")) is None
        assert await engine.oldest() is None
        assert await engine.read(0, 100, 100) == ()


async def test_h12_updates_are_delivered_once_in_the_order_of_the_calls(engine: Engine) -> None:
    updates = [update(number) for number in range(2500)]
    async with History(engine) as history:

        async def publisher(share: list[int]) -> list[StoredUpdate]:
            # The order among publishers is that in which the loop runs them.
            return [await called(number) for number in share]

        calls: list[int] = []

        def called(number: int) -> asyncio.Future[StoredUpdate]:
            calls.append(number)
            return engine.append(updates[number], at=NOW)

        answered = await asyncio.gather(*(publisher(list(range(start, 2500, 50))) for start in range(50)))
        assert [each.update for each in history.delivered] == [updates[number] for number in calls]
        assert seqs(history.delivered) == list(range(1, 2501))
        assert sorted(each.seq for share in answered for each in share) == seqs(history.delivered)


async def test_an_update_is_delivered_before_its_publisher_is_answered(engine: Engine) -> None:
    async with History(engine) as history:
        seen: list[int] = []
        future = engine.append(update(1), at=NOW)
        future.add_done_callback(lambda _: seen.append(len(history.delivered)))
        await future
        await asyncio.sleep(0)
        assert seen == [1]


async def test_a_publisher_that_is_gone_changes_nothing(engine: Engine) -> None:
    async with History(engine) as history:
        engine.append(update(1), at=NOW).cancel()
        (last,) = await history.append(update(2))
        assert last.seq == 2
        assert [each.update for each in history.delivered] == [update(1), update(2)]


async def test_what_is_appended_from_within_a_delivery_comes_after_it(engine: Engine) -> None:
    delivered: list[str] = []
    followers: list[asyncio.Future[StoredUpdate]] = []

    def deliver(batch: Sequence[StoredUpdate]) -> None:
        for stored in batch:
            delivered.append(f"begin {stored.seq}")
            if stored.seq == 1:
                followers.append(engine.append(update(2), at=NOW))
            delivered.append(f"end {stored.seq}")

    engine.open(deliver, at=NOW)
    await engine.append(update(1), at=NOW)
    assert (await followers[0]).seq == 2
    assert delivered == ["begin 1", "end 1", "begin 2", "end 2"]
    await engine.close()


async def test_closing_finishes_what_was_appended(engine: Engine) -> None:
    async with History(engine) as history:
        futures = [engine.append(update(number), at=NOW) for number in range(300)]
    assert [future.result().seq for future in futures] == list(range(1, 301))
    assert len(history.delivered) == 300


async def test_after_closing_everything_is_refused(engine: Engine) -> None:
    async with History(engine) as history:
        pass
    await engine.close()
    refused = engine.append(update(1), at=NOW)
    assert refused.done()
    with pytest.raises(StorageError, match="the history is closed"):
        await refused
    for reading in (engine.find(EventId("a")), engine.read(0, 1, 1), engine.oldest()):
        with pytest.raises(StorageError, match="the history is closed"):
            await reading
    assert history.delivered == []


async def test_before_opening_everything_is_refused(engine: Engine) -> None:
    with pytest.raises(StorageError, match="the history is closed"):
        await engine.append(update(1), at=NOW)


async def test_a_refusal_that_nobody_asks_for_is_not_reported(engine: Engine) -> None:
    # The suite fails a test during which asyncio reports a lost exception.
    engine.append(update(1), at=NOW)


async def test_updates_on_subscriptions_are_delivered_as_they_are(engine: Engine) -> None:
    come = presence(subscription(1, {"a": [1, None, "é\0"]}), active=True)
    async with History(engine) as history:
        await history.append(come)
        assert [each.update for each in history.delivered] == [come]


async def test_the_loop_runs_on_while_much_is_appended(engine: Engine) -> None:
    async with History(engine) as history, bounded():
        futures = [engine.append(update(number), at=NOW) for number in range(2000)]
        turns = 0
        while not all(future.done() for future in futures):
            await asyncio.sleep(0)
            turns += 1
        assert len(history.delivered) == 2000
        # Without history all is done at once; otherwise the loop had turns to itself.
        assert turns > 0 or isinstance(engine, MemoryEngine)
