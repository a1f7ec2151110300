"""Subscribing to the hub over the wire: every byte of the heads, and every refusal (reference 1.3, 1.5, 2.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from proxy.app import App
from tests.proxy.in_process import advance
from tests.support.client import RawClient
from tests.support.hub_site import (
    ANONYMOUS,
    HOST,
    HUB,
    ISSUER,
    MIXED,
    OLD_KEYS,
    PUBLISHER_KEY,
    STRICT,
    STRICT_8,
    STRICT_2019,
    ask,
    bearer,
    challenge,
    head_of,
    hub,
    numbered,
    post,
    publisher,
    status_of,
    store,
    subscribed,
    subscriber,
    subscribers,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY_LIMIT = 65_536
"""Of a QUERY, whatever `body_limit` says."""
SECURITY = (
    b"Content-Security-Policy: default-src 'self'\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"X-Frame-Options: DENY\r\n"
    b"X-Xss-Protection: 1; mode=block\r\n"
)


def stream_head(cursor: bytes = b"", cors: bytes = b"") -> bytes:
    """Return the head of every event stream."""
    return (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: text/event-stream\r\n"
        b"Cache-Control: private, no-cache, no-store, must-revalidate, max-age=0\r\n"
        b"Pragma: no-cache\r\n"
        b"Expires: 0\r\n"
        b"X-Accel-Buffering: no\r\n" + cursor + SECURITY + cors + b"Connection: keep-alive\r\n"
        b"Connection: Transfer-Encoding\r\n"
        b"Transfer-Encoding: chunked\r\n"
        b"\r\n"
    )


FIRST = b"2\r\n:\n\r\n"
"""The first chunk: a comment."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[App]:
    """A hub that speaks 1.0 alone and lets everybody in."""
    async with hub(*STRICT, ANONYMOUS) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict_8() -> AsyncIterator[App]:
    """One that speaks 8 alone."""
    async with hub(*STRICT_8, ANONYMOUS) as app:
        yield app


# -- heads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "query", "body", "cursor"),
    [
        pytest.param("GET", "?match=a", None, b"", id="S01"),
        pytest.param("GET", "?foo=b&match=a&authorization=x&access_token=y", None, b"", id="S11"),
        pytest.param("GET", "?match=a&last_event_id=", None, b"Mercure-Last-Event-ID: earliest\r\n", id="H06"),
        pytest.param("QUERY", "", b"match=a", b"", id="S03"),
        pytest.param("QUERY", "?match=a", b"", b"", id="S03 empty body"),
        pytest.param("QUERY", "?match=a", None, b"", id="S03 no body"),
    ],
)
async def test_s01_s03_a_stream_begins_with_these_bytes(
    strict: App, method: str, query: str, body: bytes | None, cursor: bytes
) -> None:
    async with await RawClient.connect(strict.proxy_addresses[0]) as client:
        await client.send_request(HUB + query, method=method, host=HOST, body=body)
        expected = stream_head(cursor) + FIRST
        assert await client.read_exactly(len(expected)) == expected
        await advance(strict, 0)
        assert client.pending() == b""


async def test_s01_a_page_of_a_listed_origin_may_read_the_head() -> None:
    async with (
        hub(*STRICT, ANONYMOUS, "mercure.cors_origins=https://app.example") as app,
        await RawClient.connect(app.proxy_addresses[0]) as client,
    ):
        await client.send_request(f"{HUB}?match=a", host=HOST, headers=[("Origin", "https://app.example")])
        head = await client.head()
        assert (head.status, head.values(b"access-control-allow-origin")) == (200, (b"https://app.example",))
        assert b"Origin" in head.values(b"vary")
        exposed = b", ".join(head.values(b"access-control-expose-headers"))
        assert b"Mercure-Last-Event-ID" in exposed


