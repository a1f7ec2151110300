"""A worker's engine: what the parent has stored comes here in its order, and what is asked is answered by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.engine import Wanted
from handlers.engines.remote import PAGES, RemoteEngine
from handlers.errors import Busy, StorageError
from handlers.protocol.link import (
    Append,
    CallRoll,
    Page,
    Refused,
    Reply,
    Roll,
    Stored,
    Up,
    Welcome,
    encode_subscription,
    encode_up,
)
from handlers.protocol.mercure.headers import EARLIEST
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.names import EventId, Topic
from tests.handlers.engines.updates import NOW, on, presence, subscription, update
from tests.handlers.links.crew import crew_of
from tests.support.turns import settle

BROKEN = Update(topics=(Topic("\ud800"),), id=EventId("broken"))


class Parent:
    """Keeps what is sent, and lets the test answer."""

    def __init__(self) -> None:
        self.sent: list[Up] = []
        self._asked: dict[int, Callable[[Reply], None]] = {}

    def send(self, message: Up) -> None:
        encode_up(message)
        self.sent.append(message)

    def number(self, answered: Callable[[Reply], None]) -> int:
        number = len(self.sent) * 100 + len(self._asked) + 1
        self._asked[number] = answered
        return number

    def forget(self, number: int) -> None:
        del self._asked[number]

    @property
    def open(self) -> list[int]:
        return list(self._asked)

    def answer(self, reply: Reply) -> None:
        self._asked.pop(reply.number)(reply)


@pytest.fixture
def parent() -> Parent:
    return Parent()


@pytest.fixture
def engine(parent: Parent) -> RemoteEngine:
    return RemoteEngine(parent)


def batch(*seqs: int) -> list[StoredUpdate]:
    return [StoredUpdate(seq=seq, update=update(seq)) for seq in seqs]


async def test_it_begins_where_the_parent_is(engine: RemoteEngine) -> None:
    engine.welcome(Welcome(5, EventId("five")))
    opened = engine.open(lambda batch: None, at=NOW)
    assert (opened.last_seq, opened.last_id, opened.subscriptions) == (5, "five", ())


async def test_an_empty_history_has_no_last_id(engine: RemoteEngine) -> None:
    engine.welcome(Welcome(0, EventId(EARLIEST)))
    assert engine.open(lambda batch: None, at=NOW).last_id is None


async def test_what_is_stored_before_it_is_open_moves_the_beginning_and_what_comes_after_is_delivered(
    engine: RemoteEngine,
) -> None:
    engine.welcome(Welcome(5, EventId("five")))
    engine.committed(batch(6, 7))
    delivered: list[StoredUpdate] = []
    assert engine.open(delivered.extend, at=NOW).last_seq == 7
    engine.committed(batch(8, 9))
    assert delivered == batch(8, 9)


async def test_what_is_appended_in_one_turn_goes_in_one_message(engine: RemoteEngine, parent: Parent) -> None:
    futures = [engine.append(update(number), at=NOW) for number in range(3)]
    await settle()
    [message] = parent.sent
    assert isinstance(message, Append)
    assert message.updates == (update(0), update(1), update(2))
    assert parent.open == [message.first + number for number in range(3)]
    for number in (0, 1):
        parent.answer(Stored(message.first + number, 10 + number))
        assert (await futures[number]).seq == 10 + number
    parent.answer(Refused(message.first + 2, "the disk is full"))
    with pytest.raises(StorageError, match="the disk is full"):
        await futures[2]


async def test_no_room_is_another_fault_than_no_storage(engine: RemoteEngine, parent: Parent) -> None:
    future = engine.append(update(1), at=NOW)
    await settle()
    parent.answer(Refused(parent.open[0], "busy", 7))
    with pytest.raises(Busy) as refused:
        await future
    assert refused.value.retry_after == 7


async def test_an_update_that_cannot_be_sent_takes_no_other_with_it(
    engine: RemoteEngine, parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    futures = [engine.append(each, at=NOW) for each in (update(1), BROKEN, update(2))]
    await settle()
    assert [message.updates for message in parent.sent if isinstance(message, Append)] == [(update(1),), (update(2),)]
    with pytest.raises(StorageError, match="cannot be sent"):
        await futures[1]
    assert "history update id='broken' not stored" in caplog.text
    assert len(parent.open) == 2


async def test_an_update_that_has_no_text_takes_no_other_with_it(engine: RemoteEngine, parent: Parent) -> None:
    endless = Update(topics=(Topic("a"),), id=EventId("endless"), retry=10**5000)
    futures = [engine.append(each, at=NOW) for each in (update(1), endless)]
    await settle()
    assert [message.updates for message in parent.sent if isinstance(message, Append)] == [(update(1),)]
    with pytest.raises(StorageError, match="cannot be sent"):
        await futures[1]
    parent.answer(Stored(parent.open[0], 1))
    assert (await futures[0]).seq == 1


async def test_no_more_than_so_many_pages_are_under_way(engine: RemoteEngine, parent: Parent) -> None:
    reading = [asyncio.create_task(engine.read(number, 100, 10)) for number in range(PAGES + 3)]
    await settle()
    assert len(parent.open) == PAGES
    reading[0].cancel()
    await settle()
    assert len(parent.open) == PAGES, "it is under way until it comes, though nobody waits for it any more"
    for _ in range(PAGES + 3):
        parent.answer(Page(parent.open[0], ()))
        await settle()
    assert await asyncio.gather(*reading[1:]) == [()] * (PAGES + 2)


async def test_pages_that_wait_for_others_are_refused_at_the_end(engine: RemoteEngine, parent: Parent) -> None:
    reading = [asyncio.create_task(engine.read(number, 100, 10)) for number in range(PAGES + 3)]
    await settle()
    await engine.close()
    for number in parent.open:
        parent.answer(Page(number, ()))
    await asyncio.wait(reading)
    assert [type(each.exception()) for each in reading] == [type(None)] * PAGES + [StorageError] * 3


async def test_who_has_left_is_not_missed(engine: RemoteEngine, parent: Parent) -> None:
    future = engine.append(update(1), at=NOW)
    await settle()
    future.cancel()
    parent.answer(Stored(parent.open[0], 1))


async def test_closing_waits_for_what_was_appended_and_takes_nothing_more(engine: RemoteEngine, parent: Parent) -> None:
    future = engine.append(update(1), at=NOW)
    closing = asyncio.create_task(engine.close())
    await settle()
    assert not closing.done()
    for asking in (engine.append(update(2), at=NOW), engine.find(EventId("x")), engine.call_roll()):
        with pytest.raises(StorageError, match="the history is closed"):
            await asking
    parent.answer(Stored(parent.open[0], 1))
    await closing
    assert (await future).seq == 1
    await engine.close()


async def test_the_roll_is_the_parents(engine: RemoteEngine, parent: Parent) -> None:
    calling = asyncio.create_task(engine.call_roll())
    await settle()
    assert parent.sent == [CallRoll(parent.open[0])]
    known = subscription(1, ["payload"])
    parent.answer(Roll(parent.open[0], (encode_subscription(known),), EventId("last")))
    assert await calling == ((known,), "last")


async def test_a_cursor_that_cannot_be_sent_is_not_looked_up(engine: RemoteEngine, parent: Parent) -> None:
    with pytest.raises(StorageError, match="cannot be sent"):
        await engine.find(EventId("\ud800"))
    assert (parent.sent, parent.open) == ([], [])


async def test_whoever_waits_for_an_answer_may_leave(engine: RemoteEngine, parent: Parent) -> None:
    asking = asyncio.create_task(engine.oldest())
    await settle()
    asking.cancel()
    await settle()
    parent.answer(Refused(parent.open[0], "too late"))


async def test_the_history_is_read_through_it_as_it_is(tmp_path: Path) -> None:
    async with crew_of(2, EmbeddedEngine(tmp_path / "hub.db")) as crew:
        here, there = crew.workers
        for number in range(1, 6):
            await here.hub.publish(update(number))
        await here.hub.publish(presence(subscription(1), active=True))
        assert await there.engine.find(update(3).id) == 3
        assert there.hub.last_seq >= 3, "what an answer speaks of has come before it"
        assert await there.engine.find(EventId("nobody")) is None
        assert await there.engine.oldest() == 1
        assert await there.engine.read(2, 4, 10) == tuple(batch(3, 4))
        assert await there.engine.read(0, 6, 2) == tuple(batch(1, 2))
        assert len(await there.engine.read(0, 6, 10)) == 6
        assert await there.engine.read(0, 6, 10, with_presence=False) == tuple(batch(1, 2, 3, 4, 5))
        await crew.hub.close()


async def test_the_parent_leaves_out_what_nobody_wants(tmp_path: Path) -> None:
    async with crew_of(1, EmbeddedEngine(tmp_path / "hub.db")) as crew:
        [member] = crew.workers
        for number in range(1, 101):
            await member.hub.publish(on(number, "quiet" if number in (1, 100) else f"loud/{number}"))
        for wanted in (Wanted(topics=("quiet",)), Wanted(beginnings=("loud/9",)), Wanted(topics=("nobody",))):
            for after, upto in ((0, 100), (50, 99)):
                found = await member.engine.select(after, upto, 1000, wanted)
                assert found == await crew.hub.engine.select(after, upto, 1000, wanted)
        assert len((await member.engine.select(0, 100, 1000, Wanted(topics=("quiet",)))).updates) == 2
        await crew.hub.close()
