"""Subscriptions that come and go are told of, to watchers of either generation (reference 1.12, 2.1).

Rows L01 to L06 and L17 to L19. Each test has topics of its own, and watches these alone.
"""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest

from tests.e2e.holding import one_more_held, stopping
from tests.e2e.hub_talking import (
    NO_HISTORY,
    READER,
    ROUTE,
    SUBSCRIPTIONS,
    Stream,
    grant,
    open_events,
    published,
    query,
    reader,
    subscribed,
)
from tests.handlers.hub.signing import token as sign
from tests.support.app_process import AppProcess
from tests.support.client import RawClient, crowd
from tests.support.hub_site import (
    ANONYMOUS,
    HOST,
    HUB,
    MIXED,
    OLD_SUBSCRIBER_KEY,
    ask,
    bearer,
    old_publisher,
    post,
    publisher,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOLD = "mercure.subscriptions=true"


@pytest.fixture(scope="module")
def routes() -> tuple[str, ...]:
    return (ROUTE,)


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return (*MIXED, NO_HISTORY, ANONYMOUS, TOLD, "proxy.drain_timeout=10")


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """There is no backend here."""


def watching(match: str, *, kind: str = "exact") -> str:
    """Return the target of a watcher of the subscriptions with one matcher."""
    return query(("match_urlpattern", f"{SUBSCRIPTIONS}/{kind}/{quote(match, safe='')}/:subscriber"))


def watching_of_old(topic: str) -> str:
    """Return the target of a watcher of the older generation."""
    return query(("topic", f"{SUBSCRIPTIONS}/{quote(topic, safe='')}{{/subscriber}}"))


@asynccontextmanager
async def watcher(app: AppProcess, target: str) -> AsyncIterator[Stream]:
    async with subscribed(app.proxy_address, target, token=READER) as stream:
        yield stream


async def test_l01_l02_each_matcher_of_a_subscriber_is_told_of_when_it_comes_and_when_it_goes(app: AppProcess) -> None:
    both = query(("match_urlpattern", f"{SUBSCRIPTIONS}/:kind/l01:any/:subscriber"))
    async with watcher(app, both) as stream:
        target = query(("match_urlpattern", "l01:id"), ("match", "l01b"), ("match", "l01a"))
        async with subscribed(app.proxy_address, target):
            came = await stream.events(3)
        gone = await stream.events(3)
    documents = [event.json for event in (*came, *gone)]
    # By name of parameter, then in order of appearance.
    assert [each["match"] for each in documents] == ["l01b", "l01a", "l01:id"] * 2
    assert [each["active"] for each in documents] == [True] * 3 + [False] * 3
    assert len({each["subscriber"] for each in documents}) == 1
    assert len({event.id for event in (*came, *gone)}) == 6


async def test_l03_a_watcher_sees_itself_first(app: AppProcess) -> None:
    pattern = f"{SUBSCRIPTIONS}/urlpattern/:match(.*l03.*)/:subscriber"
    async with watcher(app, query(("match_urlpattern", pattern))) as stream:
        first = (await stream.event()).json
    assert (first["match"], first["match_type"], first["active"]) == (pattern, "urlpattern", True)


async def test_l04_the_event_is_of_type_mercure_and_its_document_is_indented(app: AppProcess) -> None:
    payload = {"user": "Zoë", "roles": ["a", "b"]}
    shows = reader(grant("l04", payload=payload))
    async with (
        watcher(app, watching("l04")) as stream,
        subscribed(app.proxy_address, query(("match", "l04")), token=shows),
    ):
        event = await stream.event()
    subscriber = event.json["subscriber"]
    path = f"{SUBSCRIPTIONS}/exact/l04/{quote(subscriber, safe='')}"
    lines = [
        "event: mercure",
        f"id: {event.id}",
        "data: {",
        f'data:   "id": "{path}",',
        'data:   "type": "subscription",',
        f'data:   "subscriber": "{subscriber}",',
        'data:   "match": "l04",',
        'data:   "match_type": "exact",',
        'data:   "active": true,',
        'data:   "payload": {',
        'data:     "user": "Zoë",',
        'data:     "roles": [',
        'data:       "a",',
        'data:       "b"',
        "data:     ]",
        "data:   }",
        "data: }",
    ]
    assert event.raw.split("\n") == lines
    assert subscriber.startswith("urn:uuid:")
    assert event.id != subscriber


@pytest.mark.parametrize(
    ("match", "escaped"),
    [
        ("l05 a", "l05%20a"),
        ("l05+a", "l05%2Ba"),
        ("l05/a", "l05%2Fa"),
        ("https://example.com/l05?é=1", "https%3A%2F%2Fexample.com%2Fl05%3F%C3%A9%3D1"),
        ("l05%20a~._-", "l05%2520a~._-"),
    ],
)
async def test_l05_a_matcher_is_escaped_once_in_both_names(app: AppProcess, match: str, escaped: str) -> None:
    async with (
        watcher(app, watching(match)) as stream,
        watcher(app, watching_of_old(match)) as old,
        subscribed(app.proxy_address, query(("match", match))),
    ):
        current, older = (await stream.event()).json, (await old.event()).json
    subscriber = quote(current["subscriber"], safe="")
    assert current["id"] == f"{SUBSCRIPTIONS}/exact/{escaped}/{subscriber}"
    assert older["id"] == f"{SUBSCRIPTIONS}/{escaped}/{subscriber}"
    assert current["match"] == older["topic"] == match


OLD = sign({"mercure": {"subscribe": ["other"], "payload": {"of": "the token"}}}, OLD_SUBSCRIBER_KEY)
PAYLOADS = reader(
    grant("other", payload="of another topic"),
    grant("l06", payload="of publishing", action="publish"),
    grant("l06:id", kind="urlpattern", payload="first"),
    grant("l06x", payload="second"),
    grant("*", payload="default"),
)


@pytest.mark.parametrize(
    ("match", "shows", "payload"),
    [
        ("l06", None, None),
        ("l06", reader(grant("other", payload="x")), None),
        ("l06", reader(grant("l06")), None),
        ("l06", PAYLOADS, "default"),
        ("l06x", reader(grant("l06y", payload=1), grant("l06x", payload=2), grant("l06x", payload=3)), 2),
        ("l06x", reader(grant("*", payload="default"), grant("l06x", payload="own")), "default"),
        ("l06x", PAYLOADS, "first"),
        ("/l06/1", reader(grant("/l06/:id", kind="urlpattern", payload=["pattern"])), ["pattern"]),
        ("/l06/:id", reader(grant("/l06/*", kind="urlpattern", payload={"a": 1})), {"a": 1}),
        ("l06", OLD, {"of": "the token"}),
    ],
)
async def test_l06_the_payload_is_that_of_the_first_grant_that_matches_the_matcher_as_a_topic(
    app: AppProcess, match: str, shows: str | None, payload: object
) -> None:
    async with watcher(app, watching(match)) as stream:
        async with subscribed(app.proxy_address, query(("match", match)), token=shows):
            document = (await stream.event()).json
        await stream.event()  # that it is gone, or the next of these would see it
    assert document.get("payload") == payload
    assert ("payload" in document) == (payload is not None)


@pytest.mark.parametrize(
    "fields",
    [
        {"topic": f"{SUBSCRIPTIONS}/exact/l17/urn:uuid:1"},
        {"topic": f"http://{HOST}{SUBSCRIPTIONS}/l17/x"},
        {"topic": f"{HUB}/%73ubscriptions/exact/l17/x"},
        {"topic": "l17", "type": "mercure"},
    ],
    ids=["topic", "absolute", "escaped", "type"],
)
@pytest.mark.parametrize("shows", [old_publisher("*"), publisher()], ids=["old", "current"])
async def test_l17_nobody_can_forge_the_coming_of_another(app: AppProcess, fields: dict[str, str], shows: str) -> None:
    response = await post(app.proxy_address, {"data": '{"active": true}', **fields}, token=shows)
    assert response.status == 400
    assert response.body


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (query(("match", "l18")), [bearer("x" * 50)], 401),
        (query(("match", "l18"), ("match_urlpattern", "(")), (), 400),
        (query(("match", "l18"), *[("match", f"l18-{number}") for number in range(100)]), (), 400),
        (query(("match", "l18"), ("poll", "soon")), (), 400),
    ],
    ids=["token", "pattern", "too many", "poll"],
)
async def test_l18_a_subscriber_that_is_refused_is_not_told_of(
    app: AppProcess, target: str, headers: list[tuple[str, str]], status: int
) -> None:
    async with watcher(app, watching("l18")) as stream:
        assert (await ask(app.proxy_address, target, headers=headers)).status == status
        async with subscribed(app.proxy_address, query(("match", "l18"))):
            first = (await stream.event()).json
        last = (await stream.event()).json  # or the next of these would see it
    assert (first["active"], last["active"]) == (True, False)


