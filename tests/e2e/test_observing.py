"""Who is subscribed, as the stats socket and publishers' XPUB sockets are told (rows P07, P09; reference 7.1, 6.2)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
import zmq
import zmq.asyncio

from handlers.protocol.tnetstring import encode_tnetstring
from tests.e2e.controlling import ask_port
from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_response, grip_stream
from tests.support.app_process import AppProcess, ConsoleProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events
from tests.support.patience import bounded
from tests.support.publisher import close_item, publish, stream_item
from tests.support.websocket import websocket
from tests.support.workers import workers_of
from tests.support.zeromq import ZeroMQPeer, zeromq_peer

pytestmark = pytest.mark.asyncio(loop_scope="module")

Message = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    """One route with an id."""
    return (f"*,id=r {backend.address},over_http",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sockets are."""
    return tmp_path_factory.mktemp("zmq")


@pytest.fixture(scope="module")
def settings(folder: Path) -> tuple[str, ...]:
    """Stats, and a SUB socket that says who listens."""
    return (
        f"zeromq.sub=ipc://{folder}/sub",
        "zeromq.subscribe=channels",
        f"zeromq.stats=ipc://{folder}/stats",
        "zeromq.stats_format=json",
        "zeromq.stats_interval=0",
        "hold.wildcard_subscriptions=true",
    )


@pytest_asyncio.fixture(loop_scope="module")
async def peer() -> AsyncIterator[ZeroMQPeer]:
    """Whoever talks ZeroMQ to the app."""
    async with zeromq_peer() as peer:
        yield peer


class Listener:
    """A subscriber of the stats socket that wants what is about one channel or connection."""

    def __init__(self, app: AppProcess, socket: zmq.asyncio.Socket) -> None:
        self._app = app
        self._socket = socket
        self.heard: list[Message] = []

    async def until(self, wanted: Callable[[str, dict[str, Any]], bool]) -> dict[str, Any]:
        """Read on until a message is as wanted, and return its fields."""
        async with bounded():
            while True:
                kind, _, fields = (await self._socket.recv()).decode().partition(" J")
                message: Message = kind, json.loads(fields)
                assert message[1].pop("from").startswith("holdfast_")
                self.heard.append(message)
                if wanted(*message):
                    return message[1]


@asynccontextmanager
async def listening(app: AppProcess, peer: ZeroMQPeer, folder: Path) -> AsyncIterator[Listener]:
    """Subscribe to everything, and wait until that has come."""
    socket = peer.socket(zmq.SUB, f"ipc://{folder}/stats")
    async with bounded():
        while not await socket.poll(10):
            async with await RawClient.connect(app.publish_address) as client:
                await client.send_request("/healthz", host="localhost")
            async with await RawClient.connect(app.proxy_address) as client:
                await client.send_request("/nothing")
                await client.response()
            await app.advance(0.2)
    yield Listener(app, socket)
    socket.close(linger=0)


def about(channel: str) -> Callable[[str, dict[str, Any]], bool]:
    """Want a `sub` of a channel that says that nobody is left."""
    return lambda kind, fields: kind == "sub" and fields["channel"] == channel and "unavailable" in fields


async def test_p09_one_hold_is_told_of_in_order(
    app: AppProcess, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Path
) -> None:
    async with listening(app, peer, folder) as listener, await RawClient.connect(app.proxy_address) as client:
        await open_stream(client, backend, "/p09", grip_stream("p09"))
        await app.settle()
        await publish(app, stream_item("p09", "one", id="i1"))
        assert await client.chunk() == b"one"
        await app.settle()
        await publish(app, close_item("p09"))
        end = await listener.until(lambda kind, fields: kind == "conn" and "unavailable" in fields)
    told = [
        (kind, fields)
        for kind, fields in listener.heard
        if fields.get("channel") == "p09" or fields.get("id") == end["id"]
    ]
    assert told == [
        ("conn", {"id": end["id"], "type": "http", "peer-address": "127.0.0.1", "route": "r", "ttl": 120}),
        ("sub", {"mode": "stream", "channel": "p09", "ttl": 60, "subscribers": 1}),
        ("message", {"channel": "p09", "item-id": "i1", "count": 1, "transport": "http-stream"}),
        ("sub", {"mode": "stream", "channel": "p09", "unavailable": True}),
        ("conn", {"id": end["id"], "route": "r", "unavailable": True}),
    ], "the end comes before the message that tells of the publication that was it"


