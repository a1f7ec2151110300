"""Event streams of the hub: their bytes, their heartbeats, and every way in which they end (1.5, 1.6, 1.15)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from proxy.app import App
from tests.e2e.holding import stopping
from tests.proxy.in_process import advance
from tests.support.app_process import AppProcess
from tests.support.client import RawClient, crowd, encode_request
from tests.support.clock import WALL_START
from tests.support.hub_site import (
    ANONYMOUS,
    HOST,
    HUB,
    MIXED,
    STRICT,
    STRICT_8,
    EventStream,
    bearer,
    hub,
    numbered,
    old_publisher,
    old_subscriber,
    post,
    publisher,
    status_of,
    store,
    subscribed,
    subscriber,
    subscribers,
)
from tests.support.turns import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = (*STRICT, ANONYMOUS)
ROUTE = "* test"
CROWD = 20
OUTBOX = 65_536
SMALL = 8_192


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[App]:
    """A hub that lets everybody in."""
    async with hub(*OPEN) as app:
        yield app


# -- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        pytest.param(
            "id=X&data=a%0Ab%0Dc%0D%0Ad%0A", b"id: X\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n", id="E01"
        ),
        pytest.param("id=X&data=%0A%0D", b"id: X\ndata: \ndata: \ndata: \n\n", id="E01 LF CR"),
        pytest.param("id=X&data=", b"id: X\ndata: \n\n", id="E02 empty"),
        pytest.param("id=X", b"id: X\ndata: \n\n", id="E02 none"),
        pytest.param("type=t&retry=1500&id=ID+1&data=x", b"event: t\nretry: 1500\nid: ID 1\ndata: x\n\n", id="E03"),
        pytest.param("retry=0&id=X&data=x", b"id: X\ndata: x\n\n", id="E04"),
        pytest.param("id=X&data=+lead", b"id: X\ndata:  lead\n\n", id="E05"),
        pytest.param(
            "id=X&data=a%E2%80%A8b%C2%85c%0Bd%0Ce%00f",
            b"id: X\ndata: a\xe2\x80\xa8b\xc2\x85c\x0bd\x0ce\x00f\n\n",
            id="E06",
        ),
        pytest.param("id=X&data=%EF%BB%BF%3A+no+comment", b"id: X\ndata: \xef\xbb\xbf: no comment\n\n", id="BOM"),
    ],
)
async def test_e01_to_e06_an_event_is_a_chunk_of_these_bytes(app: App, fields: str, event: bytes) -> None:
    async with subscribed(app, "match=a") as stream:
        assert (await post(app.proxy_addresses[0], f"topic=a&{fields}", token=publisher())).status == 200
        assert await stream.client.chunk() == event


async def test_e12_two_connections_get_everything_in_the_same_order(app: App) -> None:
    async with subscribed(app, "match=a") as one, subscribed(app, "match_urlpattern=*") as other:
        posts = [post(app.proxy_addresses[0], f"topic=a&id={number}", token=publisher()) for number in range(60)]
        assert {found.status for found in await asyncio.gather(*posts)} == {200}
        got = await one.ids(60)
        assert got == await other.ids(60)
        assert len(set(got)) == 60


# -- heartbeats -----------------------------------------------------------------------------------------------------


async def test_e07_a_silent_stream_beats_and_events_put_the_beat_off() -> None:
    async with (
        hub(*OPEN, "mercure.heartbeat=40", "mercure.write_timeout=0") as app,
        subscribed(app, "match=a") as stream,
    ):
        client = stream.client
        for _ in range(3):
            await advance(app, 39)
            assert client.pending() == b""
            await advance(app, 1)
            assert client.pending() == b"2\r\n:\n\r\n"
            assert await client.chunk() == b":\n"
        await advance(app, 30)
        await store(app, numbered([1]))
        assert await stream.id() == "1"
        await advance(app, 39)
        assert client.pending() == b""
        await advance(app, 1)
        assert await client.chunk() == b":\n"


async def test_e07_events_of_other_topics_put_no_beat_off() -> None:
    async with hub(*OPEN, "mercure.heartbeat=40") as app, subscribed(app, "match=a") as stream:
        for _ in range(4):
            await advance(app, 10)
            await store(app, numbered([1], topic="b"))
        assert await stream.client.chunk() == b":\n"


async def test_e08_without_heartbeat_there_is_silence() -> None:
    async with (
        hub(*OPEN, "mercure.heartbeat=0", "mercure.write_timeout=0") as app,
        subscribed(app, "match=a") as stream,
    ):
        await advance(app, 1_700)
        assert stream.client.pending() == b""
        await store(app, numbered([1]))
        assert await stream.id() == "1"


# -- the end --------------------------------------------------------------------------------------------------------


async def test_e09_a_stream_ends_cleanly_when_its_time_is_up_and_its_connection_goes_on() -> None:
    """Where every random number is 0, that is at 80 %."""
    async with (
        hub(*OPEN, "mercure.write_timeout=100", "mercure.heartbeat=0") as app,
        subscribed(app, "match=a") as stream,
    ):
        await advance(app, 79.8)
        assert (stream.client.pending(), subscribers(app)) == (b"", 1)
        await advance(app, 0.2)
        assert stream.client.pending() == b"0\r\n\r\n"
        assert await stream.rest() == []
        assert (subscribers(app), app.counters.mercure_expired) == (0, 1)
        await stream.client.send_request(f"{HUB}?match=a", host=HOST)
        assert (await stream.client.head()).status == 200
        assert await stream.client.chunk() == b":\n"


async def test_e09_streams_that_came_together_end_one_by_one_between_80_and_100_percent() -> None:
    settings = (*OPEN, "mercure.history=", "mercure.write_timeout=100", "mercure.heartbeat=0")
    async with AppProcess(ROUTE, settings=settings, seed=3) as app, crowd(app.proxy_address, CROWD) as clients:
        for client in clients:
            await client.send_request(f"{HUB}?match=a", host=HOST)
            assert (await client.head(), await client.chunk())[1] == b":\n"
        await app.advance(79.8)
        assert not any(client.pending() for client in clients)
        ended = []
        for _ in range(10):
            await app.advance(2.02)
            ended.append(sum(bool(client.pending()) for client in clients))
        for client in clients:
            assert await client.chunk() == b""
        assert ended[-1] == CROWD, "at 100 %"
        assert len(set(ended)) > 4, f"not spread: {ended}"


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        pytest.param(STRICT, "match=a", id="1.0"),
        pytest.param(STRICT_8, "topic=a", id="8"),
    ],
)
async def test_e10_a_stream_ends_before_its_token_expires(dialect: tuple[str, ...], query: str) -> None:
    make = subscriber if dialect is STRICT else old_subscriber
    token = make(exp=int(WALL_START) + 5)
    async with hub(*dialect, "mercure.write_timeout=100") as app, subscribed(app, query, token=token) as stream:
        await advance(app, 3.8)
        assert stream.client.pending() == b""
        await advance(app, 0.2)  # 80 % of 5 seconds
        assert await stream.rest() == []
        await advance(app, 1)
        assert await status_of(app, bearer(token), query=query) == 401
    async with hub(*dialect, "mercure.write_timeout=3") as app, subscribed(app, query, token=token) as stream:
        await advance(app, 2.6)
        assert await stream.rest() == []


async def test_e10_a_token_of_8_without_an_end_holds_as_long_as_anybody() -> None:
    async with (
        hub(*STRICT_8, "mercure.write_timeout=0") as app,
        subscribed(app, "topic=a", token=old_subscriber()) as stream,
    ):
        await advance(app, 100_000)
        await store(app, numbered([1]))
        assert await stream.id() == "1"


async def test_e11_a_client_that_never_reads_is_disconnected_and_others_get_everything() -> None:
    data = "x" * 4_000
    settings = (*MIXED, ANONYMOUS, "mercure.history=", f"hold.outbox_limit={OUTBOX}", "hold.kernel_unsent_limit=65536")
    async with (
        AppProcess(ROUTE, settings=settings) as app,
        await RawClient.connect(app.proxy_address, receive_buffer=SMALL) as stalled,
        await RawClient.connect(app.proxy_address) as client,
    ):
        for each in (stalled, client):
            await each.send_request(f"{HUB}?match=a", host=HOST)
        await stalled.head()
        reader = EventStream(client, await client.head())
        for number in range(400):
            fields = {"topic": "a", "id": str(number), "data": data}
            assert (await post(app.proxy_address, fields, token=old_publisher("*"))).status == 200
            assert await reader.id() == str(number)
        await app.advance(1.3)
        counters = await app.counters()
        assert (counters["slow_clients"], counters["mercure_subscribers"]) == (1, 1)
        events = b":\n" + b"".join(b"id: %d\ndata: %b\n\n" % (number, data.encode()) for number in range(400))
        got = await dechunked(stalled)
        assert len(got) < len(events)
        assert events.startswith(got)


async def dechunked(client: RawClient) -> bytes:
    """Return the body as far as it came before the connection was cut."""
    pieces, rest = [], await client.until_cut()
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        assert int(size, 16), "a clean end: the client cannot know what it has missed"
        pieces.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return b"".join(pieces)


async def test_e13_a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection() -> None:
    async with (
        hub(*OPEN, "mercure.write_timeout=100") as app,
        await RawClient.connect(app.proxy_addresses[0]) as client,
    ):
        headers = [("Connection", "keep-alive")]
        await client.send(encode_request(f"{HUB}?match=a", host=HOST, headers=headers, version="1.0"))
        head = await client.head()
        assert head.status == 200
        assert {b"transfer-encoding", b"content-length"}.isdisjoint(head.names())
        assert b"keep-alive" not in head.values(b"connection")
        assert await client.read_exactly(2) == b":\n"
        await store(app, numbered([1]))
        assert await client.read_exactly(14) == b"id: 1\ndata: 1\n"
        await advance(app, 80.2)
        assert await client.until_closed() == b"\n" + b":\n" * 2


async def test_e14_at_a_stop_streams_end_cleanly_and_not_all_at_once() -> None:
    settings = (*OPEN, "mercure.history=", "proxy.drain_timeout=10")
    async with AppProcess(ROUTE, settings=settings, seed=1) as app, AsyncExitStack() as stack:
        clients = await stack.enter_async_context(crowd(app.proxy_address, CROWD))
        for client in clients:
            await client.send_request(f"{HUB}?match=a", host=HOST)
            assert (await client.head(), await client.chunk())[1] == b":\n"
        app.signal(signal.SIGTERM)
        await stopping(app, CROWD)
        await app.advance(4)
        ended = sum(bool(client.pending()) for client in clients)
        assert CROWD / 4 < ended < CROWD
        await app.advance(4.1)
        for client in clients:
            assert await client.chunk() == b""
            assert await client.until_closed() == b""
        assert await app.exit_status() == 0


async def test_what_a_client_sends_while_its_stream_is_held_is_served_afterwards() -> None:
    async with hub(*OPEN, "mercure.write_timeout=10") as app, subscribed(app, "match=a") as stream:
        await stream.client.send_request(f"{HUB}?match=", host=HOST, method="HEAD")
        await store(app, numbered([1]))
        assert await stream.id() == "1"
        await advance(app, 8.2)
        assert await stream.rest() == []
        assert (await stream.client.head()).status == 200


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_is_forgotten_at_once(app: App, leave: str) -> None:
    async with subscribed(app, "match=a") as staying:
        async with subscribed(app, "match=a") as stream:
            assert subscribers(app) == 2
            getattr(stream.client, leave)()
        await until(lambda: subscribers(app) == 1)
        await store(app, numbered([1]))
        assert await staying.id() == "1"
