from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq

from handlers.counters import Counters
from handlers.observer import Observers
from handlers.protocol.names import Channel
from handlers.protocol.observed import Interest, Mode, Subscribed
from handlers.protocol.tnetstring import encode_tnetstring
from publish_api.zeromq.server import ZeroMQServer
from publish_api.zeromq.settings import ZeroMQSettings
from tests.support.clock import ManualClock
from tests.support.patience import bounded
from tests.support.publish_port import ListSink
from tests.support.turns import until
from tests.support.zeromq import ZeroMQPeer, zeromq_peer

ANY = "tcp://127.0.0.1:0"


class Serving:
    """A server, what it does with what it gets, and whoever talks to it."""

    def __init__(self, settings: ZeroMQSettings, peer: ZeroMQPeer) -> None:
        self.sink = ListSink()
        self.clock = ManualClock()
        self.counters = Counters()
        self.peer = peer
        self.observers = Observers()
        self.server = ZeroMQServer(
            settings,
            self.sink,
            counters=self.counters,
            clock=self.clock,
            observers=self.observers,
            takes_wildcards=True,
        )
        self.uris = self.server.uris

    @property
    def published(self) -> list[tuple[str, bytes]]:
        return [(item.channel, item.http_stream.content) for item in self.sink.items if item.http_stream]


@asynccontextmanager
async def serving(settings: ZeroMQSettings) -> AsyncGenerator[Serving]:
    async with zeromq_peer() as peer:
        each = Serving(settings, peer)
        each.server.open()
        each.server.begin()
        try:
            yield each
        finally:
            each.server.close()
            each.server.close()


def item(content: str, channel: str = "c") -> bytes:
    return encode_tnetstring({"channel": channel, "http-stream": {"content": content}})


async def test_each_socket_is_where_the_settings_put_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    settings = ZeroMQSettings(
        pull=f"ipc://{tmp_path}/pull",
        sub=(f"ipc://{tmp_path}/sub", f"ipc://{tmp_path}/sub2"),
        command=f"ipc://{tmp_path}/command",
        stats=f"ipc://{tmp_path}/stats",
        ipc_file_mode="600",
    )
    async with serving(settings) as each:
        modes = {path.name: path.stat().st_mode & 0o777 for path in sorted(tmp_path.iterdir())}  # noqa: ASYNC240
        assert modes == dict.fromkeys(("command", "pull", "stats", "sub", "sub2"), 0o600)
        reply = await each.peer.ask(settings.command, "get-zmq-uris")
    assert reply == {
        "id": b"1",
        "success": True,
        "value": {
            "publish-pull": settings.pull.encode(),
            "publish-sub": settings.sub[0].encode(),
            "command": settings.command.encode(),
        },
    }
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("ZeroMQ: ")]
    assert line == (
        f"ZeroMQ: pull on {settings.pull}, sub on {settings.sub[0]}, sub on {settings.sub[1]}, "
        f"command on {settings.command}, stats on {settings.stats}"
    )


async def test_what_is_pushed_is_published() -> None:
    async with serving(ZeroMQSettings(pull=ANY)) as each:
        await each.peer.push(each.uris["publish-pull"], item("one"), b"T" + item("two"))
        await until(lambda: each.published == [("c", b"one"), ("c", b"two")])


async def test_every_endpoint_of_the_sub_socket_is_bound_and_gets_everything(tmp_path: Path) -> None:
    """P07, but for the subscriptions: Pushpin binds the first endpoint alone (defect D7)."""
    endpoints = (f"ipc://{tmp_path}/one", f"ipc://{tmp_path}/two")
    async with serving(ZeroMQSettings(sub=endpoints)) as each:
        for number, endpoint in enumerate(endpoints, 1):
            xpub = await each.peer.xpub(endpoint)
            await xpub.send_multipart([b"mine", item(str(number), "other")])
            await until(lambda: len(each.published) == number)  # noqa: B023  # it is called in this turn of the loop
        assert each.published == [("mine", b"1"), ("mine", b"2")]


async def test_the_sub_socket_can_connect_to_publishers_instead(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/publisher"
    settings = ZeroMQSettings(sub=(endpoint,), sub_connect=True, command=ANY)
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.bind(endpoint)
        async with serving(settings) as each:
            await until(lambda: publisher.poll(0))
            assert publisher.recv() == b"\x01"
            publisher.send_multipart([b"c", item("one")])
            await until(lambda: each.published == [("c", b"one")])
            assert "publish-sub" not in each.uris


async def test_a_publication_by_command_is_published_too() -> None:
    async with serving(ZeroMQSettings(command=ANY)) as each:
        items: list[object] = [{"channel": "c", "http-stream": {"content": "one"}}]
        await each.peer.ask(each.uris["command"], "publish", {"items": items})  # type: ignore[dict-item]  # as above
        assert each.published == [("c", b"one")]


async def test_the_stats_socket_tells_what_observers_are_told() -> None:
    async with serving(ZeroMQSettings(stats=ANY, stats_format="json")) as each:
        subscriber = each.peer.socket(zmq.SUB, each.uris["stats"])
        # Until it has subscribed there is nobody to tell.
        async with bounded():
            while not await subscriber.poll(1):
                each.counters.requests += 1
                each.clock.advance(0.1)
            while not (await subscriber.recv()).startswith(b"sub "):
                each.observers.observe(Subscribed("ws", Channel("c"), 1))
                each.clock.advance(0.1)


async def test_without_a_stats_socket_nobody_asks() -> None:
    assert not ZeroMQSettings(pull=ANY, sub=(ANY,), command=ANY).interest.is_any
    assert ZeroMQSettings(stats=ANY).interest == Interest(channels=True, connections=True, deliveries=True)


async def test_p07_an_xpub_hears_who_listens() -> None:
    async with serving(ZeroMQSettings(sub=(ANY,), subscribe="channels")) as each:
        xpub = each.peer.socket(zmq.XPUB, each.uris["publish-sub"])

        def on(channel: str, subscribers: int, mode: Mode = "stream") -> None:
            each.observers.observe(Subscribed(mode, Channel(channel), subscribers))

        async with bounded():
            on("a", 1)
            assert await xpub.recv() == b"\x01a"
            on("a", 2)
            on("a", 1, "ws")
            on("a", 0)
            on("b", 1, "response")
            assert await xpub.recv() == b"\x01b"
            await xpub.send_multipart([b"b", item("for b", "b")])
            await until(lambda: each.published == [("b", b"for b")])
            on("a", 0, "ws")
            assert await xpub.recv() == b"\x00a"
            on("b", 0, "response")
            each.clock.advance(30)
            on("b", 1, "response")
            on("b", 0, "response")
            each.clock.advance(59)
            on("news-*", 1)
            assert await xpub.recv() == b"\x01news-"
            each.clock.advance(1.1)
            assert await xpub.recv() == b"\x00b"


async def test_where_one_endpoint_is_taken_none_is_opened(tmp_path: Path) -> None:
    async with serving(ZeroMQSettings(command=f"ipc://{tmp_path}/command")) as first, zeromq_peer() as peer:
        second = Serving(ZeroMQSettings(pull=f"ipc://{tmp_path}/pull", command=first.uris["command"]), peer)
        with pytest.raises(OSError, match="Address already in use") as caught:
            second.server.open()
        assert caught.value.filename == f"ipc://{tmp_path}/command"
        third = Serving(ZeroMQSettings(pull=f"ipc://{tmp_path}/pull"), peer)
        third.server.open()
        third.server.close()
        await first.peer.ask(first.uris["command"], "get-zmq-uris")