async def test_p09_what_holds_is_told_again_and_a_poll_lingers(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Path
) -> None:
    async with listening(app, peer, folder) as listener:
        await open_poll(app, client, backend, "/again", grip_response("again", headers=[("Grip-Timeout", "50")]))
        await app.settle()
        sub = {"mode": "response", "channel": "again", "ttl": 60, "subscribers": 1}
        assert await listener.until(lambda kind, fields: fields.get("channel") == "again") == sub
        await app.advance(45.2)
        assert await listener.until(lambda kind, fields: fields.get("channel") == "again") == sub
        await app.advance(5)
        assert (await client.response()).status == 200
        await app.advance(59)
        await app.advance(1.2)
        assert await listener.until(about("again")) == {"mode": "response", "channel": "again", "unavailable": True}


async def test_p07_an_xpub_hears_of_channels_and_the_linger_of_polls(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Path
) -> None:
    xpub = peer.socket(zmq.XPUB, f"ipc://{folder}/sub")
    async with bounded(), await RawClient.connect(app.proxy_address) as poller:
        await open_stream(client, backend, "/p07", grip_stream("p07"))
        assert await xpub.recv() == b"\x01p07"
        await xpub.send_multipart([b"p07", encode_tnetstring({"http-stream": {"content": "by zmq"}})])
        assert await client.chunk() == b"by zmq"
        await open_poll(app, poller, backend, "/p07-poll", grip_response("p07-poll", headers=[("Grip-Timeout", "5")]))
        assert await xpub.recv() == b"\x01p07-poll"
        client.close()
        assert await xpub.recv() == b"\x00p07"
        await app.advance(6)
        await poller.response()
        await app.settle()
        await app.advance(57)
        assert not await xpub.poll(0)
        await app.advance(4)
        assert await xpub.recv() == b"\x00p07-poll"


async def test_p07_names_that_are_no_text_are_channels_of_their_own(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Path
) -> None:
    xpub = peer.socket(zmq.XPUB, f"ipc://{folder}/sub")
    async with bounded(), await RawClient.connect(app.proxy_address) as other:
        await open_stream(client, backend, "/odd", grip_stream("odd\udcff"))
        assert await xpub.recv() == b"\x01odd\xff"
        await open_stream(other, backend, "/other", grip_stream("odd\udcfe"))
        assert await xpub.recv() == b"\x01odd\xfe"
        page = json.loads((await ask_port(app, "/channels/?prefix=odd&limit=1")).body)
        assert page["channels"][0]["channel-bin"] == "b2Rk/g=="
        page = json.loads((await ask_port(app, f"/channels/?prefix=odd&after={quote(page['next'])}")).body)
        (told,) = page["channels"]
        assert (told["channel"], told["channel-bin"], page["next"]) == ("odd\ufffd", "b2Rk/w==", None)
        client.close()
        assert await xpub.recv() == b"\x00odd\xff", "and the other one stays subscribed to"
        await xpub.send_multipart([b"odd\xfe", encode_tnetstring({"http-stream": {"content": "by zmq"}})])
        assert await other.chunk() == b"by zmq"
        assert (await ask_port(app, "/channels/odd%FF/")).status == 404
        assert json.loads((await ask_port(app, "/channels/odd%FE/")).body)["subscribers"]["stream"] == 1


async def test_p07_an_xpub_hears_what_a_websocket_subscribes_to(
    app: AppProcess, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Path
) -> None:
    xpub = peer.socket(zmq.XPUB, f"ipc://{folder}/sub")
    backend.answers("/ws", events(OPEN, control("subscribe", channel="p07-ws"), control("subscribe", channel="p07*")))
    async with bounded():
        async with websocket(app.proxy_address, "/ws"):
            assert {await xpub.recv(), await xpub.recv()} == {b"\x01p07-ws", b"\x01p07"}
        assert {await xpub.recv(), await xpub.recv()} == {b"\x00p07-ws", b"\x00p07"}


async def test_the_share_of_a_worker_that_dies_is_taken_away(
    backend: ScriptedBackend, peer: ZeroMQPeer, tmp_path: Path
) -> None:
    settings = ("proxy.workers=2", f"zeromq.sub=ipc://{tmp_path}/sub", "zeromq.subscribe=channels")
    arguments = ["run", "--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--route", f"* {backend.address}"]
    for setting in settings:
        arguments += ["--set", setting]
    async with ConsoleProcess(*arguments) as process, bounded():
        xpub = peer.socket(zmq.XPUB, f"ipc://{tmp_path}/sub")
        async with await RawClient.connect(process.proxy_address) as client:
            await open_stream(client, backend, "/dying", grip_stream("dying"))
            assert await xpub.recv() == b"\x01dying"
            for pid in workers_of(process.process.pid):
                os.kill(pid, signal.SIGKILL)
            assert await xpub.recv() == b"\x00dying"
