"""What subscribers get by what they ask for, over the wire: samples of the tables of reference 1.4 and 2.2.

The whole tables are in `tests/handlers/protocol/mercure`; here each passes the door, the index of the audience and the
history's selector, which all have to agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from proxy.app import App
from tests.support.hub_site import HOST, HUB, MIXED, EventStream, hub, old_publisher, old_subscriber, post, subscribed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """A hub that knows its own URL, with a history."""
    history = tmp_path_factory.mktemp("matching") / "hub.db"
    async with hub(
        *MIXED,
        "mercure.anonymous=true",
        f"mercure.history={history}",
        f"mercure.resource_identifier=https://{HOST}{HUB}",
    ) as app:
        yield app


async def received(app: App, query: str, *topics: str) -> list[str]:
    """Publish on each of these topics; return on which of them a subscriber with this query got the update.

    It is asked twice, live and of the history.
    """
    end = "match=https://the.end/"
    begin = await publish(app, "https://the.beginning/")
    async with subscribed(app, f"{query}&{end}") as stream:
        expected = {await publish(app, topic): topic for topic in topics}
        expected[await publish(app, "https://the.end/")] = "end"
        live = await until_end(stream, expected)
    async with subscribed(app, f"{query}&{end}&last_event_id={begin}") as stream:
        assert await until_end(stream, expected) == live
    return live


async def until_end(stream: EventStream, expected: dict[str, str]) -> list[str]:
    """Read events until the last one that is expected; return the topics of the others, by their ids."""
    found: list[str] = []
    while (topic := expected[await stream.id()]) != "end":
        found.append(topic)
    return found


async def publish(app: App, *topics: str) -> str:
    """Publish an update on these topics; return its id."""
    fields = [("topic", topic) for topic in topics]
    found = await post(app.proxy_addresses[0], fields, token=old_publisher("*"))
    assert found.status == 200, found
    return found.body.decode()


BOOKS = "https://example.com/books/"


@pytest.mark.parametrize(
    ("query", "yes", "no"),
    [
        pytest.param("match=A", ["A"], ["a", "A ", "%41"], id="S19 case"),
        pytest.param("match=caf%C3%A9", ["caf\u00e9"], ["cafe\u0301"], id="S19 NFC"),
        pytest.param("match=cafe%CC%81", ["cafe\u0301"], ["caf\u00e9"], id="S19 NFD"),
        pytest.param("match_exact=/a", ["/a"], [f"https://{HOST}/a", "a"], id="S19 no base"),
        pytest.param("match=urn:book:1", ["urn:book:1"], ["URN:book:1"], id="S19 urn"),
        pytest.param("match=*", [BOOKS, "urn:a", "a", "http://["], [], id="S13 match"),
        pytest.param("match_exact=*", [BOOKS, "urn:a", "a", "http://["], [], id="S13 match_exact"),
        pytest.param("match_urlpattern=*", [BOOKS, "urn:a", "a", "http://["], [], id="S13 match_urlpattern"),
        pytest.param("match=", [], ["a", "https://a.example/"], id="S12"),
        pytest.param("match_urlpattern=", [], ["a", "urn:a"], id="S12 pattern"),
    ],
)
async def test_s12_s13_s19_exact_matchers_compare_bytes(app: App, query: str, yes: list[str], no: list[str]) -> None:
    assert await received(app, query, *yes, *no) == yes


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        pytest.param(
            f"{BOOKS}:id",
            [
                *("https://EXAMPLE.com/books/1", "https://example.com:443/books/1", f"{BOOKS}1?x=1", f"{BOOKS}1#f"),
                *(
                    f"{BOOKS}a%2Fb",
                    f"{BOOKS}caf\u00e9",
                    "https://example.com/books/../books/1",
                    "//example.com/books/1",
                ),
            ],
            [
                *(BOOKS[:-1], BOOKS, f"{BOOKS}1/", f"{BOOKS}1/reviews", "http://example.com/books/1"),
                *("https://example.com:8443/books/1", "https://example.com/Books/1", "https://a.example.com/books/1"),
            ],
            id="S20 segment",
        ),
        pytest.param(f"{BOOKS}*", [f"{BOOKS}1", BOOKS, f"{BOOKS}1/reviews"], [BOOKS[:-1]], id="S20 star"),
        pytest.param(f"{BOOKS}:id?", [f"{BOOKS}1", BOOKS[:-1]], [BOOKS], id="S20 optional"),
        pytest.param(f"{BOOKS}:id*", [BOOKS[:-1], f"{BOOKS}1/reviews"], [BOOKS, f"{BOOKS}1/"], id="S20 repeated"),
        pytest.param(f"{BOOKS}(\\d+)", [f"{BOOKS}12"], [f"{BOOKS}%31", f"{BOOKS}caf\u00e9"], id="S20 group"),
        pytest.param(
            "https://*.example.com/books/:id",
            ["https://sub.example.com/books/1"],
            [f"{BOOKS}1"],
            id="S20 host",
        ),
        pytest.param(
            "*://example.com/books/1", [f"{BOOKS}1", "http://example.com/books/1"], [f"{BOOKS}2"], id="S20 scheme"
        ),
        pytest.param(
            "https://example.com:*/books/1", [f"{BOOKS}1", "https://example.com:8443/books/1"], [], id="S20 port"
        ),
        pytest.param(f"{BOOKS}:id?x=1", [], [f"{BOOKS}1?x=1", f"{BOOKS}1"], id="S20 question mark"),
        pytest.param(f"{BOOKS}:id\\?x=1", [f"{BOOKS}1?x=1"], [f"{BOOKS}1", f"{BOOKS}1?x=2"], id="S20 query"),
        pytest.param(f"{BOOKS}:id#*", [f"{BOOKS}1", f"{BOOKS}1#f"], [f"{BOOKS}1?x=1"], id="S20 hash"),
        pytest.param("/books/:id", ["/books/1", f"https://{HOST}/books/1"], ["books/1"], id="S20 absolute path"),
        pytest.param("books/:id", ["books/1"], ["/books/1"], id="S20 relative path"),
        pytest.param("foo", ["foo"], ["/foo", "bar"], id="S20 word"),
        pytest.param("//example.com/books/:id", [], ["//example.com/books/1", f"{BOOKS}1"], id="S20 no scheme"),
        pytest.param("urn:book:*", [], ["urn:book:1"], id="S22"),
        pytest.param("urn\\:book\\:*", [], ["urn:book:1"], id="S22 escaped"),
        pytest.param("(urn):*", [], ["urn:book:1"], id="S22 group"),
        pytest.param("https://*/*", ["https://ok.example/"], ["http://[", "https://a b/", "https://"], id="S23"),
        pytest.param("((?:a+)+b)", ["aab"], ["a" * 10_000], id="S21"),
    ],
)
async def test_s20_to_s23_url_patterns_match_as_listed(app: App, pattern: str, yes: list[str], no: list[str]) -> None:
    assert await received(app, f"match_urlpattern={quote(pattern)}", *yes, *no) == yes


@pytest.mark.parametrize(
    ("selector", "yes", "no"),
    [
        pytest.param(f"{BOOKS}{{id}}", [f"{BOOKS}1", BOOKS, f"{BOOKS}a,b", f"{BOOKS}a%20b", f"{BOOKS}{{id}}"]
                     , [f"{BOOKS}a=b", f"{BOOKS}a b", f"{BOOKS}1/2", f"{BOOKS}caf\u00e9"], id="S31 S33 simple"),
        pytest.param("https://e.com/books{/id}", ["https://e.com/books", "https://e.com/books/1"],
                     ["https://e.com/books/1/2"], id="S31 path"),
        pytest.param("https://e.com{/id*}", ["https://e.com", "https://e.com/a/b/c"], ["https://f.com/a"],
                     id="S31 exploded"),
        pytest.param("https://e.com/{+id}", ["https://e.com/a/b?c=d;e#f"], ["https://e.com/a b"], id="S31 reserved"),
        pytest.param("https://e.com/{?x,y}", ["https://e.com/?y=2&x=1", "https://e.com/?z=1"], ["https://e.com/x"],
                     id="S31 query"),
        pytest.param("https://e.com/{", ["https://e.com/{"], ["https://e.com/a"], id="S31 no template"),
        pytest.param("https://e.com/1", ["https://e.com/1"], ["https://E.com/1"], id="S31 plain"),
        pytest.param("*", ["a", "urn:a", "https://e.com/"], [], id="S32"),
    ],
)  # fmt: skip
async def test_s31_to_s33_selectors_match_as_listed(app: App, selector: str, yes: list[str], no: list[str]) -> None:
    assert await received(app, f"topic={quote(selector)}", *yes, *no) == yes


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        pytest.param("match=a&match_urlpattern=:x&match=*", ["a"], id="three matchers, one topic"),
        pytest.param("match=a&match=b&match=c", ["a", "b", "c"], id="one topic for each"),
        pytest.param("match=a&match=a&match_exact=a", ["a", "a"], id="the same three times"),
        pytest.param("match=a&topic={x}&match_urlpattern=/:y", ["a", "/b"], id="both generations"),
    ],
)
async def test_s24_one_update_is_one_event_whatever_matches(app: App, query: str, topics: list[str]) -> None:
    async with subscribed(app, f"{query}&match=end") as stream:
        ids = [await publish(app, *topics), await publish(app, "end")]
        assert await stream.ids(2) == ids


async def test_a_subscriber_that_matches_nothing_gets_nothing_of_a_hub_that_is_busy(tmp_path: Path) -> None:
    async with (
        hub(*MIXED, f"mercure.history={tmp_path / 'hub.db'}") as app,
        subscribed(app, "match=&match=end", token=old_subscriber()) as stream,
    ):
        for _ in range(50):
            await publish(app, "https://other.example/")
        end = await publish(app, "end")
        assert await stream.id() == end
        assert app.counters.deliveries == 1


async def test_an_update_of_many_topics_is_refused_where_patterns_would_be_tried_on_them_too_often() -> None:
    async with (
        hub(*MIXED, "mercure.anonymous=true", "mercure.unanchored_limit=10") as app,
        contextlib.AsyncExitStack() as held,
    ):
        for number in range(10):
            await held.enter_async_context(subscribed(app, f"topic={quote('{x}')}/{number}"))
        for count, status in ((100, 200), (1000, 503), (101, 503), (100, 200)):
            body = "&".join(f"topic=t/{number}" for number in range(count))
            assert (await post(app.proxy_addresses[0], body, token=old_publisher("*"))).status == status
