"""Long polls of the hub: `poll=SECONDS` in the place of a stream. Our own, for clients that cannot stream."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.holding import one_more_held
from tests.e2e.hub_talking import READER, ROUTE, grant, published, query, reader, shown, subscribed
from tests.support.app_process import AppProcess
from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.hub_site import ANONYMOUS, HOST, HUB, MIXED, ask, old_publisher, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "http://page.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AppProcess]:
    async with AppProcess(ROUTE, settings=settings_for(tmp_path_factory.mktemp("hub"))) as app:
        yield app


def settings_for(folder: Path, *more: str) -> tuple[str, ...]:
    return (*MIXED, ANONYMOUS, f"mercure.cors_origins={PAGE}", f"mercure.history={folder / 'h.db'}", *more)


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """There is no backend here."""


def asking(*topics: str, after: str | None = None, poll: str = "25") -> str:
    """Return the target of a poll."""
    cursor = [("last_event_id", after)] if after is not None else []
    return query(*(("match", topic) for topic in topics), *cursor, ("poll", poll))


async def begin(app: AppProcess, client: RawClient, target: str, *, headers: Iterable[tuple[str, str]] = ()) -> None:
    """Ask, and return when the poll is held."""
    async with one_more_held(app):
        await client.send_request(target, headers=headers, host=HOST)


def told(response: Response) -> tuple[str, list[dict[str, Any]]]:
    """Return the cursor and the updates of an answer."""
    assert response.status == 200, response
    document = json.loads(response.body)
    assert list(document) == ["last_event_id", "updates"]
    assert re.fullmatch("#[0-9]+|earliest", document["last_event_id"])
    return document["last_event_id"], document["updates"]


def ids(response: Response) -> list[str]:
    """Return the ids of an answer's updates."""
    return [each["id"] for each in told(response)[1]]


async def goes_on(app: AppProcess, topic: str, cursor: str) -> None:
    """Going on from here gives what is published next on this topic, and nothing else."""
    update = await published(app.proxy_address, topic, "next")
    assert ids(await ask(app.proxy_address, asking(topic, after=cursor))) == [update]


async def test_a_poll_is_answered_by_the_next_update_and_the_connection_goes_on(
    app: AppProcess, client: RawClient
) -> None:
    for number in range(2):
        await begin(app, client, asking("next"))
        await published(app.proxy_address, "other", "x")
        update = await published(app.proxy_address, "next", f"{number}\né", type="news", retry="5")
        response = await client.response()
        one = {"id": update, "type": "news", "data": f"{number}\né", "retry": 5}
        cursor, updates = told(response)
        assert updates == [one]
        await goes_on(app, "next", cursor)
        assert response.values(b"content-type") == (b"application/json",)
        assert response.values(b"cache-control") == (b"no-store",)
        assert response.values(b"x-content-type-options") == (b"nosniff",)
    assert (await app.counters())["mercure_subscribers"] == 0


async def test_what_was_missed_is_told_at_once(app: AppProcess, client: RawClient) -> None:
    sent = [
        await published(app.proxy_address, topic, "x") for topic in ("missed", "other", "missed", "missed", "other")
    ]
    response = await client.fetch(asking("missed", after=sent[0]), host=HOST)
    cursor, updates = told(response)
    assert [each["id"] for each in updates] == sent[2:4]
    assert response.values(b"mercure-last-event-id") == response.values(b"last-event-id") == (sent[0].encode(),)
    await begin(app, client, asking("missed", after=cursor))
    update = await published(app.proxy_address, "missed", "new")
    response = await client.response()
    assert ids(response) == [update]
    assert response.values(b"mercure-last-event-id") == response.values(b"last-event-id") == (cursor.encode(),)


async def test_what_was_missed_comes_in_pages_and_pages_without_any_of_it_are_passed_over(
    app: AppProcess, client: RawClient
) -> None:
    start = await published(app.proxy_address, "paged", "start")
    batches = [["other"] * 1000, ["paged"] * 700, ["other"] * 1000, ["paged"] * 3]
    for topics in batches:
        await publish_list(app, [{"topic": topic, "data": str(number)} for number, topic in enumerate(topics)])
    found: list[str] = []
    cursor, answers = start, 0
    while len(found) < 703:
        cursor, updates = told(await client.fetch(asking("paged", after=cursor), host=HOST))
        assert 0 < len(updates) <= 500
        found += [each["data"] for each in updates]
        answers += 1
    assert found == [*map(str, range(700)), "0", "1", "2"]
    assert answers >= 2
    await goes_on(app, "paged", cursor)


