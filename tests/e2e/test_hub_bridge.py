"""Channels and topics as one: updates reach holds, items become updates (docs/mercure.md, settings `bridge*`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from proxy.app import App
from tests.e2e.hub_talking import READER, SUBSCRIPTIONS, Stream, open_events, published, query, shown
from tests.proxy.in_process import advance, client_of
from tests.support.answers import grip_response, grip_stream
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events
from tests.support.hub_site import ANONYMOUS, MIXED, hub, old_publisher, post
from tests.support.publisher import Json, Publisher, close_item, publish, response_item, stream_item
from tests.support.turns import until
from tests.support.websocket import WsClient, websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = "mercure.bridge=all"
PUBLIC = "mercure.bridge=public"


@asynccontextmanager
async def bridged(backend: ScriptedBackend, *settings: str) -> AsyncIterator[App]:
    """Run an app whose backend is for holds; both sides of the bridge are at the same port."""
    async with hub(*MIXED, ANONYMOUS, *settings, routes=[f"* {backend.address},over_http"]) as app:
        yield app


class Site:
    """Clients of every kind, connected one after the other, and gone at the end."""

    def __init__(self, app: App, backend: ScriptedBackend, opened: AsyncExitStack) -> None:
        self._app = app
        self._backend = backend
        self._opened = opened

    async def stream(self, *channels: str) -> RawClient:
        """Return a client with a stream hold."""
        self._backend.answers("/stream", grip_stream(*channels, body=b"open"))
        client = await self._client()
        await client.send_request("/stream")
        await client.head()
        assert await client.chunk() == b"open"
        return client

    async def poll(self, *channels: str) -> RawClient:
        """Return a client with a response hold."""
        self._backend.answers("/poll", grip_response(*channels))
        client = await self._client()
        held = len(self._app.edge.sessions)
        await client.send_request("/poll")
        await until(lambda: len(self._app.edge.sessions) > held)
        return client

    async def socket(self, *channels: str) -> WsClient:
        """Return a client with a WebSocket on these channels."""
        subscribing = b"".join(control("subscribe", channel=channel) for channel in channels)
        self._backend.answers("/ws", events(OPEN, subscribing), events())
        opening = websocket(self._app.proxy_addresses[0], "/ws")
        return await self._opened.enter_async_context(opening)

    async def subscriber(self, *pairs: tuple[str, str], token: str | None = READER) -> Stream:
        """Return a subscriber of the hub; it may read everything, or show another token."""
        return await open_events(await self._client(), query(*pairs), headers=shown(token))

    async def _client(self) -> RawClient:
        return await self._opened.enter_async_context(await client_of(self._app))


@asynccontextmanager
async def site(app: App, backend: ScriptedBackend) -> AsyncIterator[Site]:
    async with AsyncExitStack() as opened:
        yield Site(app, backend, opened)


def sse(data: str, **fields: str) -> str:
    return "".join(f"{name}: {value}\n" for name, value in {**fields, "data": data}.items()) + "\n"


@pytest.mark.parametrize("kept", [True, False], ids=["history", "no history"])
async def test_an_update_reaches_every_kind_of_hold_in_its_own_form(
    backend: ScriptedBackend, tmp_path: Path, kept: bool
) -> None:
    history = f"mercure.history={tmp_path / 'h.db' if kept else ''}"
    async with bridged(backend, PUBLIC, history) as app, site(app, backend) as clients:
        stream, poll, socket = await clients.stream("a"), await clients.poll("a"), await clients.socket("a")
        subscriber = await clients.subscriber(("match", "a"), token=None)
        update = await published(app.proxy_addresses[0], "a", "one\ntwo", type="news")
        event = f"event: news\nid: {update}\ndata: one\ndata: two\n\n"
        assert (await stream.chunk()).decode() == event
        assert (await poll.response()).body == b"one\ntwo"
        assert await socket.heard() == "one\ntwo"
        assert (await subscriber.event()).raw + "\n\n" == event


async def test_an_item_reaches_holds_as_ever_and_subscribers_as_an_update(backend: ScriptedBackend) -> None:
    async with bridged(backend, PUBLIC) as app, site(app, backend) as clients:
        stream, poll, socket = await clients.stream("a"), await clients.poll("a"), await clients.socket("a")
        subscriber = await clients.subscriber(("match", "a"))
        formats = {
            "http-stream": {"content": sse("for streams", event="news", id="own")},
            "http-response": {"body": "for polls"},
            "ws-message": {"content": "for sockets"},
        }
        await publish(app, {"channel": "a", "id": "1", "formats": formats})
        assert (await stream.chunk()).decode() == sse("for streams", event="news", id="own")
        assert (await poll.response()).body == b"for polls"
        assert await socket.heard() == "for sockets"
        event = await subscriber.event()
        assert (event.type, event.data) == ("news", "for streams")
        assert event.id.startswith("urn:uuid:")
        assert app.counters.mercure_updates == 1


@pytest.mark.parametrize(
    ("content", "data"),
    [
        ("plain text\n", ["plain text"]),
        (sse("1") + sse("2", event="x"), ["1", "2"]),
        (": only a comment\n\n", []),
        ("", []),
        (sse("1", event="mercure"), ["1"]),
    ],
    ids=["text", "two events", "comment", "nothing", "the hub's own type"],
)
async def test_an_item_is_as_many_updates_as_there_are_events_in_it(
    backend: ScriptedBackend, content: str, data: list[str]
) -> None:
    async with bridged(backend, PUBLIC) as app, site(app, backend) as clients:
        subscriber = await clients.subscriber(("match", "a"))
        await publish(app, stream_item("a", content), stream_item("a", "end"))
        found = await subscriber.events(len(data) + 1)
        assert [event.data for event in found] == [*data, "end"]
        assert "mercure" not in {event.type for event in found}


@pytest.mark.parametrize(("mode", "reaches"), [(PUBLIC, False), (ALL, True)])
async def test_a_private_update_reaches_channels_where_all_do(
    backend: ScriptedBackend, mode: str, reaches: bool
) -> None:
    async with bridged(backend, mode) as app, site(app, backend) as clients:
        stream = await clients.stream("a")
        await published(app.proxy_addresses[0], "a", "secret", private="on")
        await published(app.proxy_addresses[0], "a", "public")
        assert (b"data: secret\n\n" in await stream.chunk()) == reaches


@pytest.mark.parametrize(("items", "reads"), [("private", False), ("public", True)])
async def test_an_item_is_for_those_whose_token_grants_the_topic_or_for_all(
    backend: ScriptedBackend, items: str, reads: bool
) -> None:
    """Private unless the operator says otherwise: a backend chose who is on the channel, and the hub knows nobody."""
    async with bridged(backend, PUBLIC, f"mercure.bridge_items={items}") as app, site(app, backend) as clients:
        entitled = await clients.subscriber(("match", "a"))
        anybody = await clients.subscriber(("match", "a"), token=None)
        stream = await clients.stream("a")
        await publish(app, stream_item("a", "item"))
        await published(app.proxy_addresses[0], "a", "public")
        assert (await entitled.event()).data == "item"
        assert (await anybody.event()).data == ("item" if reads else "public")
        assert await stream.chunk() == b"item"  # once: it is not told of its own update


async def test_both_sides_see_one_order(backend: ScriptedBackend, tmp_path: Path) -> None:
    """Items and updates that follow one another, and the items of one request."""
    async with (
        bridged(backend, PUBLIC, f"mercure.history={tmp_path / 'h.db'}") as app,
        site(app, backend) as clients,
        await Publisher.connect(app) as publisher,
    ):
        stream, subscriber = await clients.stream("a"), await clients.subscriber(("match", "a"))
        expected = []
        for number in range(20):
            batch = [f"item {number} {part}" for part in range(3)]
            assert (await publisher.publish(*(stream_item("a", sse(text)) for text in batch))).status == 200
            await published(app.proxy_addresses[0], "a", f"update {number}")
            expected += [*batch, f"update {number}"]
        assert [event.data for event in await subscriber.events(len(expected))] == expected
        seen = b""
        while seen.count(b"data: ") < len(expected):
            seen += await stream.chunk()
        assert [line[6:].decode() for line in seen.split(b"\n") if line.startswith(b"data: ")] == expected


async def test_what_was_an_item_is_in_the_history(backend: ScriptedBackend, tmp_path: Path) -> None:
    history = f"mercure.history={tmp_path / 'h.db'}"
    async with bridged(backend, PUBLIC, history) as app:
        start = await published(app.proxy_addresses[0], "a", "update")
        await publish(app, stream_item("a", sse("item")), stream_item("b", sse("of another")))
    async with bridged(backend, PUBLIC, history) as app, site(app, backend) as clients:
        back = await clients.subscriber(("match", "a"), ("last_event_id", start))
        assert (await back.event()).data == "item"
        anybody = await clients.subscriber(("match", "a"), ("last_event_id", "earliest"), token=None)
        await published(app.proxy_addresses[0], "a", "new")
        assert [event.data for event in await anybody.events(2)] == ["update", "new"]
        assert (await back.event()).data == "new"


async def test_who_is_on_several_channels_of_an_update_gets_it_once(backend: ScriptedBackend) -> None:
    async with bridged(backend, PUBLIC) as app, site(app, backend) as clients:
        stream, socket = await clients.stream("a", "b"), await clients.socket("b", "a")
        fields = [("topic", "a"), ("topic", "b"), ("topic", "c"), ("data", "x")]
        assert (await post(app.proxy_addresses[0], fields, token=old_publisher("*"))).status == 200
        await publish(
            app, close_item("a"), close_item("b"), {"channel": "a", "formats": {"ws-message": {"content": "end"}}}
        )
        assert (await stream.chunk()).endswith(b"data: x\n\n")
        assert await stream.chunk() == b""
        assert [await socket.heard(), await socket.heard()] == ["x", "end"]


async def test_an_item_that_was_published_before_is_no_second_update(backend: ScriptedBackend, tmp_path: Path) -> None:
    async with (
        bridged(backend, PUBLIC, f"mercure.history={tmp_path / 'h.db'}") as app,
        site(app, backend) as clients,
    ):
        stream, subscriber = await clients.stream("a"), await clients.subscriber(("match", "a"))
        same = stream_item("a", "same", id="1")
        await publish(app, same, same)
        await publish(app, same, stream_item("a", "end"))
        assert [event.data for event in await subscriber.events(2)] == ["same", "end"]
        assert await stream.read_until(b"end") == b"4\r\nsame\r\n3\r\nend"


async def test_an_id_that_came_with_nothing_to_tell_may_come_again_when_it_is_forgotten(
    backend: ScriptedBackend,
) -> None:
    async with bridged(backend, PUBLIC, "hold.id_cache_ttl=60") as app, site(app, backend) as clients:
        subscriber = await clients.subscriber(("match", "a"))
        await publish(app, stream_item("a", ":\n\n", id="1"))
        await advance(app, 61)
        await publish(app, stream_item("a", "told", id="1"))
        assert (await subscriber.event()).data == "told"


async def test_an_item_that_is_not_stored_is_refused_and_reaches_nobody(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    """What is no update, because it has no content, needs no history."""
    async with (
        bridged(backend, PUBLIC, f"mercure.history={tmp_path / 'h.db'}") as app,
        site(app, backend) as clients,
        await Publisher.connect(app) as publisher,
    ):
        stream, poll = await clients.stream("a"), await clients.poll("a")
        assert app.hub is not None
        await app.hub.hub.engine.close()
        item = stream_item("a", "lost")
        item["formats"]["http-response"] = {"body": "lost"}
        assert (await publisher.publish(item)).status == 500
        assert app.counters.mercure_storage_failures == 1
        assert (await publisher.publish(response_item("a", "found"), close_item("a"))).status == 200
        assert await stream.chunk() == b""
        assert (await poll.response()).body == b"found"


@pytest.mark.parametrize(
    "item",
    [
        stream_item("*", "x"),
        stream_item(f"{SUBSCRIPTIONS}/exact/a/b", "x"),
        stream_item("a\u200bb", "x"),
        {"channel": "a", "formats": {"http-stream": {"content-bin": "/w=="}}},
        {"channel": "a", "formats": {"http-stream": {"content": "x", "content-filters": []}}},
    ],
    ids=["wildcard", "reserved", "format character", "not text", "filters"],
)
async def test_what_cannot_be_an_update_is_counted_and_delivered_on_its_channel(
    backend: ScriptedBackend, item: Json
) -> None:
    async with bridged(backend, PUBLIC) as app, site(app, backend) as clients:
        everything = await clients.subscriber(("match", "*"))
        stream = await clients.stream(item["channel"]) if item["channel"].isascii() else None
        await publish(app, item)
        await published(app.proxy_addresses[0], "end", "end")
        assert (await everything.event()).data == "end"
        assert app.counters.mercure_unbridged == 1
        assert stream is None or await stream.chunk() in (b"x", b"\xff")


async def test_what_is_told_of_subscriptions_does_not_reach_channels(backend: ScriptedBackend) -> None:
    async with bridged(backend, ALL, "mercure.subscriptions=true") as app, site(app, backend) as clients:
        watcher = await clients.subscriber(("match_urlpattern", f"{SUBSCRIPTIONS}/exact/:match/:subscriber"))
        await clients.subscriber(("match", "a"))
        document = (await watcher.event()).json
        stream = await clients.stream(document["id"])
        assert app.counters.mercure_updates == 0
        await publish(app, stream_item(document["id"], "end"))
        assert await stream.chunk() == b"end"


async def test_the_two_worlds_know_nothing_of_each_other_unless_they_are_told_to(backend: ScriptedBackend) -> None:
    async with bridged(backend) as app, site(app, backend) as clients:
        stream, socket = await clients.stream("a"), await clients.socket("a")
        subscriber = await clients.subscriber(("match", "a"))
        await published(app.proxy_addresses[0], "a", "update")
        await publish(app, stream_item("a", "item"), {"channel": "a", "formats": {"ws-message": {"content": "item"}}})
        await published(app.proxy_addresses[0], "a", "end")
        assert await stream.chunk() == b"item"
        assert await socket.frame() == Frame(Opcode.TEXT, b"item")
        assert [event.data for event in await subscriber.events(2)] == ["update", "end"]