async def test_a_head_request_is_no_subscription(app: AppProcess) -> None:
    async with watcher(app, watching("headed")) as stream:
        assert (await ask(app.proxy_address, query(("match", "headed")), method="HEAD")).status == 200
        async with subscribed(app.proxy_address, query(("match", "headed"))):
            came = (await stream.event()).json
        gone = (await stream.event()).json
    assert (came["active"], gone["active"]) == (True, False)
    assert came["subscriber"] == gone["subscriber"]


@pytest.mark.parametrize(
    ("target", "match", "kind"),
    [
        (query(("match", "l19")), "l19", "exact"),
        (query(("match_urlpattern", "/l19/:id")), "/l19/:id", "urlpattern"),
        (query(("topic", "https://example.com/l19/{id}")), "https://example.com/l19/{id}", "selector"),
    ],
)
async def test_l19_watchers_of_both_generations_are_told_each_in_its_own_shape(
    app: AppProcess, target: str, match: str, kind: str
) -> None:
    async with watcher(app, watching(match, kind=kind)) as current, watcher(app, watching_of_old(match)) as old:
        async with subscribed(app.proxy_address, target):
            told, told_of_old = await current.event(), await old.event()
        for stream in (current, old):
            assert (await stream.event()).json["active"] is False
    document, subscriber = told.json, told.json["subscriber"]
    named = {"topic": match} if kind == "selector" else {"match": match, "match_type": kind}
    escaped = f"{quote(match, safe='')}/{quote(subscriber, safe='')}"
    assert document == {
        "id": f"{SUBSCRIPTIONS}/{kind}/{escaped}",
        "type": "subscription",
        "subscriber": subscriber,
        **named,
        "active": True,
    }
    assert list(told_of_old.json.items()) == [
        ("@context", "https://mercure.rocks/"),
        ("id", f"{SUBSCRIPTIONS}/{escaped}"),
        ("type", "Subscription"),
        ("subscriber", subscriber),
        ("topic", match),
        ("active", True),
    ]
    assert (told.type, told_of_old.type) == ("mercure", "")
    assert told.id == told_of_old.id