async def publish_list(app: AppProcess, updates: list[dict[str, Any]]) -> list[str]:
    body = json.dumps(updates)
    response = await post(app.proxy_address, body, token=old_publisher("*"), content_type="application/json")
    assert response.status == 200, response
    sent: list[str] = json.loads(response.body)
    return sent


@pytest.mark.parametrize(("poll", "seconds"), [("", 25), ("0.5", 0.5), ("300", 300), ("7", 7)])
async def test_when_the_time_is_up_it_is_answered_with_no_update_and_where_to_go_on(
    app: AppProcess, client: RawClient, poll: str, seconds: float
) -> None:
    await begin(app, client, asking("nothing", poll=poll))
    await published(app.proxy_address, "other", "x")
    await app.advance(seconds - 0.1)
    assert not client.pending()
    await app.advance(0.3)
    cursor, updates = told(await client.response())
    assert updates == []
    missed = await published(app.proxy_address, "nothing", "between two polls")
    assert ids(await client.fetch(asking("nothing", after=cursor), host=HOST)) == [missed]


@pytest.mark.parametrize("poll", ["soon", "-1", "301", "1e2", "inf", "1.", "0x1"])
async def test_a_time_that_nobody_can_wait_is_refused(app: AppProcess, poll: str) -> None:
    found = await ask(app.proxy_address, asking("a", poll=poll))
    assert (found.status, found.body) == (400, b'Invalid "poll" parameter\n')


async def test_a_chain_of_polls_sees_everything_once_while_many_publish(app: AppProcess) -> None:
    expected = {f"{publisher} {number}" for publisher in range(4) for number in range(60)}

    async def storm(publisher: int) -> None:
        for number in range(60):
            await published(app.proxy_address, "storm", f"{publisher} {number}")

    async def follow() -> list[str]:
        found: list[str] = []
        cursor = start
        async with await RawClient.connect(app.proxy_address) as client:
            while len(found) < len(expected):
                cursor, updates = told(await client.fetch(asking("storm", after=cursor), host=HOST))
                found += [each["data"] for each in updates]
        return found

    start = await published(app.proxy_address, "other", "start")
    followers = [asyncio.create_task(follow()) for _ in range(3)]
    await asyncio.gather(*map(storm, range(4)))
    first, *others = await asyncio.gather(*followers)
    assert len(first) == len(expected)
    assert set(first) == expected
    assert all(other == first for other in others)


async def test_private_updates_answer_those_who_may_read_them_and_keep_others_waiting(app: AppProcess) -> None:
    start = await published(app.proxy_address, "other", "start")
    async with await RawClient.connect(app.proxy_address) as may, await RawClient.connect(app.proxy_address) as may_not:
        await begin(app, may, asking("private"), headers=shown(reader(grant("private"))))
        await begin(app, may_not, asking("private", after=start), headers=shown(reader(grant("elsewhere"))))
        private = await published(app.proxy_address, "private", "secret", private="on")
        assert ids(await may.response()) == [private]
        public = await published(app.proxy_address, "private", "public")
        assert ids(await may_not.response()) == [public]
    missed = await ask(app.proxy_address, asking("private", after=start))
    assert ids(missed) == [public]
    missed = await ask(app.proxy_address, asking("private", after=start), headers=shown(READER))
    assert ids(missed) == [private, public]


