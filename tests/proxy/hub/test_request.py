"""What every part of the hub asks about a request: its body, its headers, and as whom the client knows the hub."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import pytest

from handlers.protocol.mercure.subscribing import MAX_QUERY_BODY
from proxy.app import App
from tests.proxy.in_process import advance, client_of
from tests.support.client import RawClient, encode_request
from tests.support.hub_site import (
    FORM,
    HOST,
    HUB,
    METADATA,
    STRICT,
    ask,
    bearer,
    challenge,
    head_of,
    hub,
    post,
    publisher,
)

LIMIT = 2_048
TOO_LARGE = (413, b"Request Entity Too Large\n")
QUERY = ("Content-Type", FORM)


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    settings = ("mercure.anonymous=true", f"mercure.body_limit={LIMIT}", "mercure.cors_origins=https://app.example")
    async with hub(*STRICT, *settings, "proxy.body_timeout=10") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await client_of(app) as client:
        yield client


def chunked(*pieces: bytes) -> bytes:
    """Return a QUERY without a length, up to the end of these chunks."""
    head = encode_request(HUB, method="QUERY", host=HOST, headers=[QUERY, ("Transfer-Encoding", "chunked")])
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


# -- the body -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
async def test_s07_p13_a_body_may_be_as_long_as_the_limit(app: App, size: int) -> None:
    query = await ask(app.proxy_addresses[0], method="QUERY", headers=[QUERY], body=b"foo=" + b"a" * (size - 4))
    published = await post(app.proxy_addresses[0], b"topic=" + b"a" * (size - 6), token=publisher())
    if size > LIMIT:
        assert (query.status, query.body) == (published.status, published.body) == TOO_LARGE
        assert query.values(b"connection") == published.values(b"connection") == (b"close",)
    else:
        assert (query.status, published.status) == (400, 200)


async def test_s07_a_query_has_a_limit_of_its_own_as_it_is_read_before_its_token() -> None:
    async with hub(*STRICT) as app, await client_of(app) as client:
        headers = [QUERY, ("Content-Length", str(MAX_QUERY_BODY + 1)), ("Expect", "100-continue")]
        await client.send(encode_request(HUB, method="QUERY", host=HOST, headers=headers))
        found = await client.response()
        assert (found.status, found.body) == TOO_LARGE
        for size, status in ((MAX_QUERY_BODY, 401), (MAX_QUERY_BODY + 1, 413)):
            body = b"foo=" + b"a" * (size - 4)
            found = await ask(app.proxy_addresses[0], method="QUERY", headers=[QUERY], body=body)
            assert found.status == status
        body = b"topic=a&data=" + b"a" * MAX_QUERY_BODY
        assert (await post(app.proxy_addresses[0], body, token=publisher())).status == 200


async def test_s07_a_body_that_is_announced_too_long_is_not_waited_for(client: RawClient) -> None:
    headers = [QUERY, ("Content-Length", str(LIMIT + 1)), ("Expect", "100-continue")]
    await client.send(encode_request(HUB, method="QUERY", host=HOST, headers=headers))
    found = await client.response()
    assert (found.status, found.body) == TOO_LARGE


async def test_s07_a_body_of_unknown_length_is_refused_once_it_is_too_long(client: RawClient) -> None:
    await client.send(chunked(b"match=" + b"a" * 1_000, b"a" * 1_043))
    await client.send_as_far_as_taken(b"400\r\n" + b"a" * 1_024)
    found = await client.response()
    assert (found.status, found.body) == TOO_LARGE


async def test_a_body_in_chunks_is_put_together(client: RawClient) -> None:
    await client.send(chunked(b"mat", b"ch=", b"a") + b"0\r\n\r\n")
    assert (await client.head()).status == 200
    assert await client.chunk() == b":\n"


async def test_a_client_that_waits_is_told_to_send(client: RawClient) -> None:
    headers = [QUERY, ("Content-Length", "7"), ("Expect", "100-continue")]
    await client.send(encode_request(HUB, method="QUERY", host=HOST, headers=headers))
    assert (await client.head()).status == 100
    await client.send(b"match=a")
    assert (await client.head()).status == 200


async def test_a_body_that_does_not_come_is_waited_for_as_long_as_configured(app: App, client: RawClient) -> None:
    headers = [QUERY, ("Content-Length", "7")]
    await client.send(encode_request(HUB, method="QUERY", host=HOST, headers=headers) + b"mat")
    await advance(app, 9.9)
    assert client.pending() == b""
    await advance(app, 0.2)
    found = await client.response()
    assert (found.status, found.values(b"connection")) == (408, (b"close",))
    assert found.values(b"x-content-type-options") == (b"nosniff",)


async def test_a_body_that_is_no_body_is_refused(client: RawClient) -> None:
    await client.send(chunked(b"match=a") + b"nonsense\r\n")
    found = await client.response()
    assert (found.status, found.values(b"connection")) == (400, (b"close",))


# -- headers --------------------------------------------------------------------------------------------------------


async def test_the_first_line_of_a_header_counts(app: App) -> None:
    head = await head_of(app, ("Last-Event-ID", ""), ("Last-Event-ID", "x"), query="match=a&last_event_id=y")
    assert head.values(b"mercure-last-event-id") == (b"earliest",)
    head = await head_of(app, ("Origin", "https://app.example"), ("Origin", "https://evil.example"))
    assert head.values(b"access-control-allow-origin") == (b"https://app.example",)


@pytest.mark.parametrize("query", ["match=a", "match_=a"])
async def test_o03_o06_every_answer_carries_the_hubs_own_headers(app: App, query: str) -> None:
    head = await head_of(app, ("Origin", "https://app.example"), query=query)
    assert head.values(b"x-frame-options") == (b"DENY",)
    assert head.values(b"access-control-allow-origin") == (b"https://app.example",)
    other = await head_of(app, ("Origin", "https://evil.example"), query=query)
    assert other.values(b"x-frame-options") == (b"DENY",)
    assert other.values(b"access-control-allow-origin") == ()
    assert other.values(b"vary") == (b"Origin",)


# -- the hub's name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [HOST, "other.example", "hub.example:8443", "[::1]:7999"])
async def test_a26_without_an_identifier_the_hub_is_called_as_the_client_calls_it(host: str) -> None:
    async with hub(*STRICT) as app:
        assert (await head_of(app, host=host)).values(b"www-authenticate") == challenge(host=host)
        document = json.loads((await ask(app.proxy_addresses[0], METADATA, host=host)).body)
        assert document["resource"] == f"http://{host}{HUB}"
        for named, status in ((host, 200), ("stranger.example", 401)):
            token = publisher(aud=f"http://{named}{HUB}")
            found = await ask(
                app.proxy_addresses[0], method="POST", headers=[bearer(token), QUERY], body=b"topic=a", host=host
            )
            assert found.status == status


async def test_a26_with_one_it_has_one_name_whatever_it_is_called() -> None:
    identifier = f"https://public.example{HUB}"
    async with hub(*STRICT, f"mercure.resource_identifier={identifier}") as app:
        token = publisher(aud=identifier)
        for host in (HOST, "other.example"):
            assert (await post(app.proxy_addresses[0], "topic=a", token=token, host=host)).status == 200
            document = json.loads((await ask(app.proxy_addresses[0], METADATA, host=host)).body)
            assert document["resource"] == identifier
