"""The hub: ids, one order, delivery before the publisher's answer, and storage that fails."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from handlers.errors import StorageError
from handlers.hub.hub import UNHEALTHY_SECONDS, Hub, bare_event_id
from handlers.protocol.mercure.headers import EARLIEST
from handlers.protocol.mercure.update import ActiveSubscription, StoredUpdate, Update
from handlers.protocol.names import EventId, SubscriberId
from tests.handlers.hub.held_engine import HeldEngine, opened_at
from tests.handlers.hub.hub_room import HubRoom, exact, presence_of, update
from tests.support.turns import settle

EVENTS = {number: b"id: %b\ndata: x\n\n" % number.encode() for number in "123"}


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest_asyncio.fixture
async def held(engine: HeldEngine) -> AsyncIterator[HubRoom]:
    """A room whose updates are stored when the test says so."""
    async with HubRoom(engine=engine) as room:
        yield room


# -- ids ------------------------------------------------------------------------------------------------------------


async def test_p01_an_update_without_an_id_gets_a_fresh_one(hub_room: HubRoom) -> None:
    ids = {(await hub_room.hub.publish(update("a", event_id=""))).update.id for _ in range(10)}
    assert len(ids) == 10
    for each in ids:
        assert uuid.UUID(each.removeprefix("urn:uuid:")).version == 4
        assert each.startswith("urn:uuid:")


async def test_p02_an_update_keeps_the_id_it_has(hub_room: HubRoom) -> None:
    assert (await hub_room.hub.publish(update("a", event_id='my id é"x'))).update.id == 'my id é"x'


def test_p27_ids_of_2019_are_bare() -> None:
    found = bare_event_id()
    assert str(uuid.UUID(found)) == found
    assert uuid.UUID(found).version == 4
    assert bare_event_id() != found


# -- order ----------------------------------------------------------------------------------------------------------


async def test_p23_nothing_is_delivered_before_it_is_stored_and_all_is_before_the_answer(
    held: HubRoom, engine: HeldEngine
) -> None:
    [(transport, _)] = held.crowd(1, exact("a"), chunked=False)
    seen: list[list[bytes]] = []
    for number in "123":
        future = held.hub.publish(update("a", event_id=number))
        future.add_done_callback(lambda _: seen.append(list(transport.written)))
        if number == "2":
            future.cancel()  # its publisher has gone
    await settle()
    assert transport.written == []
    seen.clear()
    await engine.commit()
    assert transport.written == [EVENTS["1"] + EVENTS["2"] + EVENTS["3"]], "one commit, one list: one write"
    assert seen == [transport.written] * 2


async def test_the_hub_knows_where_its_order_ends(held: HubRoom, engine: HeldEngine) -> None:
    assert (held.hub.last_seq, held.hub.last_id, held.hub.place) == (0, EARLIEST, EARLIEST)
    for number in "12":
        held.hub.publish(update("a", event_id=number))
    assert (held.hub.last_seq, held.hub.last_id) == (0, EARLIEST)
    await engine.commit(1)
    assert (held.hub.last_seq, held.hub.last_id) == (1, "1")
    await engine.commit()
    assert (held.hub.last_seq, held.hub.last_id) == (2, "2")
    assert held.hub.place == "#2"


async def test_an_update_that_is_being_delivered_is_the_last_one_already(hub_room: HubRoom) -> None:
    """A long poll that ends meanwhile must not send its client back to before it."""
    found: list[tuple[int, str]] = []
    [(_, session)] = hub_room.crowd(1, exact("a"))
    session.write = lambda _: found.append((hub_room.hub.last_seq, hub_room.hub.last_id))
    hub_room.hub.publish(update("a"))
    assert found == [(1, "1")]


async def test_a_history_that_is_opened_again_goes_on_where_it_ended() -> None:
    left = ActiveSubscription(subscriber=SubscriberId("urn:uuid:old"), matcher=exact("a"))
    engine = HeldEngine(opened=opened_at(41, "last", left))
    async with HubRoom(engine=engine) as room:
        assert (room.hub.last_seq, room.hub.last_id) == (41, "last")
        assert room.hub.open() == (left,)
        room.hub.publish(update("a"))
        await engine.commit()
        assert (room.hub.last_seq, room.hub.last_id) == (42, "1")


# -- what else happens ----------------------------------------------------------------------------------------------


async def test_publications_are_counted_logged_and_told_to_the_follower_and_presence_is_not(
    hub_room: HubRoom, caplog: pytest.LogCaptureFixture
) -> None:
    hub_room.crowd(2, exact("a"))
    followed: list[Update] = []
    hub_room.hub.follower = followed.append
    with caplog.at_level("DEBUG", "holdfast.hub"):
        hub_room.hub.publish(update("a"))
        hub_room.hub.publish(presence_of(exact("a")))
    assert followed == [update("a")]
    assert hub_room.counters.mercure_updates == 1
    lines = [(each.levelname, each.getMessage().partition(" topic=")[2]) for each in caplog.records]
    assert lines[0] == ("INFO", "a receivers=2")
    assert [level for level, _ in lines] == ["INFO", "DEBUG"], "whoever may subscribe cannot fill the log"


async def test_p28_what_cannot_be_stored_is_delivered_to_nobody_and_counted(held: HubRoom, engine: HeldEngine) -> None:
    [(transport, _)] = held.crowd(1, exact("a"), chunked=False)
    health = [held.hub.is_healthy]
    futures = [held.hub.publish(update("a", event_id=number)) for number in "12"]
    await engine.refuse()
    for future in futures:
        with pytest.raises(StorageError, match="the disk is full"):
            await future
    assert transport.written == []
    assert held.counters.mercure_storage_failures == 2
    assert held.counters.mercure_updates == 0
    health.append(held.hub.is_healthy)
    future = held.hub.publish(update("a", event_id="3"))
    await engine.commit()
    assert (await future).update.id == "3"
    assert transport.written == [EVENTS["3"]]
    assert [*health, held.hub.is_healthy] == [True, False, True]


async def test_p28_a_failure_is_forgotten_in_time_for_somebody_has_to_try_again(
    held: HubRoom, engine: HeldEngine
) -> None:
    for _ in range(2):
        held.hub.publish(update("a"))
        await engine.refuse()
        held.clock.advance(UNHEALTHY_SECONDS - 0.1)
        assert not held.hub.is_healthy
    held.clock.advance(0.1)
    assert held.hub.is_healthy


async def test_that_storing_works_again_is_told_once_after_each_failure(held: HubRoom, engine: HeldEngine) -> None:
    healed: list[bool] = []
    held.hub.on_stored = lambda: healed.append(held.hub.is_healthy)
    for expected in ([], [True], [True, True]):
        for _ in range(2):
            held.hub.publish(update("a"))
            await engine.commit()
        assert healed == expected
        for _ in range(2):
            held.hub.publish(update("a"))
            await engine.refuse()
        held.clock.advance(UNHEALTHY_SECONDS)  # it is told even if the failure is forgotten
        assert healed == expected


async def test_a_publisher_that_is_gone_does_not_count_as_a_failure(held: HubRoom, engine: HeldEngine) -> None:
    future = held.hub.publish(update("a"))
    future.cancel()
    await settle()
    assert held.hub.is_healthy
    assert held.counters.mercure_storage_failures == 0


async def test_o08_a_closed_history_refuses_what_comes_late(hub_room: HubRoom) -> None:
    await hub_room.hub.close()
    with pytest.raises(StorageError):
        await asyncio.shield(hub_room.hub.publish(update("a")))
    await settle()
    assert hub_room.counters.mercure_storage_failures == 1


# -- with the audience in other processes ---------------------------------------------------------------------------


async def test_a_relay_gets_each_batch_whole_before_whoever_published_is_answered(
    held: HubRoom, engine: HeldEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "holdfast.hub")
    batches: list[list[EventId]] = []
    followed: list[Update] = []

    def relay(batch: Sequence[StoredUpdate]) -> int:
        assert not any(future.done() for future in futures)
        batches.append([stored.update.id for stored in batch])
        return 3

    held.hub.relay, held.hub.follower = relay, followed.append
    futures = [held.hub.publish(update("a", event_id=number)) for number in "12"]
    await engine.commit()
    assert batches == [["1", "2"]]
    assert [each.id for each in followed] == ["1", "2"]
    assert (held.hub.last_seq, held.hub.last_id, held.counters.mercure_updates) == (2, "2", 2)
    assert caplog.messages == [f"update id={number} topic=a workers=3" for number in "12"]


async def test_a_hub_that_is_not_the_origin_delivers_and_counts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    engine = HeldEngine()
    async with HubRoom() as room:
        hub = Hub(engine=engine, audience=room.audience, clock=room.clock, counters=room.counters, is_origin=False)
        hub.open()
        [(transport, _)] = room.crowd(1, exact("a"), chunked=False)
        with caplog.at_level("INFO", "holdfast.hub"):
            hub.publish(update("a"))
            await engine.commit()
            hub.publish(update("a"))
            await engine.refuse()
        assert len(transport.written) == 1
        assert (room.counters.mercure_updates, room.counters.mercure_storage_failures) == (0, 0)
        assert (hub.is_healthy, caplog.messages) == (False, [])


async def test_there_is_room_for_any_publication_unless_somebody_says_otherwise(hub_room: HubRoom) -> None:
    hub_room.hub.check_room(1_000_000)