async def test_s02_a_head_request_is_answered_at_once_and_not_held(strict: App) -> None:
    """The reference holds it; see docs/differences.md. The connection serves what comes next."""
    async with await RawClient.connect(strict.proxy_addresses[0]) as client:
        for _ in range(2):
            await client.send_request(f"{HUB}?match=a", method="HEAD", host=HOST)
            assert await client.read_until(b"\r\n\r\n") == stream_head()
        assert subscribers(strict) == 0
        await client.send_request(f"{HUB}?match=a", host=HOST)
        expected = stream_head() + FIRST
        assert await client.read_exactly(len(expected)) == expected


async def test_s02_a_head_request_is_refused_as_a_get_is(strict: App) -> None:
    found = await ask(strict.proxy_addresses[0], HUB, method="HEAD")
    assert (found.status, found.body) == (400, b"")


async def test_s29_s30_the_older_dialect_has_its_own_cursor_header_and_text(strict_8: App) -> None:
    async with await RawClient.connect(strict_8.proxy_addresses[0]) as client:
        await client.send_request(f"{HUB}?topic=a&lastEventID=x", host=HOST)
        expected = stream_head(b"Last-Event-ID: earliest\r\n") + FIRST
        assert await client.read_exactly(len(expected)) == expected
    for query in ("", "?match=a", "?Topic=a"):
        found = await ask(strict_8.proxy_addresses[0], HUB + query)
        assert (found.status, found.body) == (400, b'Missing "topic" parameter.\n')


async def test_s34_hubs_of_2019_had_another_path_and_no_cursor_header() -> None:
    async with (
        hub(*STRICT_2019, ANONYMOUS) as app,
        await RawClient.connect(app.proxy_addresses[0]) as client,
    ):
        await client.send_request("/hub?topic=a&Last-Event-ID=x", host=HOST)
        expected = stream_head() + FIRST
        assert await client.read_exactly(len(expected)) == expected


async def test_s35_both_generations_in_one_request_get_the_union_and_both_headers() -> None:
    query = "match=new&topic=https://old.example/{id}&last_event_id=x"
    async with hub(*MIXED, ANONYMOUS) as app, subscribed(app, query) as stream:
        assert stream.head.values(b"mercure-last-event-id") == (b"earliest",)
        assert stream.head.values(b"last-event-id") == (b"earliest",)
        for number, topic in enumerate(("new", "https://old.example/1", "https://old.example/{id}", "other", "new")):
            fields = {"topic": topic, "id": str(number)}
            assert (await post(app.proxy_addresses[0], fields, token=publisher())).status == 200
        assert await stream.ids(4) == ["0", "1", "2", "4"]


# -- parameters in the body -----------------------------------------------------------------------------------------


async def test_s04_s05_parameters_of_query_and_body_go_together_and_the_querys_cursor_wins(tmp_path: Path) -> None:
    async with hub(*STRICT, ANONYMOUS, f"mercure.history={tmp_path / 'hub.db'}") as app:
        await store(app, [*numbered([1, 2], topic="a"), *numbered([3], topic="b")])
        for number, (query, body, told, got) in enumerate(
            (
                ("match=a", b"match=b&last_event_id=1", b"1", ["2", "3", "10"]),
                ("match=a&last_event_id=2", b"match=b&last_event_id=1", b"2", ["3", "10", "11"]),
                ("match=a&last_event_id=", b"match=b&last_event_id=1", b"earliest", ["12"]),
            ),
            start=10,
        ):
            async with await RawClient.connect(app.proxy_addresses[0]) as client:
                await client.send_request(f"{HUB}?{query}", method="QUERY", host=HOST, body=body)
                head = await client.head()
                assert head.values(b"mercure-last-event-id") == (told,)
                await store(app, numbered([number], topic="b"))
                text = b":\n" + b"".join(f"id: {each}\ndata: {each}\n\n".encode() for each in got)
                assert await read_bytes(client, len(text)) == text


async def read_bytes(client: RawClient, size: int) -> bytes:
    """Read this many bytes of body, whatever the chunks."""
    found = b""
    while len(found) < size:
        found += await client.chunk()
    return found


