"""A WebSocket passed through: frames go both ways as they came, from the first byte behind the 101 to the last."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from handlers.timers import NOWHERE
from proxy.app import App
from tests.proxy.certificates import self_signed, server_context
from tests.proxy.in_process import running
from tests.proxy.sockets import nothing_left, running_tasks, session_of, through, through_link_of
from tests.support.publisher import publish
from tests.support.turns import settle
from tests.support.websocket import WsClient, handshake, websocket
from tests.support.ws_backend import WsBackend, switch

GRIP = [("Sec-WebSocket-Extensions", "grip")]

EVERY_KIND = [
    Frame(Opcode.TEXT, b"hello"),
    Frame(Opcode.TEXT, b""),
    Frame(Opcode.BINARY, b"\x00\xff" * 40_000),
    Frame(Opcode.PING, b"ping"),
    Frame(Opcode.PONG, b""),
    Frame(Opcode.TEXT, b"a caf\xc3", fin=False),
    Frame(Opcode.PING, b"between"),
    Frame(Opcode.CONT, b"\xa9", fin=False),
    Frame(Opcode.CONT, b""),
]


@pytest.fixture
async def backend() -> AsyncGenerator[WsBackend]:
    async with WsBackend() as backend:
        yield backend


@pytest.fixture
async def app(backend: WsBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address},sub=room") as app:
        yield app


async def test_frames_go_both_ways_as_they_came(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        for end, other in ((client, peer), (peer, client)):
            await end.put(*EVERY_KIND)
            assert [await other.frame() for _ in EVERY_KIND] == EVERY_KIND


async def test_frames_go_on_when_they_are_whole_however_they_arrive(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        data = Frame(Opcode.TEXT, b"slowly").serialize(mask=False)
        for byte in data[:-1]:
            await peer.send(bytes((byte,)))
            await settle()
        await client.say("barrier")
        assert await peer.heard() == "barrier"
        await settle()
        assert client.pending() == b""
        await peer.send(data[-1:])
        assert await client.heard() == "slowly"


async def test_the_backend_is_asked_with_the_clients_headers_and_our_key(app: App, backend: WsBackend) -> None:
    headers = [("Cookie", "a=b"), ("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Extensions", "x-own")]
    async with through(app, backend, path="/a?b=%20c", headers=headers) as (_, peer):
        request = peer.request
    assert (request.method, request.target) == (b"GET", b"/a?b=%20c")
    assert request.values(b"host") == (b"example.com",)
    assert request.values(b"cookie") == (b"a=b",)
    assert request.values(b"sec-websocket-protocol") == (b"chat",)
    assert request.values(b"sec-websocket-extensions") == (b"grip",)
    assert request.values(b"sec-websocket-version") == (b"13",)
    assert request.values(b"upgrade") == (b"websocket",)
    assert request.values(b"connection") == (b"Upgrade",)
    assert request.values(b"sec-websocket-key") != (dict(handshake())["Sec-WebSocket-Key"].encode(),)
    assert len(request.values(b"sec-websocket-key")) == 1
    assert not {b"content-length", b"transfer-encoding"} & set(request.names())


async def test_each_connection_has_a_key_of_its_own(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (_, one), through(app, backend) as (_, two):
        assert one.request.values(b"sec-websocket-key") != two.request.values(b"sec-websocket-key")


async def test_what_comes_in_one_piece_with_the_101_is_not_lost(app: App, backend: WsBackend) -> None:
    behind = b"".join(frame.serialize(mask=False) for frame in EVERY_KIND)
    async with through(app, backend, behind) as (client, peer):
        assert [await client.frame() for _ in EVERY_KIND] == EVERY_KIND
        await peer.say("goes on")
        assert await client.heard() == "goes on"


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_a_frame_that_begins_with_the_101_is_ended_later(app: App, backend: WsBackend, size: int) -> None:
    frame = Frame(Opcode.TEXT, b"halves").serialize(mask=False)
    async with through(app, backend, frame[:size]) as (client, peer):
        await peer.send(frame[size:])
        assert await client.heard() == "halves"


async def test_more_behind_the_101_than_is_read_ahead_is_not_lost(app: App, backend: WsBackend) -> None:
    """aiohttp stops reading then; whoever takes the connection over goes on."""
    frames = [Frame(Opcode.BINARY, bytes([number]) * 60_000) for number in range(20)]
    async with through(app, backend, *(frame.serialize(mask=False) for frame in frames)) as (client, _):
        assert [await client.frame() for _ in frames] == frames


async def test_what_the_client_sends_with_its_handshake_is_not_lost(app: App, backend: WsBackend) -> None:
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        await client.send_request("/ws", headers=handshake())
        await client.put(*EVERY_KIND[:5])
        peer = await backend.shake()
        assert (await client.head()).status == 101
        assert [await peer.frame() for _ in range(5)] == EVERY_KIND[:5]


async def test_a_close_in_one_piece_with_the_101_is_one(app: App, backend: WsBackend) -> None:
    behind = Frame(Opcode.CLOSE, b"\x0f\xa0no").serialize(mask=False)
    async with through(app, backend, behind) as (client, peer):
        assert (await client.closed()).code == 4000
        await client.put_close(4000)
        assert (await peer.closed()).code == 4000
        assert await client.until_closed() == b""
        peer.close()
    await nothing_left(app)


async def test_an_idle_websocket_has_no_task_and_no_timer_towards_its_backend(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await client.say("x")
        assert await peer.heard() == "x"
        assert running_tasks() == set()
        assert through_link_of(app).tick == NOWHERE
    await nothing_left(app)


async def test_a_backend_that_speaks_grip_controls_the_connection(app: App, backend: WsBackend) -> None:
    subscribe = Frame(Opcode.TEXT, b'c:{"type": "subscribe", "channel": "more"}').serialize(mask=False)
    async with through(app, backend, subscribe, answered=GRIP) as (client, peer):
        assert client.answer.values(b"sec-websocket-extensions") == ()
        await publish(app, {"channel": "more", "formats": {"ws-message": {"content": "published"}}})
        assert await client.heard() == "published"
        await peer.put(Frame(Opcode.TEXT, b"m:said"), Frame(Opcode.TEXT, b"without"), Frame(Opcode.BINARY, b"m:\xff"))
        assert await client.heard() == "said"
        assert (await client.frame()).data == b"\xff"
        await client.say("m:c: as it is")
        assert await peer.heard() == "m:c: as it is"
    assert app.counters.websocket_dropped == 1


async def test_without_grip_a_backend_s_frames_mean_just_themselves(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await peer.say("m:x")
        await peer.say('c:{"type": "detach"}')
        assert [await client.heard(), await client.heard()] == ["m:x", 'c:{"type": "detach"}']
        await publish(app, {"channel": "room", "formats": {"ws-message": {"content": "published"}}})
        assert await client.heard() == "published"


async def test_what_is_published_within_a_message_of_the_backends_follows_it(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await peer.put(Frame(Opcode.TEXT, b"one ", fin=False))
        assert (await client.frame()).data == b"one "
        await publish(app, {"channel": "room", "formats": {"ws-message": {"content": "published"}}})
        await peer.put(Frame(Opcode.CONT, b"two"))
        assert (await client.frame()).data == b"two"
        assert await client.heard() == "published"


async def test_a_refresh_asks_nobody(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await publish(app, {"channel": "room", "formats": {"ws-message": {"action": "refresh"}}})
        await client.say("next")
        assert await peer.heard() == "next"


async def test_a_backend_behind_tls_is_reached_in_the_same_way(tmp_path: Path) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = accept_key(key.partition(b": ")[2].decode())
        writer.write(switch(accept) + Frame(Opcode.TEXT, b"behind").serialize(mask=False))
        heard.put_nowait(await reader.readexactly(6 + 5))
        writer.write(Frame(Opcode.BINARY, b"x" * 300_000).serialize(mask=False))
        await reader.read()
        writer.close()

    context: ssl.SSLContext = server_context(self_signed(tmp_path, "example.com"))
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        async with running(f"* 127.0.0.1:{port},ssl,insecure") as app:
            async with websocket(app.proxy_addresses[0], "/ws") as client:
                assert await client.heard() == "behind"
                await client.say("hello")
                assert len(await heard.get()) == 11
                assert (await client.frame()).data == b"x" * 300_000
                assert session_of(app).is_attached
            await nothing_left(app)
