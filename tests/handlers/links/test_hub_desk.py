"""The parent's hub for its workers: one order, one history, one roster; and what is left of a worker that ends."""

from __future__ import annotations

import re

import pytest

from handlers.errors import Busy, StorageError
from handlers.protocol.link import Append, Find, Refused, Reply, update_row
from handlers.protocol.names import EventId
from tests.handlers.engines.updates import presence, subscription, update
from tests.handlers.hub.held_engine import HeldEngine
from tests.handlers.hub.hub_room import exact
from tests.handlers.links.crew import crew_of
from tests.support.turns import settle, until


async def test_an_update_of_one_worker_reaches_the_subscribers_of_all_and_then_its_publisher() -> None:
    async with crew_of(2) as crew:
        here, there = crew.workers
        clients = [(await member.room.listen(exact("https://example.com/a")))[0] for member in crew.workers]
        stored = await here.hub.publish(update(1))
        assert (stored.seq, stored.update) == (1, update(1))
        assert here.hub.last_id == update(1).id, "its own subscribers have it before it is answered"
        assert (await crew.hub.publish(update(2))).seq == 2
        assert (await there.hub.publish(update(3))).seq == 3
        for client in clients:
            got = b""
            while got.count(b"\n\n") < 3:
                got += await client.chunk()
            assert re.findall(rb"id: urn:test:(\d)", got) == [b"1", b"2", b"3"]
        await crew.settle()
        assert [member.hub.last_seq for member in crew.workers] == [3, 3]


async def test_each_update_is_counted_once_and_where_it_is_stored() -> None:
    async with crew_of(2) as crew:
        for member in crew.workers:
            await member.hub.publish(update(1))
        await crew.settle()
        assert crew.counters.mercure_updates == 2
        assert [member.room.counters.mercure_updates for member in crew.workers] == [0, 0]


async def test_what_cannot_be_stored_is_told_to_whoever_published_it() -> None:
    engine = HeldEngine()
    async with crew_of(1, engine) as crew:
        [member] = crew.workers
        future = member.hub.publish(update(1))
        await until(lambda: engine.appended)
        await engine.refuse()
        with pytest.raises(StorageError, match="the disk is full"):
            await future
        assert (crew.counters.mercure_storage_failures, member.room.counters.mercure_storage_failures) == (1, 0)
        assert not member.hub.is_healthy


async def test_a_publication_is_refused_as_a_whole_while_there_is_no_room_and_a_presence_never() -> None:
    async with crew_of(1, backlog=0) as crew:
        [member] = crew.workers
        member.link.outstanding.sent(1, 0.0)  # which is never acknowledged
        futures = [member.hub.publish(each) for each in (update(1), presence(subscription(1), active=True), update(2))]
        await until(lambda: all(future.done() for future in futures))
        assert [type(future.exception()) for future in futures] == [Busy, type(None), Busy]
        assert crew.counters.publications_over_backlog == 2
        assert crew.hub.last_seq == 1


async def test_who_is_subscribed_at_any_worker_is_known_to_each() -> None:
    async with crew_of(2) as crew:
        here, there = crew.workers
        for number, member in enumerate((here, there, here)):
            await member.hub.publish(presence(subscription(number, {"a": [number]}), active=True))
        expected = [subscription(number, {"a": [number]}) for number in range(3)]
        for member in crew.workers:
            subscriptions, last_id = await member.engine.call_roll()
            assert list(subscriptions) == expected
            assert last_id == crew.hub.last_id == member.hub.last_id
        await here.hub.publish(presence(subscription(0), active=False))
        assert list((await there.engine.call_roll())[0]) == expected[1:]


async def test_subscriptions_of_a_worker_that_has_ended_are_told_to_be_gone_once() -> None:
    async with crew_of(2) as crew:
        here, there = crew.workers
        for number, member in enumerate((here, there, here)):
            await member.hub.publish(presence(subscription(number), active=True))
        for _ in range(2):
            crew.desk.gone(here.link)
        assert crew.buried == [subscription(0), subscription(2)]
        assert list((await there.engine.call_roll())[0]) == [subscription(1)]


async def test_a_request_that_fails_in_a_way_of_ours_is_answered_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        crew.hub.engine.find = None  # type: ignore[assignment,method-assign]
        with pytest.raises(StorageError, match="internal error"):
            await member.engine.find(EventId("x"))
        assert "worker 1: a request was not answered" in caplog.text


async def test_a_history_that_cannot_be_read_is_told_to_the_worker() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        await crew.hub.close()
        for asking in (member.engine.oldest(), member.engine.find(EventId("x")), member.engine.read(0, 1, 1)):
            with pytest.raises(StorageError, match="the history is closed"):
                await asking


async def test_every_update_of_a_request_that_cannot_be_read_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        refused: list[Reply] = []
        numbers = [member.parent.number(refused.append) for _ in range(2)]
        rows = (update_row(update(1)), update_row(update(2))._replace(retry="x"))
        member.parent.send(Append(numbers[0], rows))
        await until(lambda: len(refused) == 2)
        assert [(type(each), each.number) for each in refused] == [(Refused, number) for number in numbers]
        assert crew.hub.last_seq == 0
        assert "worker 1: 2 updates not stored: no update" in caplog.text


async def test_a_closed_desk_answers_nothing_more() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        sent: list[Reply] = []
        member.link.answer = sent.append  # type: ignore[assignment,method-assign]
        crew.desk.serve(member.link, Find(1, EventId("x")))
        await crew.desk.close()
        await settle()
        assert sent == []