async def test_s03_the_content_type_of_a_body_is_not_looked_at(strict: App) -> None:
    for content_type in ("application/json", "multipart/form-data; boundary=x", "nonsense"):
        async with await RawClient.connect(strict.proxy_addresses[0]) as client:
            headers = [("Content-Type", content_type)]
            await client.send_request(HUB, method="QUERY", host=HOST, body=b"match=a", headers=headers)
            assert (await client.head()).status == 200


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        pytest.param(b"match=%zz", 400, b"Bad Request\n", id="S06 escape"),
        pytest.param(b"match=a;match=b", 400, b"Bad Request\n", id="S06 semicolon"),
        pytest.param(b"match=" + b"a" * BODY_LIMIT, 413, b"Request Entity Too Large\n", id="S07"),
        pytest.param(b"", 400, b'missing "match" subscription parameter\n', id="S08"),
    ],
)
async def test_s06_s07_a_bad_body_is_refused(strict: App, body: bytes, status: int, text: bytes) -> None:
    found = await ask(strict.proxy_addresses[0], method="QUERY", body=body)
    assert (found.status, found.body) == (status, text)
    assert found.values(b"connection") == ((b"close",) if status == 413 else ())


# -- refusals -------------------------------------------------------------------------------------------------------

MISSING = 'missing "match" subscription parameter'
TOPIC = 'unknown topic matcher query parameter: "topic" (use "match" or "match_urlpattern")'
CHARACTERS = "topic matcher values must be valid UTF-8 without control characters"
TOO_LONG = "pattern too long (max 4096 bytes)"
TOO_MANY = "too many matchers (max 100)"
INVALID = "invalid topic matcher pattern"
REFUSED_BYTES = (
    b"\x00", b"\n", b"\x1f", b"\x7f", b"\xc2\x85", b"\xc2\x9f", b"\xc2\xad", b"\xe2\x80\x8b", b"\xe2\x80\x8e",
    b"\xe2\x80\xae", b"\xe2\x81\xa0", b"\xef\xbb\xbf", b"\xf3\xa0\x80\x81", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80",
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "text"),
    [
        pytest.param("", MISSING, id="S08 nothing"),
        pytest.param("foo=a&last_event_id=1", MISSING, id="S08 other parameters"),
        pytest.param("match=a;b", MISSING, id="S25 the pair is dropped"),
        *(
            pytest.param(f"match=b&{name}=a", f'unknown topic matcher query parameter: "{name}"', id=f"S09 {name}")
            for name in ("MATCH", "match_regexp", "matchers", "match_", "Match_exact")
        ),
        pytest.param("topic=a", TOPIC, id="S10"),
        pytest.param("topic=a&match=b", TOPIC, id="S10 beside a good one"),
        *(pytest.param(f"match=a{quote(each)}", CHARACTERS, id=f"S14 {each!r}") for each in REFUSED_BYTES),
        pytest.param("match_urlpattern=/%E2%80%8B", CHARACTERS, id="S14 pattern"),
        pytest.param("&".join(f"match={number}" for number in range(101)), TOO_MANY, id="S15"),
        pytest.param("match=a&" * 101, TOO_MANY, id="S15 the same"),
        pytest.param("match=" + "a" * 4097, TOO_LONG, id="S16"),
        pytest.param("match_urlpattern=/" + "a" * 4096, TOO_LONG, id="S16 pattern"),
        pytest.param("match=a&match_urlpattern=(", INVALID, id="S17"),
        pytest.param("match_urlpattern=/(?=a)", INVALID, id="S17 look-ahead"),
        pytest.param("match_urlpattern=https://e.example%7B/:a%7D?/1", INVALID, id="S17 S20"),
    ],
)
async def test_s08_to_s17_a_bad_matcher_is_refused_with_its_text(strict: App, query: str, text: str) -> None:
    found = await ask(strict.proxy_addresses[0], f"{HUB}?{query}")
    assert (found.status, found.body.decode()) == (400, f"{text}\n")
    assert found.values(b"content-type") == (b"text/plain; charset=utf-8",)
    assert found.values(b"x-content-type-options") == (b"nosniff",)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("match=", id="S12 empty"),
        pytest.param("match", id="S12 bare"),
        pytest.param("match=a;b&match=c", id="S25 semicolon"),
        pytest.param("match=a&%zz=1", id="S25 bad escape"),
        pytest.param("match=%C2%A0%E2%80%A8%E3%80%80%F0%9F%98%80", id="S14 allowed"),
        pytest.param("&".join(f"match={number}" for number in range(100)), id="S15"),
        pytest.param("match=" + "a" * 4096, id="S16"),
        pytest.param("match_urlpattern=/" + "a" * 4095, id="S16 pattern"),
        pytest.param("match_urlpattern=/((?:a%2B)%2Bb)", id="S21 accepted"),
    ],
)
async def test_s12_to_s16_what_is_within_the_limits_is_accepted(strict: App, query: str) -> None:
    assert await status_of(strict, query=query) == 200


