"""Who is there, ending single connections, and items for many channels (rows X02 to X04, P08)."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import zmq

from handlers.protocol.tnetstring import Value, encode_tnetstring, parse_tnetstring
from tests.e2e.controlling import ask_port, held_on, id_on, told
from tests.e2e.holding import open_poll, open_stream
from tests.e2e.hub_talking import open_events, query
from tests.support.answers import grip_response, grip_stream
from tests.support.app_process import AppProcess, ConsoleProcess, console
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events, message
from tests.support.hub_site import MIXED
from tests.support.patience import bounded
from tests.support.publisher import Publisher, publish, stream_item
from tests.support.websocket import websocket
from tests.support.workers import clients_of_all, workers_of
from tests.support.zeromq import Socket, ZeroMQPeer, zeromq_peer

pytestmark = pytest.mark.asyncio(loop_scope="module")

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HOLD_ID = re.compile(r"[12]-[0-9a-f]+")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (f"*,id=site {backend.address},over_http",)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the command socket."""
    return f"ipc://{tmp_path_factory.mktemp('zmq')}/command"


@pytest.fixture(scope="module")
def settings(endpoint: str) -> tuple[str, ...]:
    return (*MIXED, "mercure.anonymous=true", f"zeromq.command={endpoint}", f"zeromq.pull={endpoint}-pull")


@pytest_asyncio.fixture(loop_scope="module")
async def peer() -> AsyncIterator[ZeroMQPeer]:
    """Whoever talks ZeroMQ to the app."""
    async with zeromq_peer() as peer:
        yield peer


