"""The engine without history: what it does at once, and what it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from handlers.engines.engine import Wanted
from handlers.engines.memory import MemoryEngine
from handlers.protocol.mercure.update import StoredUpdate
from handlers.protocol.names import EventId
from tests.handlers.engines.updates import NOW, History, ids, presence, subscription, update


async def test_an_update_is_delivered_before_append_returns() -> None:
    async with History(MemoryEngine()) as history:
        future = history.engine.append(update(1), at=NOW)
        assert future.done()
        assert ids(history.delivered) == ["urn:test:1"]


async def test_h16_no_update_is_found_again() -> None:
    async with History(MemoryEngine()) as history:
        await history.append(update(1), update(2))
        assert await history.engine.find(EventId("urn:test:1")) is None
        assert await history.engine.oldest() is None
        assert await history.kept() == []


async def test_nothing_is_remembered_when_it_is_opened_again() -> None:
    engine = MemoryEngine()
    async with History(engine) as history:
        await history.append(presence(subscription(1), active=True))
    async with History(engine) as history:
        assert history.opened.subscriptions == ()


async def test_a_delivery_that_fails_stops_no_other() -> None:
    delivered: list[int] = []
    waiting: list[asyncio.Future[StoredUpdate]] = []

    def deliver(batch: Sequence[StoredUpdate]) -> None:
        delivered.append(batch[0].seq)
        if batch[0].seq == 1:
            waiting.append(engine.append(update(2), at=NOW))
            raise RuntimeError("a defect")

    engine = MemoryEngine()
    engine.open(deliver, at=NOW)
    with pytest.raises(RuntimeError, match="a defect"):
        engine.append(update(1), at=NOW)
    await engine.append(update(3), at=NOW)
    assert delivered == [1, 2, 3]
    assert waiting[0].done()


async def test_nothing_is_selected() -> None:
    async with History(MemoryEngine()) as history:
        await history.append(update(1))
        found = await history.engine.select(0, 1, 500, Wanted(topics=("a",)))
        assert (found.updates, found.reached, found.is_trimmed) == ((), 1, True)
        assert not (await history.engine.select(1, 1, 500, Wanted(topics=("a",)))).is_trimmed