async def test_who_watches_in_both_ways_is_told_once_and_in_the_current_shape(app: AppProcess) -> None:
    pattern = f"{SUBSCRIPTIONS}/:kind/bilingual/:subscriber"
    target = query(("match_urlpattern", pattern), ("topic", f"{SUBSCRIPTIONS}/bilingual{{/subscriber}}"))
    async with watcher(app, target) as stream:
        async with subscribed(app.proxy_address, query(("match", "bilingual"))):
            came = await stream.event()
        gone = await stream.event()
    assert [(event.type, event.json["active"]) for event in (came, gone)] == [("mercure", True), ("mercure", False)]


async def test_who_may_not_read_the_name_of_a_subscription_is_not_told(app: AppProcess) -> None:
    """Anonymous watchers, and those with a grant on another topic; an update shows that they would have been."""
    address = app.proxy_address
    pattern = ("match_urlpattern", f"{SUBSCRIPTIONS}/:kind/secret/:subscriber")
    target = query(pattern, ("match", "barrier"))
    elsewhere = reader(grant(f"{SUBSCRIPTIONS}/exact/open/:subscriber", kind="urlpattern"))
    async with (
        subscribed(address, target) as anonymous,
        subscribed(address, target, token=elsewhere) as other,
        watcher(app, query(pattern)) as may,
        subscribed(address, query(("match", "secret"))),
    ):
        await may.event()
        await published(address, "barrier", "seen")
        assert [(await stream.event()).data for stream in (anonymous, other)] == ["seen", "seen"]