async def test_x04_channels_have_subscribers_by_kind(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/x04", grip_stream("x04"))
    backend.answers("/x04-ws", events(OPEN, control("subscribe", channel="x04")))
    async with await RawClient.connect(app.proxy_address) as poller, websocket(app.proxy_address, "/x04-ws"):
        await open_poll(app, poller, backend, "/x04-poll", grip_response("x04", "x04-b"))
        await app.until(lambda counters: counters["sessions_websocket"] > 0)
        await app.settle()
        x04 = {"channel": "x04", "subscribers": {"stream": 1, "response": 1, "ws": 1}}
        x04_b = {"channel": "x04-b", "subscribers": {"stream": 0, "response": 1, "ws": 0}}
        assert await told(app, "/channels/?prefix=x04") == {"channels": [x04, x04_b], "next": None}
        assert await told(app, "/channels/?prefix=x04&limit=1") == {"channels": [x04], "next": "x04"}
        assert await told(app, "/channels/?prefix=x04&limit=1&after=x04") == {"channels": [x04_b], "next": None}
        assert await told(app, "/channels/x04/") == x04
    client.close()
    await app.until(lambda counters: counters["sessions_stream"] == 0)
    await until_nobody_is_on(app, "x04")


async def until_nobody_is_on(app: AppProcess, channel: str) -> None:
    """Wait until that is told."""
    while (await ask_port(app, f"/channels/{channel}/")).status != 404:
        await app.settle()
    assert await told(app, f"/channels/{channel}/", status=404) == {"message": "Nobody is on this channel."}


async def test_x03_connections_are_described(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/x03", grip_stream("x03"))
    await client.send_request("/x03?a=b")
    await client.head()
    backend.answers("/x03-ws", events(OPEN, control("subscribe", channel="x03")))
    async with websocket(app.proxy_address, "/x03-ws"):
        await app.until(lambda counters: counters["sessions_websocket"] > 0)
        stream, socket = sorted(await held_on(app, "x03"), key=lambda each: each["kind"])
        assert HOLD_ID.fullmatch(stream.pop("id"))
        assert datetime.fromisoformat(stream.pop("since")).timestamp() == pytest.approx((await app.times())[1])
        assert stream == {
            "kind": "stream",
            "protocol": "grip",
            "peer": "127.0.0.1",
            "route": "site",
            "uri": "http://example.com/x03?a=b",
            "channels": ["x03"],
            "topics": [],
        }
        # The id of a WebSocket over HTTP is the one that its backend knows.
        (asked,) = backend.requests_for("/x03-ws")
        assert [socket["id"].encode()] == list(asked.values(b"connection-id"))
        assert UUID.fullmatch(socket["id"])
        assert (socket["kind"], socket["uri"]) == ("ws", "ws://example.com/x03-ws")
        assert await told(app, f"/connections/{socket['id']}/") == socket
        assert await told(app, "/connections/?channel=x03&kind=response") == {"connections": [], "next": None}


async def test_x03_connections_come_page_by_page_and_each_once(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/pages", grip_stream("pages"))
    clients = [await RawClient.connect(app.proxy_address) for _ in range(7)]
    try:
        for client in clients:
            await client.send_request("/pages")
            await client.head()
        everybody = [each["id"] for each in await held_on(app, "pages")]
        assert len(set(everybody)) == 7
        seen: list[str] = []
        after = ""
        while True:
            page = await told(app, f"/connections/?channel=pages&limit=3{after}")
            assert len(page["connections"]) <= 3
            seen += [each["id"] for each in page["connections"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == everybody
    finally:
        for client in clients:
            client.close()


async def test_x03_a_stream_is_ended_in_good_order(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/end-stream", grip_stream("end-stream"))
    name = await id_on(app, "end-stream")
    assert await told(app, f"/connections/{name}/", method="DELETE") == {"message": "Closed"}
    assert await client.until_closed() == b"0\r\n\r\n"
    assert await told(app, f"/connections/{name}/", method="DELETE", status=404) == {"message": "No such connection."}
    assert await held_on(app, "end-stream") == []
    await app.log_line(rf"http://example.com/end-stream ended on request, id={name}$")


async def test_x03_a_long_poll_is_answered_as_at_its_timeout(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/end-poll", grip_response("end-poll", body=b"nothing"))
    await told(app, f"/connections/{await id_on(app, 'end-poll')}/", method="DELETE")
    response = await client.response()
    assert (response.status, response.body, response.values(b"connection")) == (200, b"nothing", (b"close",))
    await client.until_closed()


@pytest.mark.parametrize(
    ("target", "code", "reason"), [("", 1001, ""), ("?code=4001&reason=bye%20now", 4001, "bye now")]
)
async def test_x03_a_websocket_is_closed(
    app: AppProcess, backend: ScriptedBackend, target: str, code: int, reason: str
) -> None:
    channel = f"end-ws-{code}"
    backend.answers(f"/{channel}", events(OPEN, control("subscribe", channel=channel)))
    async with websocket(app.proxy_address, f"/{channel}") as socket:
        await app.settle()
        name = await id_on(app, channel)
        await told(app, f"/connections/{name}/{target}", method="DELETE")
        closed = await socket.closed()
        assert (closed.code, closed.reason) == (code, reason)


async def test_x03_mercure_subscribers_are_connections_too(app: AppProcess, client: RawClient) -> None:
    topic = "https://x.example/x03"
    await open_events(client, query(("match", topic)))
    page = await told(app, "/connections/?kind=stream")
    [found] = [each for each in page["connections"] if each["protocol"] == "mercure"]
    assert (found["topics"], found["channels"], found["route"]) == ([topic], [], "")
    await told(app, f"/connections/{found['id']}/", method="DELETE")
    assert (await client.until_closed()).endswith(b"0\r\n\r\n")


async def test_x02_an_item_reaches_everybody_on_its_channels(app: AppProcess, backend: ScriptedBackend) -> None:
    async with (
        await RawClient.connect(app.proxy_address) as one,
        await RawClient.connect(app.proxy_address) as other,
        await RawClient.connect(app.proxy_address) as both,
    ):
        await open_stream(one, backend, "/x02-a", grip_stream("x02-a"))
        await open_stream(other, backend, "/x02-b", grip_stream("x02-b"))
        await open_stream(both, backend, "/x02-ab", grip_stream("x02-a", "x02-b"))
        item = stream_item("", "one", id="1") | {"channel": None, "channels": ["x02-a", "x02-b", "x02-c"]}
        await publish(app, item)
        # As if it had been published on each: an id counts on its channel.
        await publish(app, item)
        await publish(app, stream_item("x02-b", "again", id="1"), stream_item("x02-b", "two", id="2"))
        assert [await one.chunk(), await other.chunk(), await other.chunk()] == [b"one", b"one", b"two"]
        assert await both.read_until(b"two\r\n") == b"3\r\none\r\n3\r\none\r\n3\r\ntwo\r\n"
        await app.log_line(r"publish channel=x02-c ")


async def test_x02_all_or_nothing(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    await open_stream(client, backend, "/x02-none", grip_stream("x02-none"))
    good = stream_item("", "no") | {"channel": None, "channels": ["x02-none"]}
    async with await Publisher.connect(app) as publisher:
        response = await publisher.publish(good, stream_item("c", "x") | {"channels": ["c"]})
    text = b"Invalid format: publish item object contains both 'channel' and 'channels'\n"
    assert (response.status, response.body) == (400, text)
    await publish(app, stream_item("x02-none", "yes"))
    assert await client.chunk() == b"yes"


async def test_x02_items_by_zeromq_may_be_for_many_too(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, endpoint: str
) -> None:
    await open_stream(client, backend, "/x02-zmq", grip_stream("x02-zmq-a", "x02-zmq-b"))
    item: dict[str, Any] = {"channels": ["x02-zmq-a", "x02-zmq-b"], "http-stream": {"content": "x"}}
    await peer.push(f"{endpoint}-pull", encode_tnetstring(item), b"J" + json.dumps(item).encode())
    assert await client.read_exactly(24) == b"1\r\nx\r\n" * 4
    assert await peer.ask(endpoint, "publish", {"items": [item]}) == {"id": b"1", "success": True, "value": None}
    assert await client.read_exactly(12) == b"1\r\nx\r\n" * 2


async def test_p08_conncheck_says_which_connections_are_there(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, endpoint: str
) -> None:
    await open_stream(client, backend, "/p08", grip_stream("p08"))
    backend.answers("/p08-ws", events(OPEN, control("subscribe", channel="p08")))
    async with websocket(app.proxy_address, "/p08-ws"):
        await app.settle()
        ids = [each["id"] for each in await held_on(app, "p08")]
        assert len(ids) == 2
        reply = await peer.ask(endpoint, "conncheck", {"ids": ["gone", *ids, "1-5"]})
        assert reply == {"id": b"1", "success": True, "value": [name.encode() for name in ids]}


async def test_p08_publishers_do_not_wait_while_a_worker_does_not_say_who_is_there(
    backend: ScriptedBackend, peer: ZeroMQPeer, tmp_path: Path
) -> None:
    endpoint = f"ipc://{tmp_path}/c"
    settings = ("proxy.workers=2", f"zeromq.command={endpoint}")
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        stuck, _ = workers_of(app.process.pid)
        os.kill(stuck, signal.SIGSTOP)
        dealer = peer.socket(zmq.DEALER, endpoint)
        asked: dict[str, Any] = {"conncheck": {"ids": ["a"]}, "publish": {"items": [stream_item("stuck", "x")]}}
        for method, args in asked.items():
            await dealer.send_multipart([b"", encode_tnetstring({"id": method, "method": method, "args": args})])
        published = {"id": b"publish", "success": True, "value": None}
        assert await received(dealer) == published  # the test's clock does not get to where a worker is given up
        os.kill(stuck, signal.SIGCONT)
        assert await received(dealer) == {"id": b"conncheck", "success": True, "value": []}


async def received(dealer: Socket) -> Value:
    """Return the next reply."""
    async with bounded():
        _, reply = await dealer.recv_multipart()
    return parse_tnetstring(reply)[0]


async def test_p08_refresh_of_one_connection_has_its_backend_asked(
    app: AppProcess, backend: ScriptedBackend, peer: ZeroMQPeer, endpoint: str
) -> None:
    subscribe = control("subscribe", channel="p08-refresh")
    backend.answers("/p08-refresh", events(OPEN, subscribe), events(message("refreshed")))
    backend.answers("/p08-other", events(OPEN, subscribe))
    async with (
        websocket(app.proxy_address, "/p08-refresh") as socket,
        websocket(app.proxy_address, "/p08-other"),
    ):
        await app.settle()
        (first, *_) = backend.requests_for("/p08-refresh")
        cid = first.values(b"connection-id")[0]
        assert await peer.ask(endpoint, "refresh", {"cid": cid}) == {"id": b"1", "success": True, "value": None}
        assert await socket.heard() == "refreshed"
        assert len(backend.requests_for("/p08-other")) == 1
    unknown = await peer.ask(endpoint, "refresh", {"cid": "123e4567-e89b-12d3-a456-426614174000"})
    assert unknown == {"id": b"1", "success": False, "condition": b"item-not-found"}


async def test_the_commands_list_and_disconnect(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    await open_stream(client, backend, "/command", grip_stream("command"))
    spec = f"--spec=http://127.0.0.1:{app.publish_address[1]}"
    assert await console("channels", "--prefix=command", spec) == (0, "1\t0\t0\tcommand\n", "")
    status, listed, _ = await console("connections", "--channel", "command", spec)
    name, kind, address, _, uri, channels = listed.rstrip("\n").split("\t")
    assert (status, kind, address, uri) == (0, "stream", "127.0.0.1", "http://example.com/command")
    assert channels == "command"
    assert await console("disconnect", name, spec) == (0, "Closed\n", "")
    await client.until_closed()
    assert await console("disconnect", name, spec) == (1, "", "Error: No such connection.\n")


async def test_with_workers_everybody_is_found_and_ended_wherever_they_are(
    backend: ScriptedBackend,
) -> None:
    arguments = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--workers", "2")
    async with (
        ConsoleProcess(*arguments, "--route", f"* {backend.address}") as app,
        clients_of_all(app.process.pid, app.proxy_address) as clients,
    ):
        backend.answers("/workers", grip_stream("workers"))
        for [client] in clients.values():
            await client.send_request("/workers")
            await client.head()
        assert (await told(app, "/channels/workers/"))["subscribers"]["stream"] == 2
        ids = [each["id"] for each in await held_on(app, "workers")]
        assert sorted(name.partition("-")[0] for name in ids) == ["1", "2"]
        for name in ids:
            await told(app, f"/connections/{name}/", method="DELETE")
        for [client] in clients.values():
            assert await client.until_closed() == b"0\r\n\r\n"
        await told(app, "/channels/workers/", status=404)
