"""Publishing by ZeroMQ, commands and stats, as Pushpin's publishers and operators know them (rows P06 to P09)."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import zmq

from handlers.protocol.tnetstring import Encodable, encode_tnetstring
from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_response, grip_stream
from tests.support.app_process import AppProcess, ConsoleProcess, console
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events, message
from tests.support.patience import bounded
from tests.support.publisher import publish, stream_item
from tests.support.websocket import websocket
from tests.support.zeromq import ZeroMQPeer, zeromq_peer

pytestmark = pytest.mark.asyncio(loop_scope="module")

Folder = Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Where the sockets are."""
    return tmp_path_factory.mktemp("zmq")


@pytest.fixture(scope="module")
def settings(folder: Folder) -> tuple[str, ...]:
    """All four sockets."""
    return (
        f"zeromq.pull=ipc://{folder}/pull",
        f"zeromq.sub=ipc://{folder}/sub",
        f"zeromq.command=ipc://{folder}/command",
        f"zeromq.stats=ipc://{folder}/stats",
        "zeromq.stats_format=json",
    )


@pytest_asyncio.fixture(loop_scope="module")
async def peer() -> AsyncIterator[ZeroMQPeer]:
    """Whoever talks ZeroMQ to the app."""
    async with zeromq_peer() as peer:
        yield peer


def item(channel: str, content: bytes | str) -> dict[str, Encodable]:
    """An item in all three formats."""
    return {
        "channel": channel,
        "formats": {
            "http-stream": {"content": content},
            "http-response": {"body": content},
            "ws-message": {"content": content},
        },
    }


def stream(channel: str, content: bytes | str) -> dict[str, Encodable]:
    """An item for streams."""
    return {"channel": channel, "http-stream": {"content": content}}


async def test_a_pushed_item_reaches_holds_of_every_kind(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Folder
) -> None:
    """P06: bare, T and J."""
    await open_stream(client, backend, "/p06", grip_stream("p06"))
    subscribe = control("subscribe", channel="p06")
    backend.answers("/p06-ws", events(OPEN, subscribe))
    async with (
        await RawClient.connect(app.proxy_address) as poller,
        websocket(app.proxy_address, "/p06-ws") as socket,
    ):
        await open_poll(app, poller, backend, "/p06-poll", grip_response("p06"))
        await app.until(lambda counters: counters["sessions_websocket"] > 0)
        data = encode_tnetstring(item("p06", "one"))
        await peer.push(
            f"ipc://{folder}/pull", data, b"T" + data, b"J" + json.dumps(stream_item("p06", "two")).encode()
        )
        assert await client.read_until(b"two\r\n") == b"3\r\none\r\n3\r\none\r\n3\r\ntwo\r\n"
        assert (await poller.response()).body == b"one"
        assert [await socket.heard(), await socket.heard()] == ["one", "one"]


async def test_the_publish_command_pushes_to_an_endpoint(
    client: RawClient, backend: ScriptedBackend, folder: Folder
) -> None:
    """P15, by ZeroMQ."""
    await open_stream(client, backend, "/p15", grip_stream("p15"))
    done = await console("publish", "--spec", f"ipc://{folder}/pull", "p15", "hello")
    assert done == (0, "Published\n", "")
    assert await client.chunk() == b"hello\n"


async def test_a_list_of_items_is_a_warning_and_the_next_message_counts(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Folder
) -> None:
    """P06."""
    await open_stream(client, backend, "/p06-list", grip_stream("p06-list"))
    wrong = encode_tnetstring({"items": [item("p06-list", "wrong")]})
    await peer.push(f"ipc://{folder}/pull", wrong, b"\xff", encode_tnetstring(stream("p06-list", b"\x00\xff")))
    assert await client.chunk() == b"\x00\xff"
    await app.log_line(
        r"WARN.* IN pull: received message with invalid format: publish item object does not contain 'chan"
    )
    await app.log_line(r"WARN.* IN pull: received message with invalid format: tnetstring parse failed")


async def test_an_item_in_two_parts_goes_to_the_channel_of_the_first(
    client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Folder
) -> None:
    """P07. What an XPUB is told is that everything is wanted: see docs/publishing.md."""
    await open_stream(client, backend, "/p07", grip_stream("p07"))
    xpub = await peer.xpub(f"ipc://{folder}/sub")
    await xpub.send_multipart([b"p07", encode_tnetstring(stream("other", "one"))])
    await xpub.send_multipart([b"p07-and-more", encode_tnetstring(stream("p07", "not this"))])
    await xpub.send_multipart([b"p07", b"J" + json.dumps({"http-stream": {"content": "two"}}).encode()])
    assert [await client.chunk(), await client.chunk()] == [b"one", b"two"]


async def test_commands_have_their_replies(
    client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Folder
) -> None:
    """P08. Every one of them is in tests/publish_api/zeromq."""
    await open_stream(client, backend, "/p08", grip_stream("p08"))
    endpoint = f"ipc://{folder}/command"
    uris: Any = await peer.ask(endpoint, "get-zmq-uris")
    assert uris["value"] == {
        "publish-pull": f"ipc://{folder}/pull".encode(),
        "publish-sub": f"ipc://{folder}/sub".encode(),
        "command": endpoint.encode(),
    }
    assert await peer.ask(endpoint, "publish", {"items": [stream("p08", "one")]}) == {
        "id": b"1",
        "success": True,
        "value": None,
    }
    assert await client.chunk() == b"one"
    refused: Any = await peer.ask(endpoint, "publish", {"items": [{}]})
    assert (refused["success"], refused["condition"]) == (False, b"bad-request")


