"""From a request to a session: heads, replays of each kind of client, and the turn in which a subscriber joins."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import quote

import pytest
from websockets.frames import Opcode

from handlers.protocol.ws_deflate import Deflate
from proxy.app import App
from proxy.hub.holding import text_encoder
from tests.handlers.hub.hub_room import update
from tests.proxy.in_process import advance, client_of
from tests.support.client import RawClient
from tests.support.clock import WALL_START
from tests.support.hub_site import (
    HOST,
    HUB,
    MIXED,
    bearer,
    hub,
    numbered,
    store,
    subscribed,
    subscriber,
    subscribers,
)
from tests.support.turns import settle, until
from tests.support.websocket import WsClient, websocket

MANY = 1_200
"""More than two pages."""
LONG = 12_000
BIG = "x" * 2_000
"""Together they are more than all buffers on the way to a client."""
SMALL = 8_192


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@pytest.fixture
async def app(file: Path) -> AsyncGenerator[App]:
    settings = ("mercure.anonymous=true", "mercure.write_timeout=100", "mercure.heartbeat=0")
    async with hub(*MIXED, *settings, f"mercure.history={file}") as app:
        yield app


def lose(file: Path) -> None:
    """Make reading the history fail from here on."""
    with sqlite3.connect(file) as other:
        other.execute("ALTER TABLE updates RENAME TO gone")
    other.close()


async def stalled(app: App, client: RawClient) -> None:
    """Wait until the replay to a client that does not read has filled all there is to fill."""
    await until(lambda: app.counters.mercure_replayed)
    await until(lambda: any(each.get_write_buffer_size() for each in app.clients.open_transports))


# -- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["", "&last_event_id=", "&last_event_id=unknown"])
async def test_whoever_has_read_the_head_misses_nothing(app: App, cursor: str) -> None:
    async with await client_of(app) as client:
        await client.send_request(f"{HUB}?match=a{cursor}", host=HOST)
        await client.head()
        await store(app, numbered([1]))
        assert (await client.chunk(), await client.chunk()) == (b":\n", b"id: 1\ndata: 1\n\n")


async def test_a_page_of_the_replay_is_one_chunk_and_the_head_goes_before_it(app: App) -> None:
    await store(app, numbered(range(MANY)))
    async with await client_of(app) as client:
        await client.send_request(f"{HUB}?match=a&last_event_id=earliest", host=HOST)
        await client.head()
        assert await client.chunk() == b":\n"
        for begin in range(0, MANY, 500):
            events = b"".join(b"id: %d\ndata: %d\n\n" % (each, each) for each in range(begin, min(begin + 500, MANY)))
            assert await client.chunk() == events
    assert app.counters.mercure_replayed == MANY


async def test_s02_a_head_request_reads_no_history_and_joins_nobody(app: App) -> None:
    await store(app, numbered(range(MANY)))
    async with await client_of(app) as client:
        found = await client.fetch(f"{HUB}?match=a&last_event_id=earliest", method="HEAD", host=HOST)
        assert (found.status, found.values(b"mercure-last-event-id")) == (200, (b"earliest",))
        assert (app.counters.mercure_replayed, app.counters.mercure_subscribers_opened) == (0, 0)
        assert client.pending() == b""


async def test_a_client_that_asked_to_close_has_its_connection_closed_at_the_end(app: App) -> None:
    async with subscribed(app, "match=a", ("Connection", "close")) as stream:
        assert stream.head.values(b"connection") == (b"close, Transfer-Encoding",)
        await advance(app, 80)
        assert await stream.rest() == []
        assert await stream.client.until_closed() == b""


async def test_a_stream_of_a_client_that_has_left_before_its_head_is_nobodys(app: App) -> None:
    async with await client_of(app) as client:
        await client.send_request(f"{HUB}?match=a&last_event_id=earliest", host=HOST)
        client.reset()
    await until(lambda: not app.clients.open_transports and not subscribers(app))
    await store(app, numbered([1]))


# -- WebSockets -----------------------------------------------------------------------------------------------------


async def test_a_websocket_gets_what_it_missed_and_then_what_is_new(app: App) -> None:
    await store(app, numbered(range(MANY)))
    target = f"{HUB}?match=a&last_event_id=9"
    async with websocket(app.proxy_addresses[0], target, host=HOST) as client:
        assert client.answer.values(b"mercure-last-event-id") == (b"9",)
        got = [json.loads(await client.heard())["id"] for _ in range(MANY - 10)]
        assert got == [str(each) for each in range(10, MANY)]
        await store(app, numbered(["live"]))
        assert await client.heard() == '{"id":"live","data":"live"}'
        assert subscribers(app) == 1


async def test_a_websocket_whose_time_is_up_during_the_replay_is_cut(app: App) -> None:
    """Nothing else can be written to a client that does not read; it has its cursor."""
    await store(app, numbered(range(LONG), data=BIG))
    async with await WsClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
        await client.open(f"{HUB}?match=a&last_event_id=earliest", host=HOST)
        await stalled(app, client)
        await advance(app, 80)
        await client.until_cut()
    assert (app.counters.mercure_expired, subscribers(app)) == (1, 0)
    assert app.counters.mercure_replayed < LONG


async def test_a_websocket_whose_history_cannot_be_read_on_is_cut(
    app: App, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "holdfast.hub")
    await store(app, numbered(range(LONG), data=BIG))
    async with await WsClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
        await client.open(f"{HUB}?match=a&last_event_id=earliest", host=HOST)
        await stalled(app, client)
        lose(file)
        await client.until_cut()
    assert subscribers(app) == 0
    assert ["the history was not read" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param("https://app.example", 101, id="listed"),
        pytest.param(f"http://{HOST}", 101, id="its own"),
        pytest.param(f"http://{HOST.upper()}", 101, id="its own, in capitals"),
        pytest.param(f"https://{HOST}", 403, id="its own host by another scheme"),
        pytest.param("https://evil.example", 403, id="another"),
        pytest.param("null", 403, id="null"),
    ],
)
async def test_a_page_opens_a_websocket_if_it_may_read_streams(origin: str, status: int) -> None:
    async with (
        hub(*MIXED, "mercure.anonymous=true", "mercure.cors_origins=https://app.example") as app,
        await WsClient.connect(app.proxy_addresses[0]) as client,
    ):
        refused = await client.ask(f"{HUB}?match=a", headers=[("Origin", origin)], host=HOST)
        assert (101 if refused is None else refused.status) == status


def test_messages_are_frames_compressed_or_not() -> None:
    plain = text_encoder(None)(update("a", data="x" * 200))
    deflated = text_encoder(Deflate())(update("a", data="x" * 200))
    assert plain[0] == 0x80 | Opcode.TEXT
    assert deflated[0] == 0xC0 | Opcode.TEXT
    assert len(deflated) < len(plain) / 4


# -- long polls -----------------------------------------------------------------------------------------------------


async def polled(app: App, query: str, *headers: tuple[str, str]) -> tuple[int, object]:
    async with await client_of(app) as client:
        found = await client.fetch(f"{HUB}?{query}", host=HOST, headers=headers)
        return found.status, json.loads(found.body) if found.status == 200 else found.body


async def test_a_poll_is_answered_with_the_first_page_that_has_something(app: App) -> None:
    await store(app, [*numbered(range(MANY), topic="b"), *numbered(["x", "y"])])
    _, answer = await polled(app, "match=a&poll=5&last_event_id=earliest")
    assert isinstance(answer, dict)
    assert answer["updates"] == [{"id": "x", "data": "x"}, {"id": "y", "data": "y"}]
    await store(app, numbered(["z"]))
    _, answer = await polled(app, f"match=a&poll=5&last_event_id={quote(answer['last_event_id'])}")
    assert isinstance(answer, dict)
    assert answer["updates"] == [{"id": "z", "data": "z"}]


async def test_a_poll_that_missed_nothing_waits_and_misses_nothing(app: App) -> None:
    await store(app, [*numbered([1]), *numbered(range(MANY), topic="b")])
    async with await client_of(app) as client:
        await client.send_request(f"{HUB}?match=a&poll=5&last_event_id=1", host=HOST)
        await until(lambda: subscribers(app))
        await store(app, numbered(["live"]))
        assert json.loads((await client.response()).body)["updates"] == [{"id": "live", "data": "live"}]


async def test_a_poll_whose_history_cannot_be_read_is_told_so(app: App, file: Path) -> None:
    await store(app, numbered([1]))
    lose(file)
    assert await polled(app, "match=a&poll=5&last_event_id=earliest") == (500, b"Internal Server Error\n")
    assert subscribers(app) == 0


async def test_e10_a_poll_waits_no_longer_than_its_token_is_good() -> None:
    token = subscriber(exp=int(WALL_START) + 10)
    async with hub(*MIXED) as app, await client_of(app) as client:
        await client.send_request(f"{HUB}?match=a&poll=60", host=HOST, headers=[bearer(token)])
        await until(lambda: subscribers(app))
        await advance(app, 7.8)
        assert client.pending() == b""
        await advance(app, 0.3)
        assert json.loads((await client.response()).body) == {"last_event_id": "earliest", "updates": []}


async def test_a_body_that_comes_late_is_not_taken_for_the_next_request(app: App) -> None:
    hidden = f"GET {HUB}?match=b&poll=60 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    async with await client_of(app) as client:
        length = ("Content-Length", str(len(hidden)))
        await client.send_request(f"{HUB}?match=a&poll=60", host=HOST, headers=[length])
        await settle()
        assert subscribers(app) == 0
        await client.send(hidden)
        await until(lambda: subscribers(app))
        await store(app, numbered(["one"]))
        assert json.loads((await client.response()).body)["updates"] == [{"id": "one", "data": "one"}]
        await settle()
        assert subscribers(app) == 0


async def test_a_poll_of_a_client_that_leaves_is_forgotten(app: App) -> None:
    async with await client_of(app) as client:
        await client.send_request(f"{HUB}?match=a&poll=60", host=HOST)
        await until(lambda: subscribers(app))
    await until(lambda: not subscribers(app))
    await settle()


# -- many -----------------------------------------------------------------------------------------------------------


async def test_three_kinds_of_clients_that_come_at_once_get_the_same(app: App) -> None:
    await store(app, numbered(range(MANY)))
    expected = [str(each) for each in range(600, MANY)]

    async def by_stream() -> list[str]:
        async with subscribed(app, "match=a&last_event_id=599") as stream:
            return await stream.ids(len(expected))

    async def by_socket() -> list[str]:
        async with websocket(app.proxy_addresses[0], f"{HUB}?match=a&last_event_id=599", host=HOST) as client:
            return [json.loads(await client.heard())["id"] for _ in expected]

    async def by_polls() -> list[str]:
        found: list[str] = []
        cursor = "599"
        while len(found) < len(expected):
            _, answer = await polled(app, f"match=a&poll=5&last_event_id={quote(cursor)}")
            assert isinstance(answer, dict)
            cursor = answer["last_event_id"]
            found += [each["id"] for each in answer["updates"]]
        return found

    found = await asyncio.gather(by_stream(), by_socket(), by_polls())
    assert [*found] == [expected] * 3
