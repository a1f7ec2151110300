"""A process that dies has told nobody that its subscribers are gone: the next one does, once (reference 11, B18).

What was told is read from the history, which outlives the processes: a reader of its own, from the beginning.
"""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.hub_talking import (
    READER,
    ROUTE,
    SUBSCRIPTIONS,
    Address,
    Event,
    published,
    query,
    subscribed,
)
from tests.support.app_process import AppProcess
from tests.support.hub_site import ANONYMOUS, MIXED

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY = ("match_urlpattern", f"{SUBSCRIPTIONS}/:kind/:match/:subscriber")


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """There is no backend here."""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


def process(history: Path, *, tells: bool = True, drain: float = 0) -> AppProcess:
    """Return a process on this history."""
    told = f"mercure.subscriptions={str(tells).lower()}"
    settings = (*MIXED, ANONYMOUS, told, f"mercure.history={history}", f"proxy.drain_timeout={drain}")
    return AppProcess(ROUTE, settings=settings)


async def everything(address: Address, *, after: str = "earliest") -> list[Event]:
    """Return all events on subscriptions and on the topic `end` so far, without those on whoever asks.

    It is subscribed, and told of itself, once it has what came before: maybe behind the end.
    """
    mark = f"asks {uuid.uuid4()}"
    target = query(EVERY, ("match", "end"), ("match", mark), ("last_event_id", after))
    async with subscribed(address, target, token=READER) as stream:
        end = await published(address, "end", "end")
        found: list[Event] = []
        while end not in {event.id for event in found} or len(own := told_of(mark, found)) < 3:
            found.append(await stream.event())
    return [event for event in found if event.id not in {*own, end}]


def told_of(mark: str, events: list[Event]) -> set[str]:
    """Return the ids of the events on all subscriptions of the one who has `mark` among its matchers."""
    documents = [(event.id, event.json) for event in events if event.type]
    names = {document["subscriber"] for _, document in documents if document["match"] == mark}
    return {event_id for event_id, document in documents if document["subscriber"] in names}


def comings_and_goings(events: list[Event]) -> Counter[tuple[str, str, bool]]:
    """Count what was told of whom."""
    documents = [event.json for event in events if event.type == "mercure"]
    return Counter((each["subscriber"], each["match"], each["active"]) for each in documents)


async def killed(app: AppProcess) -> None:
    app.signal(signal.SIGKILL)
    assert await app.exit_status() == -signal.SIGKILL


async def stopped(app: AppProcess) -> None:
    app.signal(signal.SIGTERM)
    assert await app.exit_status() == 0


async def subscribe_and_end(app: AppProcess, how: signal.Signals) -> list[tuple[str, str]]:
    """Connect three subscribers, end the process under them, and return who they were, by matcher."""
    address = app.proxy_address
    async with (
        subscribed(address, query(EVERY), token=READER) as watcher,
        subscribed(address, query(("match", "a"), ("match", "b"))),
        subscribed(address, query(("match_urlpattern", "/:id"))),
    ):
        told = [event.json for event in await watcher.events(4)]
        assert all(each["active"] for each in told)
        await (killed(app) if how is signal.SIGKILL else stopped(app))
        return [(each["subscriber"], each["match"]) for each in told]


async def test_each_subscriber_of_a_killed_process_is_told_to_be_gone_once(history: Path) -> None:
    async with process(history) as app:
        dead = await subscribe_and_end(app, signal.SIGKILL)
    expected = Counter((*who, active) for who in dead for active in (True, False))
    for end in (killed, stopped, stopped):
        async with process(history) as app:
            found = comings_and_goings(await everything(app.proxy_address))
            assert {each: count for each, count in found.items() if each[:2] in dead} == expected
            await end(app)


async def test_who_watched_is_told_of_them_when_it_comes_back(history: Path) -> None:
    """With the id of the last event that it saw; its own end is among them."""
    async with (
        process(history) as app,
        subscribed(app.proxy_address, query(EVERY), token=READER) as watcher,
        subscribed(app.proxy_address, query(("topic", "a"))),
    ):
        itself, other = await watcher.events(2)
        await killed(app)
    async with process(history) as app:
        target = query(EVERY, ("last_event_id", other.id))
        async with subscribed(app.proxy_address, target, token=READER) as watcher:
            ends = {event.json["subscriber"]: event.json for event in await watcher.events(2)}
            back = (await watcher.event()).json
    assert not any(each["active"] for each in ends.values())
    assert ends.keys() == {itself.json["subscriber"], other.json["subscriber"]}
    assert ends[other.json["subscriber"]] == {**other.json, "active": False}
    assert back["active"] is True


async def test_a_clean_stop_tells_of_them_itself_and_the_next_start_has_nothing_to_tell(history: Path) -> None:
    async with process(history) as app:
        left = await subscribe_and_end(app, signal.SIGTERM)
    async with process(history) as app:
        assert app.log_lines("update id=") == []
        found = comings_and_goings(await everything(app.proxy_address))
    assert found == Counter((*who, active) for who in left for active in (True, False))


async def test_nobody_comes_back_from_the_dead_when_subscriptions_were_not_told_of_for_a_while(history: Path) -> None:
    """The process that does not tell of its own subscribers still tells of the dead: they are not left for later."""
    async with process(history) as app:
        dead = await subscribe_and_end(app, signal.SIGKILL)
    async with process(history, tells=False) as app, subscribed(app.proxy_address, query(("match", "untold"))):
        silent_since = await published(app.proxy_address, "end", "between")
        await killed(app)
    async with process(history) as app:
        found = await everything(app.proxy_address)
        later = await everything(app.proxy_address, after=silent_since)
    assert comings_and_goings(found)[(*dead[0], False)] == 1
    assert not {who[:2] for who in comings_and_goings(later)}.intersection(dead)
    assert "untold" not in {event.json["match"] for event in found if event.type}