@pytest.mark.parametrize(("count", "size"), [(100, 600), (15, 4_096)])
async def test_s15_s16_a_body_has_room_for_many_or_long_matchers(strict: App, count: int, size: int) -> None:
    body = b"&".join(b"match=%03d" % number + b"a" * (size - 3) for number in range(count))
    async with await RawClient.connect(strict.proxy_addresses[0]) as client:
        await client.send_request(HUB, method="QUERY", host=HOST, body=body)
        assert (await client.head()).status == 200
        async with subscribed(strict, f"match=000{'a' * (size - 3)}"):
            assert subscribers(strict) == 2


async def test_s18_a_bad_token_is_told_before_a_bad_matcher_and_after_a_bad_body() -> None:
    async with hub(*STRICT) as app:
        for shown, told in (((), challenge()), ((bearer(subscriber(key="wrong" * 8)),), challenge("invalid_token"))):
            for query in ("", "match_urlpattern=(", "MATCH=a", "topic=a"):
                found = await head_of(app, *shown, query=query)
                assert (found.status, found.values(b"www-authenticate")) == (401, told)
            assert (await ask(app.proxy_addresses[0], method="QUERY", headers=shown, body=b"%zz")).status == 400
        assert await status_of(app, bearer(subscriber()), query="MATCH=a") == 400


# -- paths, methods, and hubs without subscribers -------------------------------------------------------------------


@pytest.mark.parametrize("path", [f"{HUB}/", f"{HUB}/subscriptions", f"{HUB}/debug/", f"{HUB}/nothing?match=a"])
async def test_s26_other_paths_below_the_hubs_are_not_found(strict: App, path: str) -> None:
    found = await ask(strict.proxy_addresses[0], path)
    assert (found.status, found.body) == (404, b"404 page not found\n")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
async def test_s27_other_methods_are_not_allowed(strict: App, method: str) -> None:
    found = await ask(strict.proxy_addresses[0], f"{HUB}?match=a", method=method)
    assert (found.status, found.body, found.values(b"allow")) == (405, b"", ())


@pytest.mark.parametrize("method", ["GET", "HEAD", "QUERY"])
async def test_s28_nobody_subscribes_to_a_hub_without_a_key_for_subscribers(method: str) -> None:
    issuer = f'mercure.issuers=[{{"id": "{ISSUER}", "publisher_key": "{PUBLISHER_KEY}"}}]'
    async with hub("mercure.protocols=1.0", issuer) as app:
        for shown in ((), (bearer(subscriber()),)):
            found = await ask(app.proxy_addresses[0], f"{HUB}?match=a", method=method, headers=shown)
            assert (found.status, found.body) == (405, b"")
        assert (await post(app.proxy_addresses[0], "topic=a&id=1", token=publisher())).body == b"1"
    async with hub(OLD_KEYS[0], ANONYMOUS) as app:
        assert await status_of(app) == 200