async def test_nobody_learns_the_id_of_a_private_update_from_a_cursor(app: AppProcess, client: RawClient) -> None:
    start = await published(app.proxy_address, "hidden", "start")
    await begin(app, client, asking("hidden"))
    await published(app.proxy_address, "hidden", "x", private="on", id="urn:secret")
    await app.advance(25.2)
    waited = await client.response()
    public = await published(app.proxy_address, "hidden", "x")
    await published(app.proxy_address, "hidden", "x", private="on", id="urn:secret:too")
    missed = await client.fetch(asking("hidden", after=start), host=HOST)
    gone_on = await client.fetch(asking("hidden", after=told(waited)[0]), host=HOST)
    assert (ids(waited), ids(missed), ids(gone_on)) == ([], [public], [public])
    for response in (waited, missed, gone_on):
        assert b"secret" not in response.body
        assert not any(b"secret" in value for _, value in response.head.headers)


async def test_repeated_ids_do_not_make_a_poll_go_round(app: AppProcess, client: RawClient) -> None:
    cursor = await published(app.proxy_address, "round", "start")
    expected, found = ["again", "between", "again", "again", "last", "again"], list[str]()
    for two in zip(expected[::2], expected[1::2], strict=True):
        for update in two:
            await published(app.proxy_address, "round", "x", id=update)
        response = await client.fetch(asking("round", after=cursor), host=HOST)
        found += ids(response)
        cursor = told(response)[0]
    assert found == expected
    await begin(app, client, asking("round", after=cursor, poll="5"))
    await app.advance(5.2)
    assert told(await client.response()) == (cursor, [])


async def test_a_poll_is_answered_before_its_token_expires(app: AppProcess, client: RawClient) -> None:
    _, wall = await app.times()
    token = reader(grant("expiring"), exp=wall + 10)
    await begin(app, client, asking("expiring"), headers=shown(token))
    await app.advance(8.2)
    assert told(await client.response())[1] == []
    assert (await client.fetch(asking("expiring"), headers=shown(reader(exp=wall - 1)), host=HOST)).status == 401


async def test_head_is_answered_at_once_and_nobody_is_counted(app: AppProcess, client: RawClient) -> None:
    before = (await app.counters())["mercure_subscribers_opened"]
    for _ in range(2):  # the connection goes on
        await client.send_request(asking("head"), method="HEAD", host=HOST)
        assert (await client.head()).status == 200
    assert (await app.counters())["mercure_subscribers_opened"] == before


async def test_a_poll_that_waits_for_nothing_is_told_what_it_missed_however_far_away_that_is(
    app: AppProcess, client: RawClient
) -> None:
    """The reading has its own time: `poll=0` asks what was missed, and must not be sent past it."""
    start = await published(app.proxy_address, "far", "start")
    others = [{"topic": "elsewhere", "data": str(number)} for number in range(1000)]
    body = json.dumps(others).encode()
    for _ in range(3):
        answer = await post(app.proxy_address, body, token=old_publisher("*"), content_type="application/json")
        assert answer.status == 200
    missed = await published(app.proxy_address, "far", "missed")
    cursor, updates = told(await client.fetch(asking("far", after=start, poll="0"), host=HOST))
    assert [each["id"] for each in updates] == [missed]
    await goes_on(app, "far", cursor)


