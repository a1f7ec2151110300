"""What is told of subscriptions: as they come, as they go, and after a crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from handlers.hub.presence import PresenceTeller
from handlers.protocol.mercure.update import ActiveSubscription, Presence, StoredUpdate, Update
from handlers.protocol.names import SubscriberId
from tests.handlers.hub.held_engine import HeldEngine, opened_at
from tests.handlers.hub.hub_room import HUB_PATH, HubRoom, exact, pattern, selector, update
from tests.support.client import RawClient
from tests.support.turns import settle

WATCHED = pattern(f"{HUB_PATH}/subscriptions/*")
WATCHED_LEGACY = selector(f"{HUB_PATH}/subscriptions/{{topic}}/{{subscriber}}")
MINE = "urn:uuid:1"


async def told(client: RawClient) -> dict[str, object]:
    """Read the next event, which must tell of a subscription."""
    lines = (await client.chunk()).decode().split("\n")
    data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    document: dict[str, object] = json.loads(data)
    assert ("event: mercure" in lines) is (document["type"] == "subscription")
    return document


async def test_l01_l02_coming_and_going_are_a_private_event_for_each_matcher(telling: HubRoom) -> None:
    watching, _ = await telling.listen(WATCHED, grants=(WATCHED,))
    assert (await told(watching))["subscriber"] == MINE
    [(_, session)] = telling.crowd(1, exact("a b"), pattern("/c/:d"))
    session.leave()
    session.leave()
    documents = [await told(watching) for _ in range(4)]
    assert [(each["match"], each["match_type"], each["active"]) for each in documents] == [
        ("a b", "exact", True),
        ("/c/:d", "urlpattern", True),
        ("a b", "exact", False),
        ("/c/:d", "urlpattern", False),
    ]
    assert {each["subscriber"] for each in documents} == {"urn:uuid:2"}
    assert documents[0]["id"] == f"{HUB_PATH}/subscriptions/exact/a%20b/urn%3Auuid%3A2"


async def test_l03_a_watcher_is_told_of_itself_first(telling: HubRoom) -> None:
    client, session = await telling.listen(WATCHED, exact("a"), grants=(exact("*"),), is_attached=False)
    telling.hub.publish(update("a"))
    session.attach(b"", is_behind=False)
    documents = [await told(client), await told(client)]
    assert [(each["subscriber"], each["match"]) for each in documents] == [(MINE, WATCHED.value), (MINE, "a")]
    assert await client.chunk() == b"id: 1\ndata: x\n\n"


async def test_l19_watchers_of_both_dialects_are_told_of_every_subscription(telling: HubRoom) -> None:
    current, _ = await telling.listen(WATCHED, grants=(WATCHED,))
    legacy, _ = await telling.listen(WATCHED_LEGACY, grants=(WATCHED_LEGACY,))
    telling.crowd(1, exact("a"))
    telling.crowd(1, selector("/b/{id}"))
    shapes = [await told(current) for _ in range(4)]
    assert [(each["type"], each.get("match", each.get("topic"))) for each in shapes] == [
        ("subscription", WATCHED.value),
        ("subscription", WATCHED_LEGACY.value),
        ("subscription", "a"),
        ("subscription", "/b/{id}"),
    ]
    older = [await told(legacy) for _ in range(3)]
    assert [(each["type"], each["topic"], each["@context"]) for each in older] == [
        ("Subscription", topic, "https://mercure.rocks/") for topic in (WATCHED_LEGACY.value, "a", "/b/{id}")
    ]


async def test_nothing_is_told_to_those_whose_tokens_do_not_let_them(telling: HubRoom) -> None:
    client, _ = await telling.listen(WATCHED, exact("a"))
    telling.crowd(1, exact("b"))
    telling.hub.publish(update("a"))
    assert await client.chunk() == b"id: 1\ndata: x\n\n"


async def test_what_is_told_is_in_the_hubs_order_but_no_publication(telling: HubRoom) -> None:
    telling.hub.publish(update("a"))
    telling.crowd(1, exact("a"))
    assert telling.hub.last_seq == 2
    assert telling.hub.last_id.startswith("urn:uuid:")
    assert telling.counters.mercure_updates == 1


async def test_whoever_is_not_asked_to_tell_tells_nothing(hub_room: HubRoom) -> None:
    [(_, session)] = hub_room.crowd(1, exact("a"))
    session.leave()
    assert hub_room.hub.last_seq == 0


async def test_a_subscription_that_cannot_be_stored_is_told_to_nobody_and_fails_nothing() -> None:
    engine = HeldEngine()
    async with HubRoom(engine=engine, tells=True) as room:
        [(transport, session)] = room.crowd(1, exact("*"), grants=(exact("*"),))
        await engine.refuse()
        assert not transport.written
        assert session in room.audience.sessions
        assert room.counters.mercure_storage_failures == 1


async def test_those_who_were_here_when_the_process_died_are_told_to_be_gone() -> None:
    left = tuple(
        ActiveSubscription(subscriber=SubscriberId(f"urn:uuid:{name}"), matcher=exact(name))
        for name in ("old", "older")
    )
    engine = HeldEngine(opened=opened_at(7, "last", *left))
    published: list[Update] = []

    def publish(update: Update) -> asyncio.Future[StoredUpdate]:
        published.append(update)
        return asyncio.get_running_loop().create_future()

    teller = PresenceTeller(hub_path=HUB_PATH, publish=publish)
    async with HubRoom(engine=engine) as room:
        teller.bury(room.hub.open())
        await settle()
    assert [each.presence for each in published] == [Presence(subscription=each, active=False) for each in left]
    assert all(each.private and each.id == "" for each in published)


# -- what could not be stored ---------------------------------------------------------------------------------------


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest_asyncio.fixture
async def failing(engine: HeldEngine) -> AsyncIterator[HubRoom]:
    """A room that tells of subscriptions, and whose updates are stored when the test says so."""
    async with HubRoom(engine=engine, tells=True) as room:
        yield room


def taken(engine: HeldEngine) -> list[tuple[str, bool]]:
    """Return what was given to the engine since this was asked last: of each subscription, whether it is there."""
    found = [each.presence for each in engine.appended]
    engine.appended.clear()
    return [(each.subscription.matcher.value, each.active) for each in found if each is not None]


async def stores_again(room: HubRoom, engine: HeldEngine) -> None:
    """Store whatever there is, and something on no subscription."""
    room.hub.publish(update("a"))
    await engine.commit()


async def test_what_could_not_be_stored_is_told_once_when_something_was_stored_again(
    failing: HubRoom, engine: HeldEngine
) -> None:
    failing.crowd(1, exact("a"), exact("b"))
    await engine.refuse()
    assert taken(engine) == [("a", True), ("b", True)]
    await stores_again(failing, engine)
    assert taken(engine) == [("a", True), ("b", True)]
    await engine.commit()
    for _ in range(2):
        failing.hub.publish(update("a"))
        await engine.refuse()
        await stores_again(failing, engine)
    assert taken(engine) == []


async def test_what_fails_once_more_is_told_once_more(failing: HubRoom, engine: HeldEngine) -> None:
    failing.crowd(1, exact("a"))
    for _ in range(3):
        await engine.refuse()
        assert taken(engine) == [("a", True)]
        await stores_again(failing, engine)
    await engine.commit()
    assert taken(engine) == [("a", True)]


async def test_of_a_subscription_only_what_is_true_now_is_told_late(failing: HubRoom, engine: HeldEngine) -> None:
    [(_, leaving)] = failing.crowd(1, exact("a"))
    failing.crowd(1, exact("b"))
    await engine.refuse()
    leaving.leave()
    await engine.refuse()
    taken(engine)
    await stores_again(failing, engine)
    assert taken(engine) == [("b", True), ("a", False)]


async def test_what_failed_is_not_told_late_when_something_newer_was_told(failing: HubRoom, engine: HeldEngine) -> None:
    [(_, leaving)] = failing.crowd(1, exact("a"))
    await engine.refuse()
    leaving.leave()
    taken(engine)
    await stores_again(failing, engine)
    assert taken(engine) == []


@pytest.mark.parametrize("is_newer_stored", [True, False])
async def test_a_failure_that_comes_back_after_something_newer_was_sent_is_of_no_interest(
    failing: HubRoom, engine: HeldEngine, is_newer_stored: bool
) -> None:
    [(_, leaving)] = failing.crowd(1, exact("a"))
    leaving.leave()
    assert taken(engine) == [("a", True), ("a", False)]
    await engine.refuse(1)
    if is_newer_stored:
        await engine.commit()
        assert taken(engine) == []
    else:
        await engine.refuse()
        await stores_again(failing, engine)
        assert taken(engine) == [("a", False)]
        await engine.commit()
    failing.hub.publish(update("a"))
    await engine.refuse()
    await stores_again(failing, engine)
    assert taken(engine) == []
