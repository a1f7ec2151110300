"""How the hub's parts are put together: which engine, what base, and what opening and closing do."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.memory import MemoryEngine
from handlers.hub.settings import HubSettings
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import NO_ORIGIN
from handlers.protocol.names import Topic
from proxy.app import App
from proxy.errors import SettingsError
from proxy.hub.assembly import make_engine, make_hub
from tests.handlers.engines.updates import presence, subscription
from tests.handlers.room import Room
from tests.support.clock import ManualClock
from tests.support.hub_site import HOST, HUB, MIXED, hub, numbered, store, subscribed
from tests.support.settings import settings_from

IDENTIFIER = f"https://{HOST}{HUB}"


@pytest.fixture
async def room() -> Room:
    return Room()


async def test_h16_without_a_file_nothing_is_kept_and_with_one_it_is(tmp_path: Path) -> None:
    assert isinstance(make_engine(HubSettings(anonymous=True, history="")), MemoryEngine)
    file = tmp_path / "hub.db"
    engine = make_engine(HubSettings(anonymous=True, history=str(file), history_size=2))
    assert isinstance(engine, EmbeddedEngine)
    assert not file.exists(), "not before it is opened"
    engine.open(lambda batch: None, at=0)
    for update in numbered(range(5)):
        await engine.append(update, at=0)
    assert [each.update.id for each in await engine.read(0, 10, 10)] == ["3", "4"]
    await engine.close()
    assert file.exists()


@pytest.mark.parametrize(
    ("identifier", "topic", "matches"),
    [
        pytest.param(IDENTIFIER, f"https://{HOST}/books/1", True, id="its own origin"),
        pytest.param(IDENTIFIER, "/books/1", True, id="relative"),
        pytest.param(IDENTIFIER, f"{NO_ORIGIN}/books/1", False, id="no origin"),
        pytest.param("", f"https://{HOST}/books/1", False, id="unknown, its own origin"),
        pytest.param("", "/books/1", True, id="unknown, relative"),
    ],
)
async def test_patterns_are_relative_to_the_hubs_url_if_it_is_known(
    room: Room, identifier: str, topic: str, matches: bool
) -> None:
    settings = HubSettings(anonymous=True, history="", resource_identifier=identifier)
    matching = make_hub(settings, clock=room.clock, counters=room.counters).hub.audience.matching
    assert matching.matches(Matcher(MatcherKind.URLPATTERN, "/books/:id"), Topic(topic)) == matches


async def test_a_key_that_cannot_be_used_is_refused(room: Room) -> None:
    with pytest.raises(SettingsError, match=r"mercure\.publisher_key"):
        make_hub(HubSettings(publisher_key="file:/no/such/file", history=""), clock=room.clock, counters=room.counters)
    with pytest.raises(SettingsError, match=r"mercure\.publisher_key"):
        App(settings_from(["mercure.publisher_key=file:/no/such/file"], routes=["* test"]), clock=ManualClock())


@pytest.mark.parametrize("tells", [True, False])
async def test_subscriptions_are_told_of_if_they_are_to_be(room: Room, tells: bool) -> None:
    parts = make_hub(
        HubSettings(anonymous=True, history="", subscriptions=tells), clock=room.clock, counters=room.counters
    )
    assert (parts.hub.audience.watcher is parts.presence) == tells


@pytest.mark.parametrize("tells", [True, False])
async def test_b18_opening_tells_of_those_whom_a_crash_has_ended(room: Room, tmp_path: Path, tells: bool) -> None:
    file = tmp_path / "hub.db"
    engine = EmbeddedEngine(file)
    engine.open(lambda batch: None, at=0)
    await engine.append(presence(subscription(1), active=True), at=0)
    await engine.close()
    parts = make_hub(
        HubSettings(anonymous=True, history=str(file), subscriptions=tells), clock=room.clock, counters=room.counters
    )
    parts.open()
    await parts.close()
    again = EmbeddedEngine(file)
    assert again.open(lambda batch: None, at=0).subscriptions == ()
    last = (await again.read(1, 9, 9))[-1].update
    assert last.presence is not None
    assert (last.presence.subscription, last.presence.active) == (subscription(1), False)
    await again.close()


async def test_opening_says_what_there_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "holdfast.hub")
    file = tmp_path / "hub.db"
    async with hub(*MIXED, "mercure.path=/live"), hub(*MIXED, f"mercure.history={file}"):
        lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Mercure hub")]
    assert lines == [
        "Mercure hub on /live, protocols 1.0, 8, no history",
        f"Mercure hub on {HUB}, protocols 1.0, 8, history in {file}",
    ]


async def test_a_history_that_cannot_be_opened_keeps_it_from_starting(tmp_path: Path) -> None:
    settings = settings_from(["mercure.anonymous=true", f"mercure.history={tmp_path}"], routes=["* test"])
    app = App(settings, clock=ManualClock())
    with pytest.raises(SettingsError, match=f"mercure.history: .*{tmp_path}"):
        await app.start()
    await app.drain()


async def test_a_history_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    file = f"mercure.history={tmp_path / 'hub.db'}"
    async with hub(*MIXED, file):
        other = App(settings_from([*MIXED, file], routes=["* test"]), clock=ManualClock())
        with pytest.raises(SettingsError, match=r"mercure\.history: "):
            await other.start()
        await other.drain()
    async with hub(*MIXED, file):
        pass


async def test_closing_stores_what_was_published_and_answers_whoever_waits(tmp_path: Path) -> None:
    file = f"mercure.history={tmp_path / 'hub.db'}"
    async with hub(*MIXED, file) as app:
        assert app.hub is not None
        waiting = [app.hub.hub.publish(update) for update in numbered(range(50))]
    assert [(await each).seq for each in waiting] == list(range(1, 51))
    async with (
        hub(*MIXED, "mercure.anonymous=true", file) as app,
        subscribed(app, "match=a&last_event_id=earliest") as stream,
    ):
        assert await stream.ids(50) == [str(each) for each in range(50)]


@pytest.mark.parametrize("bridge", ["off", "public"])
async def test_the_bridge_hears_of_updates_if_there_is_one(bridge: str) -> None:
    async with hub(*MIXED, f"mercure.bridge={bridge}") as app:
        assert app.hub is not None
        assert (app.hub.hub.follower is None) == (bridge == "off")
        await store(app, numbered([1]))
        assert app.counters.mercure_updates == 1