async def test_a_client_of_http_1_0_gets_a_length_and_the_end_of_its_connection(
    app: AppProcess, client: RawClient
) -> None:
    async with one_more_held(app):
        await client.send(f"GET {asking('old')} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    update = await published(app.proxy_address, "old", "x")
    response = await client.response()
    assert ids(response) == [update]
    assert response.head.length() == len(response.body)
    assert await client.until_closed() == b""


async def test_what_is_sent_behind_a_poll_has_its_turn_after_it(app: AppProcess, client: RawClient) -> None:
    await begin(app, client, asking("first"))
    await client.send_request(asking("second", poll="soon"), host=HOST)
    update = await published(app.proxy_address, "first", "x")
    assert ids(await client.response()) == [update]
    assert (await client.response()).status == 400


async def test_a_page_of_another_origin_may_read_the_answer_and_its_cursor(app: AppProcess, client: RawClient) -> None:
    for origin, allowed in ((PAGE, (PAGE.encode(),)), ("http://elsewhere.example", ())):
        await begin(app, client, asking("cors"), headers=[("Origin", origin)])
        await published(app.proxy_address, "cors", "x")
        response = await client.response()
        assert response.values(b"access-control-allow-origin") == allowed
        assert response.values(b"vary") == (b"Origin",)
        exposed = response.values(b"access-control-expose-headers")
        assert exposed == ((b"Link, Mercure-Last-Event-ID, Last-Event-ID",) if allowed else ())


async def test_a_poll_may_be_asked_for_in_the_body_of_a_query(app: AppProcess, client: RawClient) -> None:
    start = await published(app.proxy_address, "other", "start")
    update = await published(app.proxy_address, "asked", "x")
    body = f"match=asked&poll=5&last_event_id={start}".encode()
    found = await client.fetch(HUB, method="QUERY", body=body, host=HOST)
    assert ids(found) == [update]


async def test_a_poll_with_an_unknown_cursor_is_told_so_and_waits(app: AppProcess, client: RawClient) -> None:
    await published(app.proxy_address, "unknown", "before")
    await begin(app, client, asking("unknown", after="nobody's"))
    update = await published(app.proxy_address, "unknown", "x")
    response = await client.response()
    assert ids(response) == [update]
    assert response.values(b"mercure-last-event-id") == (b"earliest",)


@pytest.mark.parametrize(("policy", "status"), [("all", 200), ("error", 410)])
async def test_a_poll_with_an_unknown_cursor_gets_what_the_operator_wants(
    tmp_path: Path, policy: str, status: int
) -> None:
    async with AppProcess(ROUTE, settings=settings_for(tmp_path, f"mercure.on_unknown_cursor={policy}")) as app:
        update = await published(app.proxy_address, "a", "before")
        found = await ask(app.proxy_address, asking("a", after="nobody's"))
        assert found.status == status
        assert status == 410 or ids(found) == [update]


async def test_a_cursor_beyond_the_end_or_trimmed_away_is_unknown(tmp_path: Path) -> None:
    limits = ("mercure.history_size=2", "mercure.on_unknown_cursor=error")
    async with AppProcess(ROUTE, settings=settings_for(tmp_path, *limits)) as app:
        sent = [await published(app.proxy_address, "a", "x") for _ in range(5)]
        for unknown in ("#1", "#2", "#6", "#999999999999999999", "#", "#-1", "# 3", "#x", "3"):
            assert (await ask(app.proxy_address, asking("a", after=unknown))).status == 410, unknown
        for known, missed in (("#3", sent[3:]), ("#4", sent[4:])):
            assert ids(await ask(app.proxy_address, asking("a", after=known))) == missed
        await goes_on(app, "a", "#5")


async def test_a_stream_goes_on_where_a_poll_ended(app: AppProcess) -> None:
    await published(app.proxy_address, "both", "before")
    cursor, _ = told(await ask(app.proxy_address, asking("both", after="earliest")))
    update = await published(app.proxy_address, "both", "x")
    for pairs, headers in (([("last_event_id", cursor)], []), ([], [("Last-Event-ID", cursor)])):
        target = query(("match", "both"), *pairs)
        async with subscribed(app.proxy_address, target, headers=headers) as stream:
            assert stream.head.values(b"mercure-last-event-id") == (cursor.encode(),)
            assert (await stream.event()).id == update


async def test_without_a_history_a_poll_gets_what_comes_while_it_waits() -> None:
    async with (
        AppProcess(ROUTE, settings=(*MIXED, ANONYMOUS, "mercure.history=")) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await begin(app, client, asking("a", after="earliest", poll="5"))
        await app.advance(5.2)
        assert told(await client.response()) == ("earliest", [])
        await begin(app, client, asking("a", after="earliest", poll="5"))
        update = await published(app.proxy_address, "a", "x")
        assert told(await client.response()) == ("#1", [{"id": update, "data": "x"}])


async def test_a_stopping_process_answers_those_who_wait_and_closes(tmp_path: Path) -> None:
    async with (
        AppProcess(ROUTE, settings=settings_for(tmp_path, "proxy.drain_timeout=10")) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await published(app.proxy_address, "other", "x")
        await begin(app, client, asking("a"))
        app.signal(signal.SIGTERM)
        await app.log_line("stopping: 1 held")
        await app.advance(8.1)
        response = await client.response()
        assert told(response) == ("#1", [])
        assert response.values(b"connection") == (b"close",)
        assert await client.until_closed() == b""
        assert await app.exit_status() == 0