@pytest.mark.parametrize("how", ["close", "reset", "half close"])
async def test_l02_however_a_client_leaves_it_is_told(app: AppProcess, how: str) -> None:
    async with watcher(app, watching("leaver")) as stream, await RawClient.connect(app.proxy_address) as client:
        await open_events(client, query(("match", "leaver")))
        assert (await stream.event()).json["active"] is True
        {"close": client.close, "reset": client.reset, "half close": client.half_close}[how]()
        assert (await stream.event()).json["active"] is False


async def test_polls_come_and_go_and_are_not_told_of(app: AppProcess) -> None:
    async with watcher(app, watching("polled")) as stream:
        async with await RawClient.connect(app.proxy_address) as client:
            for _ in range(2):
                async with one_more_held(app):
                    await client.send_request(query(("match", "polled"), ("poll", "10")), host=HOST)
                listed = await ask(app.proxy_address, f"{SUBSCRIPTIONS}/exact/polled", headers=[bearer(READER)])
                assert json.loads(listed.body)["subscriptions"] == []
                await published(app.proxy_address, "polled", "x")
                assert (await client.response()).status == 200
        async with subscribed(app.proxy_address, query(("match", "polled"))):
            first = (await stream.event()).json
        assert (first["active"], (await stream.event()).json["subscriber"]) == (True, first["subscriber"])


async def test_a_client_that_is_cut_because_it_does_not_read_is_told_to_be_gone() -> None:
    settings = (*MIXED, NO_HISTORY, ANONYMOUS, TOLD, "hold.outbox_limit=10000")
    async with (
        AppProcess(ROUTE, settings=settings) as app,
        watcher(app, watching("slow")) as stream,
        await RawClient.connect(app.proxy_address, receive_buffer=4096) as client,
    ):
        await client.send_request(query(("match", "slow")), host=HOST)
        assert (await stream.event()).json["active"] is True
        while not (await app.counters())["slow_clients"]:
            await published(app.proxy_address, "slow", "x" * 500_000)
        assert (await stream.event()).json["active"] is False


async def test_a_connection_whose_time_is_up_is_told_to_be_gone() -> None:
    """At 80 % of `write_timeout`."""
    async with (
        AppProcess(ROUTE, settings=(*MIXED, NO_HISTORY, ANONYMOUS, TOLD, "mercure.write_timeout=100")) as app,
        subscribed(app.proxy_address, query(("match", "timed"))) as timed,
    ):
        await app.advance(40)
        async with watcher(app, watching("timed")) as stream:
            await app.advance(40.2)
            await timed.ended()
            assert (await stream.event()).json["active"] is False


async def test_a_drain_tells_of_everybody_that_leaves_to_those_still_there() -> None:
    """Who leaves when is chance, but that all watchers go before all the others do."""
    settings = (*MIXED, NO_HISTORY, ANONYMOUS, TOLD, "proxy.drain_timeout=10")
    async with (
        AppProcess(ROUTE, settings=settings, seed=3) as app,
        crowd(app.proxy_address, 10) as watchers,
        crowd(app.proxy_address, 10) as clients,
    ):
        shown = [bearer(READER)]
        watching_them = [await open_events(client, watching("drained"), headers=shown) for client in watchers]
        opened = [await open_events(client, query(("match", "drained"))) for client in clients]
        came = [{event.json["subscriber"] for event in await stream.events(10)} for stream in watching_them]
        assert len(came[0]) == 10
        assert all(each == came[0] for each in came)
        app.signal(signal.SIGTERM)
        await stopping(app, 20)
        for seconds in (*[0.4] * 10, 4.2):
            await app.advance(seconds)
        for each in opened:
            await each.ended()
        assert [await client.until_closed() for client in clients] == [b""] * 10
        assert await app.exit_status() == 0
        told = [left_of(await client.until_closed()) for client in watchers]
    assert any(told)
    for subscribers in told:
        assert len(subscribers) == len(set(subscribers))
        assert came[0].issuperset(subscribers)


def left_of(body: bytes) -> list[str]:
    """Return the subscribers told to be gone in what is left of a stream's body, chunked as it is."""
    found = []
    for piece in body.split(b"event: mercure\n")[1:]:
        lines = [line.removeprefix(b"data: ") for line in piece.split(b"\n") if line.startswith(b"data: ")]
        document = json.loads(b"\n".join(lines))
        assert document["active"] is False
        found.append(document["subscriber"])
    return found
