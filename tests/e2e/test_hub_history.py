"""Coming back with a cursor: what is told, and what is replayed (reference 1.11, 2.1, 2.3, 6.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from proxy.app import App
from tests.support.client import RawClient
from tests.support.hub_site import (
    ANONYMOUS,
    HOST,
    HUB,
    MIXED,
    STRICT,
    STRICT_7,
    STRICT_8,
    STRICT_2019,
    ask,
    hub,
    numbered,
    old_subscriber,
    post,
    publisher,
    store,
    subscribed,
    subscriber,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW, OLD = b"mercure-last-event-id", b"last-event-id"
LAST_EVENT_ID = "Last-Event-ID"
END = "end "

MARKS = (f"{END}{number}" for number in count())
"""Ids of updates that end what a subscriber missed."""

Found = tuple[bytes | None, list[str]]


@pytest.fixture
def history(tmp_path: Path) -> str:
    """The setting for a file of the test's own."""
    return f"mercure.history={tmp_path / 'hub.db'}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def five(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """A strict hub that remembers five updates on `a`, of which the third is private, and two on `b`."""
    async with hub(*STRICT, ANONYMOUS, f"mercure.history={tmp_path_factory.mktemp('five') / 'hub.db'}") as app:
        await store(app, numbered([1, 2]))
        await store(app, numbered([3], private=True))
        await store(app, [*numbered([11], topic="b"), *numbered([4, 5]), *numbered([12], topic="b")])
        yield app


async def missed(app: App, query: str, *headers: tuple[str, str], token: str | None = None, path: str = HUB) -> Found:
    """Subscribe; return the cursor that the answer names, and the ids of what came before what is published now."""
    parameter = "topic" if "topic=" in query else "match"
    async with subscribed(app, f"{query}&{parameter}=end", *headers, token=token, path=path) as stream:
        mark = next(MARKS)
        await store(app, numbered([mark], topic="end"))
        found: list[str] = []
        while (each := await stream.id()) != mark:
            found.append(each)
        told = (*stream.head.values(NEW), *stream.head.values(OLD))
        assert len(set(told)) < 2, told
        return told[0] if told else None, [each for each in found if not each.startswith(END)]


# -- which cursor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [
        pytest.param("match=a", None, (None, []), id="no cursor"),
        pytest.param("match=a&last_event_id=2", None, (b"2", ["4", "5"]), id="H01"),
        pytest.param("match=a", "2", (b"2", ["4", "5"]), id="H01 header"),
        pytest.param("match=a&last_event_id=11", None, (b"11", ["4", "5"]), id="H01 of another topic"),
        pytest.param("match=b&match=a&last_event_id=2", None, (b"2", ["11", "4", "5", "12"]), id="H01 two topics"),
        pytest.param("match=a&last_event_id=5", None, (b"5", []), id="H01 the last"),
        pytest.param("match=a&last_event_id=earliest", None, (b"earliest", ["1", "2", "4", "5"]), id="H02"),
        pytest.param("match=a", "earliest", (b"earliest", ["1", "2", "4", "5"]), id="H02 header"),
        pytest.param("match=b&last_event_id=earliest", None, (b"earliest", ["11", "12"]), id="H02 another topic"),
        pytest.param("match=a&last_event_id=nobody's", None, (b"earliest", []), id="H03"),
        pytest.param("match=a", "nobody's", (b"earliest", []), id="H03 header"),
        pytest.param("match=a&last_event_id=%ff", None, (b"earliest", []), id="H03 no UTF-8"),
        pytest.param("match=a&last_event_id=Earliest", None, (b"earliest", []), id="H03 letter case"),
        pytest.param("match=a&last_event_id=1", "4", (b"4", ["5"]), id="H04"),
        pytest.param("match=a&last_event_id=1", "", (b"1", ["2", "4", "5"]), id="H05"),
        pytest.param("match=a&last_event_id=", None, (b"earliest", []), id="H06"),
        pytest.param("match=a&last_event_id", None, (b"earliest", []), id="H06 bare"),
        pytest.param("match=a", "", (b"earliest", []), id="H06 header"),
        pytest.param("match=a&last_event_id=&last_event_id=1", None, (b"earliest", []), id="the first counts"),
        pytest.param("match=a&last_event_id=3", None, (b"3", ["4", "5"]), id="H07"),
        pytest.param("match=a&lastEventID=1&Last-Event-ID=1&lastEventId=1", None, (None, []), id="H14 H15 not of 1.0"),
    ],
)
async def test_h01_to_h07_a_cursor_is_told_and_what_came_after_it_replayed(
    five: App, query: str, header: str | None, expected: Found
) -> None:
    headers = () if header is None else ((LAST_EVENT_ID, header),)
    assert await missed(five, query, *headers) == expected


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        pytest.param(("a",), ["2", "3", "4", "5"], id="granted"),
        pytest.param(("b",), ["2", "4", "5"], id="granted elsewhere"),
        pytest.param((), ["2", "4", "5"], id="granted nothing"),
    ],
)
async def test_h07_h13_the_grants_of_now_decide_what_is_replayed(
    five: App, granted: tuple[str, ...], expected: list[str]
) -> None:
    assert await missed(five, "match=a&last_event_id=1", token=subscriber(*granted)) == (b"1", expected)


async def test_h08_an_id_that_was_used_twice_means_its_first_use(history: str) -> None:
    async with hub(*STRICT, ANONYMOUS, history) as app:
        await store(app, numbered([1, 2, 1, 3]))
        assert await missed(app, "match=a&last_event_id=1") == (b"1", ["2", "1", "3"])


@pytest.mark.parametrize("path", [HUB, "/hub"])
async def test_h18_hubs_of_2019_name_no_cursor_and_replay_nothing_for_an_unknown_one(history: str, path: str) -> None:
    async with hub(*STRICT_2019, ANONYMOUS, history) as app:
        await store(app, numbered([1, 2]))
        assert await missed(app, "topic=a&Last-Event-ID=1", path=path) == (None, ["2"])
        assert await missed(app, "topic=a", (LAST_EVENT_ID, "1"), path=path) == (None, ["2"])
        assert await missed(app, "topic=a&Last-Event-ID=x", path=path) == (None, [])


@pytest.mark.parametrize(
    ("dialect", "query", "expected"),
    [
        pytest.param(STRICT_8, "topic=a&lastEventID=1", (b"1", ["2"]), id="H14"),
        pytest.param(STRICT_8, "topic=a&lastEventId=1&lastEventID=2", (b"1", ["2"]), id="H14 the polyfill's is newer"),
        pytest.param(STRICT_8, "topic=a&Last-Event-ID=1", (None, []), id="H15 not of 8"),
        pytest.param(STRICT_7, "topic=a&Last-Event-ID=1", (b"1", ["2"]), id="H15"),
        pytest.param(STRICT_7, "topic=a&lastEventID=2&Last-Event-ID=1", (b"2", []), id="H15 the newer name first"),
        pytest.param(MIXED, "topic=a&lastEventID=1", (b"1", ["2"]), id="H14 beside 1.0"),
    ],
)
async def test_h14_h15_the_older_dialects_have_their_own_parameters(
    history: str, dialect: tuple[str, ...], query: str, expected: Found
) -> None:
    async with hub(*dialect, ANONYMOUS, history) as app:
        await store(app, numbered([1, 2]))
        assert await missed(app, query) == expected


async def test_h14_each_dialect_has_its_own_name_for_the_cursor(history: str) -> None:
    for dialect, query, names in (
        (STRICT, "match=a&last_event_id=", {NEW}),
        (STRICT_8, "topic=a&lastEventID=", {OLD}),
        (STRICT_7, "topic=a&lastEventID=", {OLD}),
        (MIXED, "match=a&last_event_id=", {NEW, OLD}),
        (MIXED, "topic=a&lastEventID=", {NEW, OLD}),
    ):
        async with hub(*dialect, ANONYMOUS, history) as app, subscribed(app, query) as stream:
            assert {NEW, OLD}.intersection(stream.head.names()) == names


async def test_h16_without_a_history_every_cursor_is_unknown() -> None:
    async with hub(*STRICT, ANONYMOUS) as app:
        await store(app, numbered([1, 2]))
        for cursor in ("earliest", "1", "2", "x", ""):
            assert await missed(app, f"match=a&last_event_id={cursor}") == (b"earliest", [])
        assert await missed(app, "match=a") == (None, [])


async def test_h19_both_generations_replay_from_one_store(history: str) -> None:
    async with hub(*MIXED, history) as app:
        await store(app, [*numbered([1], private=True), *numbered([2, 3])])
        new = await missed(app, "match=a&last_event_id=earliest", token=subscriber("a"))
        old = await missed(app, "topic={x}&lastEventID=earliest", token=old_subscriber("{x}"))
        assert new == old == (b"earliest", ["1", "2", "3"])
        both = await missed(app, "match=b&topic=a&lastEventID=1", token=old_subscriber())
        assert both == (b"1", ["2", "3"])


# -- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event_id",
    [
        *("two words", 'it\'s "quoted"', "100%", "%41", "a+b&c=d;e", "<script>", "a,b", "a:b", "NULL", "'; --", "0"),
        *("caf\u00e9", "\u65e5\u672c", "\U0001f600", "\u00ff", "\u2028", "urn:uuid:5c7dc3d3", "a" * 4095),
    ],
)
async def test_ids_of_any_kind_come_back_as_they_were(five: App, event_id: str) -> None:
    """In the answer to the publisher, in the event, and as a cursor in the header and the query string."""
    for each in (event_id, f"{event_id}."):
        found = await post(five.proxy_addresses[0], {"topic": "ids", "id": each}, token=publisher())
        assert (found.status, found.body.decode()) == (200, each)
    told = event_id.encode()
    for query, headers in (
        (f"match=ids&last_event_id={quote(event_id)}", ()),
        ("match=ids", ((LAST_EVENT_ID, event_id),)),
    ):
        cursor, ids = await missed(five, query, *headers)
        assert (cursor, ids[0]) == (told, f"{event_id}.")


async def test_a_cursor_that_a_script_sends_as_latin_1_is_found(five: App) -> None:
    await store(five, numbered(["caf\u00e9 \u00fc"], topic="latin"))
    async with await RawClient.connect(five.proxy_addresses[0]) as client:
        await client.send(
            f"GET {HUB}?match=latin HTTP/1.1\r\nHost: {HOST}\r\nLast-Event-ID: caf\u00e9 \u00fc\r\n\r\n".encode(
                "latin-1"
            )
        )
        assert (await client.head()).values(NEW) == ("caf\u00e9 \u00fc".encode(),)


# -- unknown cursors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["x", "1"])
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param("none", (b"earliest", []), id="none"),
        pytest.param("all", (b"earliest", ["2", "3"]), id="all"),
    ],
)
async def test_h03_the_operator_chooses_what_an_unknown_cursor_means(
    history: str, policy: str, expected: Found, cursor: str
) -> None:
    """1 is not known any more."""
    async with hub(*STRICT, ANONYMOUS, history, "mercure.history_size=2", f"mercure.on_unknown_cursor={policy}") as app:
        await store(app, numbered([1, 2, 3]))
        async with subscribed(app, f"match=a&last_event_id={cursor}") as stream:
            told, ids = expected
            assert stream.head.values(NEW) == (told,)
            assert await stream.ids(len(ids)) == ids  # before the next one pushes the oldest out
            await store(app, numbered([4]))
            assert await stream.id() == "4"
        assert app.counters.mercure_cursors_unknown == 1


async def test_h03_an_unknown_cursor_can_be_an_error(history: str) -> None:
    async with hub(*STRICT, ANONYMOUS, history, "mercure.on_unknown_cursor=error") as app:
        await store(app, numbered([1]))
        found = await ask(app.proxy_addresses[0], f"{HUB}?match=a&last_event_id=x")
        assert (found.status, found.reason, found.body) == (410, b"Gone", b"Unknown last event id\n")
        for cursor in ("1", "earliest", ""):
            async with subscribed(app, f"match=a&last_event_id={cursor}"):
                pass


# -- what is kept ---------------------------------------------------------------------------------------------------


async def test_h17_never_more_is_kept_than_the_limit_says(history: str) -> None:
    async with hub(*STRICT, ANONYMOUS, history, "mercure.history_size=10") as app:
        for last in (5, 10, 11, 25):
            await store(app, numbered(range(max(0, last - 14), last)))
            async with subscribed(app, "match=a&last_event_id=earliest") as stream:
                assert await stream.ids(min(last, 10)) == [str(each) for each in range(max(0, last - 10), last)]
    async with (
        hub(*STRICT, ANONYMOUS, history, "mercure.history_size=3") as app,
        subscribed(app, "match=a&last_event_id=earliest") as stream,
    ):
        assert await stream.ids(3) == ["22", "23", "24"]


@pytest.mark.parametrize("cursor", ["earliest", "2"])
async def test_h11_a_restart_forgets_nothing(history: str, cursor: str) -> None:
    """Nothing is written in between: the reference replays nothing then (defect B1)."""
    async with hub(*STRICT, ANONYMOUS, history) as app:
        await store(app, numbered([1, 2, 3]))
    for _ in range(2):
        async with (
            hub(*STRICT, ANONYMOUS, history) as app,
            subscribed(app, f"match=a&last_event_id={cursor}") as stream,
        ):
            assert stream.head.values(NEW) == (cursor.encode(),)
            assert await stream.ids(1 if cursor == "2" else 3) == (["3"] if cursor == "2" else ["1", "2", "3"])
    async with (
        hub(*STRICT, ANONYMOUS, history) as app,
        subscribed(app, f"match=a&last_event_id={cursor}") as stream,
    ):
        await store(app, numbered([4]))
        assert (await stream.ids(2 if cursor == "2" else 4))[-2:] == ["3", "4"]