async def test_a_refresh_of_a_channel_has_its_websockets_ask_their_backend(
    app: AppProcess, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Folder
) -> None:
    subscribe = control("subscribe", channel="p08-refresh")
    backend.answers("/p08-refresh", events(OPEN, subscribe), events(message("refreshed")))
    async with websocket(app.proxy_address, "/p08-refresh") as socket:
        await peer.ask(f"ipc://{folder}/command", "refresh", {"channel": "p08-refresh"})
        assert await socket.heard() == "refreshed"


async def test_an_id_counts_whichever_way_an_item_comes(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Folder
) -> None:
    await open_stream(client, backend, "/ids", grip_stream("ids"))
    await publish(app, stream_item("ids", "one", id="1"))
    await peer.push(
        f"ipc://{folder}/pull",
        encode_tnetstring({**stream("ids", "again"), "id": "1"}),
        encode_tnetstring({**stream("ids", "two"), "id": "2"}),
    )
    assert [await client.chunk(), await client.chunk()] == [b"one", b"two"]


async def test_the_stats_socket_tells_of_requests_and_reports(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, peer: ZeroMQPeer, folder: Folder
) -> None:
    """P09, as far as it goes."""
    subscriber = peer.socket(zmq.SUB, f"ipc://{folder}/stats")
    messages: list[tuple[str, dict[str, Any]]] = []
    await open_stream(client, backend, "/p09", grip_stream("p09"))
    async with bounded():
        while not {"activity", "counts", "report"} <= {kind for kind, _ in messages}:
            # Until the subscription is there nobody is told.
            await client_of_its_own(app)
            await app.advance(10.1)
            while await subscriber.poll(10):
                kind, _, fields = (await subscriber.recv()).decode().partition(" J")
                messages.append((kind, json.loads(fields)))
    told = dict(messages)
    assert told["report"]["connections"] >= 1
    assert set(told["report"]) == {"connections", "duration", "from", "minutes", "received", "sent"}
    assert told["activity"]["count"] == told["counts"]["requests-received"] >= 1
    assert told["activity"]["from"].startswith("holdfast_")


async def client_of_its_own(app: AppProcess) -> None:
    """Ask for something that needs no backend."""
    async with await RawClient.connect(app.proxy_address) as client:
        await client.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await client.until_closed()


async def test_it_stops_with_publishers_connected(folder: Folder) -> None:
    endpoint = f"ipc://{folder}/stopping"
    async with zeromq_peer() as peer, ConsoleProcess(*alone(f"zeromq.pull={endpoint}")) as process:
        await peer.push(endpoint, encode_tnetstring(stream("c", "x")))
        await process.log_line(r"publish channel=c (receivers=0|workers=2)$")
        process.signal(signal.SIGTERM)
        assert await process.exit_status() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_file_of_a_socket_is_left_behind(workers: int, tmp_path: Path) -> None:
    """Of publishers, of a state service and of workers that connect by ZeroMQ."""
    names = ("pull", "command", "stats")
    settings = [f"zeromq.{name}=ipc://{tmp_path}/{name}" for name in names]
    settings += [f"zeromq.sub=ipc://{tmp_path}/sub,ipc://{tmp_path}/sub2", f"session.state=ipc://{tmp_path}/state"]
    route = f"*,session zhttp/ipc://{tmp_path}/stream zhttpreq/ipc://{tmp_path}/whole"
    async with ConsoleProcess(*alone(*settings, f"proxy.workers={workers}", route=route)) as process:
        made = names_in(tmp_path)
        assert {*names, "sub", "sub2"} < made
        assert len(made) == 5 + 5 * workers
        process.signal(signal.SIGTERM)
        assert await process.exit_status() == 0
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("kind", ["tcp", "ipc"])
@pytest.mark.parametrize("workers", [1, 2])
async def test_two_of_them_cannot_have_one_endpoint(kind: str, workers: int, folder: Folder) -> None:
    endpoint = "tcp://127.0.0.1:0" if kind == "tcp" else f"ipc://{folder}/taken-{workers}"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(ConsoleProcess(*alone(f"zeromq.pull={endpoint}")))
        (line,) = first.log_lines(r"ZeroMQ: pull on ")
        taken = line.rpartition(" ")[2]
        status, _, errors = await console(*alone(f"zeromq.pull={taken}", f"proxy.workers={workers}"))
    assert status == 1
    assert errors.splitlines()[-1] == f"holdfast: {taken}: Address already in use"


async def test_with_workers_a_pushed_item_reaches_their_clients(backend: ScriptedBackend, folder: Folder) -> None:
    endpoint = f"ipc://{folder}/workers"
    arguments = alone(f"zeromq.pull={endpoint}", "proxy.workers=2", route=f"* {backend.address}")
    async with (
        ConsoleProcess(*arguments) as process,
        zeromq_peer() as peer,
        await RawClient.connect(process.proxy_address) as client,
    ):
        await open_stream(client, backend, "/workers", grip_stream("workers"))
        await peer.push(endpoint, encode_tnetstring(stream("workers", "one")))
        assert await client.chunk() == b"one"


def names_in(folder: Folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def alone(*settings: str, route: str = "* test") -> list[str]:
    """Return the arguments of a Holdfast on free ports with these settings."""
    arguments = ["run", "--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--route", route]
    for setting in settings:
        arguments += ["--set", setting]
    return arguments
