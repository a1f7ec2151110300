"""Whatever a client or a backend sends: the process lives, nobody waits for ever, and the next one is served.

Random, but the same on every run: an example that fails is named by its seed, which may be run alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from tests.e2e.conversing import connected, told
from tests.support.answers import Answer, Ending, answer, chunk, head
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, TYPE, control, echo, event, message
from tests.support.http import Request, ResponseHead
from tests.support.websocket import WsClient, handshake, websocket
from tests.support.ws_backend import WsBackend, WsPeer, switch

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = 60
"""Examples a seed. All together they take some seconds."""
SEEDS = range(4)
ON_ITS_WAY = 0.03
"""Seconds after which what has not come is taken to wait for the clock. Too short a time only makes other examples."""

ALIVE = ("WebSocketSession", "OverHttpLink", "ThroughLink", "EchoLink", "OverHttp", "BackendConnection")
SPLINTERS = [
    b"", b"\x00", b"\xff", b"\r\n", b"\n", b" ", b":", b"OPEN\r\n", b"CLOSE 2\r\n\x00\x00\r\n", b"DISCONNECT\r\n",
    b"TEXT 5\r\n", b"TEXT ffffffff\r\n", b"TEXT 0\r\n", b"c:", b"m:", b"\x81\x00", b"\x88\x00", b"\x88\x02\x03\xe8",
    b"\x81\xff\xff\xff", b"\x89\x7e", b"\xc1\x01x", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xed\xa0\x80",
]  # fmt: skip
"""What mutations put in."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sockets() -> AsyncIterator[WsBackend]:
    async with WsBackend() as sockets:
        yield sockets


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend, sockets: WsBackend) -> tuple[str, ...]:
    return (
        f"* {backend.address},over_http,sub=room,timeout=20",
        f"*,path_beg=/through {sockets.address},sub=room",
        "*,path_beg=/test test",
    )


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return ("websocket.compression=true", "log.level=info")


# -- what is sent -------------------------------------------------------------------------------------------------


def damaged(random: Random, data: bytes) -> bytes:
    """Cut pieces out of `data` and put others in, or leave it as it is."""
    for _ in range(random.choice((0, 0, 1, 1, 2, 5))):
        place = random.randrange(len(data) + 1)
        data = data[:place] + random.choice((random.choice(SPLINTERS), random.randbytes(3))) + data[
            place + random.choice((0, 0, 1, 4)) :
        ]  # fmt: skip
    return data


def frames(random: Random, *, mask: bool) -> bytes:
    """Make a few frames that may follow each other, or not."""
    data, is_within = b"", False
    for _ in range(random.randrange(8)):
        is_sound = random.random() < 0.95
        opcode = random.choice((Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG, Opcode.CLOSE))
        fin = random.random() < 0.7
        content = random.choice((b"", b"x", b"caf\xc3\xa9", b"y" * 125, b"c:{}", b'm:{"x": 1}'))
        if opcode is Opcode.CLOSE:
            content = random.choice((b"", b"\x03\xe8", b"\x0f\xa0bye"))
        elif opcode < Opcode.CLOSE:
            content = random.choice((content, b"y" * 126, b"z" * 70_000))
            opcode = Opcode.CONT if is_within is is_sound else opcode
            is_within = not fin
        if not is_sound:
            content = random.choice((b"\xc3", b"\xff", b"\x03", b"\x03\xed\xff", b"y" * 126))
        data += spelled(opcode, content, fin=fin or (is_sound and opcode >= Opcode.CLOSE), mask=mask)
    return damaged(random, data)


def spelled(opcode: Opcode, content: bytes, *, fin: bool, mask: bool) -> bytes:
    """Spell out a frame, which may be one that must not be. Masked with zeros, its content can be read."""
    size = len(content)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65_536 else b""
    length = length or b"\x7f" + size.to_bytes(8, "big")
    if mask:
        length = bytes([length[0] | 0x80]) + length[1:] + bytes(4)
    return bytes([opcode | (0x80 if fin else 0)]) + length + content


def body_of(random: Random, *, is_opening: bool) -> bytes:
    """Make events that a backend may say, or not."""
    parts = [OPEN] if is_opening is (random.random() < 0.9) else []
    parts.extend(
        random.choice(
            (
                message("hello"), message(""), event("TEXT"), event("BINARY", b"m:\xff\x00"), event("PING", "p"),
                event("PONG", b"x" * 200), event("TEXT", b"m:\xff"), event("CLOSE"), event("CLOSE", b"\x03\xe8ok"),
                event("CLOSE", b"\x03\xee"), event("CLOSE", b"x"), event("DISCONNECT"), event("WHAT", "ever"), OPEN,
                control("subscribe", channel="room2"), control("detach"), control("what"), event("TEXT", "c:{"),
                control("keep-alive", content="k", timeout=1), control("send-delayed", content="d"),
                message("x" * 100_000),
            )
        )
        for _ in range(random.randrange(7))
    )  # fmt: skip
    return damaged(random, b"".join(parts))


def events_answer(random: Random, *, is_opening: bool) -> Answer:
    """Make an answer to events, or something else."""
    body = body_of(random, is_opening=is_opening)
    values = ["0", "1", "5", "20", "-1", "999999999999", "x", "", "1_0"]
    pairs = [("Content-Type", random.choice((*[TYPE] * 8, TYPE + "; a=b", "text/plain")))]
    names = ("Keep-Alive-Interval", "Content-Bytes-Accepted", "Set-Meta-User", "set-meta-", "Set-Meta-a_b")
    pairs.extend((name, random.choice(values)) for name in names if random.random() < 0.15)
    extensions = ("grip", 'grip; message-prefix=""', "GRIP;message-prefix=x", 'grip; message-prefix="', "x", ",;=")
    if random.random() < 0.8:
        pairs.append(("Sec-WebSocket-Extensions", random.choice(extensions)))
    status = random.choice((200,) * 30 + (204, 304, 400, 500, 999))
    framing = random.random()
    if framing < 0.7:
        pairs.append(("Content-Length", str(len(body))))
        sent = body
    elif framing < 0.9:
        pairs.append(("Transfer-Encoding", "chunked"))
        sent = (chunk(body) if body else b"") + b"0\r\n\r\n"
    else:
        pairs.append(("Content-Length", str(len(body) + random.choice((-1, 1)))))
        sent = body
    encoded = [(name.encode(), value.encode()) for name, value in pairs]
    whole = head(status, b"OK", encoded) + sent
    whole = damaged(random, whole) if random.random() < 0.1 else whole
    return answer(whole, *random.choice(((), (), (), (Ending.CLOSE,), (Ending.RESET,))))


# -- what must come of it -----------------------------------------------------------------------------------------


async def ended(app: AppProcess, client: WsClient) -> bytes:
    """Turn the clock until the client's connection is over, and return what it got meanwhile."""
    reading = asyncio.create_task(client.until_cut())
    await turned_until(app, reading)
    return await reading


async def turned_until(app: AppProcess, reading: asyncio.Task[Any]) -> None:
    """Turn the clock until what the client waits for comes, but not while it may be on its way."""
    while not (await asyncio.wait({reading}, timeout=ON_ITS_WAY))[0]:
        await app.advance(15)


async def still_serving(app: AppProcess, backend: ScriptedBackend) -> None:
    """Serve one more request and one more WebSocket, and hold nothing of those before."""
    async with await WsClient.connect(app.proxy_address) as client:
        assert (await client.fetch("/after")).body == b"hello\n"
    async with connected(app, backend, "/after/ws", echo) as client:
        await client.say("still there")
        assert await client.heard() == "still there"
        await client.put_close(1000)
        await client.until_closed()
    assert app.log_lines("internal error|ended by a fault") == []
    for _ in range(8):  # retries, close time-outs, keep-alives
        await app.advance(40)
    left = {}
    for _ in range(100):
        left = {name: count for name, count in (await app.live_objects(*ALIVE)).items() if count}
        if not left:
            break
        await app.advance(1)
    assert left == {}
    assert (await app.counters())["sessions_websocket"] == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_bytes_of_a_client(app: AppProcess, backend: ScriptedBackend, sockets: WsBackend, seed: int) -> None:
    random = Random(f"client {seed}")
    before = await app.counters()
    for number in range(EXAMPLES):
        data = frames(random, mask=random.random() < 0.95)
        path = f"{random.choice(('/client', '/through/client', '/test/ws'))}?{number}"
        backend.answers("/client", echo)
        async with await WsClient.connect(app.proxy_address) as client:
            offers = random.choice(([], [("Sec-WebSocket-Extensions", "permessage-deflate")]))
            opening = client.open(path, headers=offers)
            if path.startswith("/through"):
                _, peer = await asyncio.gather(opening, sockets.shake())
                await client.send_as_far_as_taken(data)
                if random.random() < 0.5:
                    peer.close()
            else:
                await opening
                await client.send_as_far_as_taken(data)
            no_more_of(client)
            await ended(app, client)
    after = await app.counters()
    assert after["websocket_messages"] > before["websocket_messages"]
    assert after["websocket_client_faults"] > before["websocket_client_faults"]
    await still_serving(app, backend)


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_bytes_of_a_backend_over_http(app: AppProcess, backend: ScriptedBackend, seed: int) -> None:
    random = Random(f"events {seed}")
    before = await app.counters()
    for number in range(EXAMPLES):
        path = f"/events/{seed}/{number}"

        def said(request: Request) -> Answer:
            if request.body == OPEN and random.random() < 0.6:
                return echo(request)
            return events_answer(random, is_opening=request.body == OPEN)

        backend.answers(path, said)
        async with await WsClient.connect(app.proxy_address) as client:
            await client.send_request(path, headers=handshake())
            reading = asyncio.create_task(client.head())
            await turned_until(app, reading)
            if (await answered(reading)) == 101:
                await client.send_as_far_as_taken(conversation(random))
            else:
                no_more_of(client)
            await ended(app, client)
    after = await app.counters()
    for name in ("websocket_requests", "websocket_backend_faults", "backend_failures", "websocket_messages"):
        assert after[name] > before[name], name
    await still_serving(app, backend)


async def answered(reading: asyncio.Task[ResponseHead]) -> int:
    """Return the status of the answer, 0 when there was none."""
    try:
        found = await reading
    except (EOFError, ConnectionResetError):
        return 0
    return found.status


def conversation(random: Random) -> bytes:
    """Say a few things, and close."""
    said = [Frame(Opcode.TEXT, b"one"), Frame(Opcode.PING, b""), Frame(Opcode.BINARY, b"\xff" * 10)]
    random.shuffle(said)
    said.append(Frame(Opcode.CLOSE, b"\x03\xe8"))
    return b"".join(frame.serialize(mask=True) for frame in said)


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_bytes_of_a_backend_that_speaks_websocket(
    app: AppProcess, backend: ScriptedBackend, sockets: WsBackend, seed: int
) -> None:
    random = Random(f"through {seed}")
    before = await app.counters()
    for number in range(EXAMPLES):
        async with await WsClient.connect(app.proxy_address) as client:
            await client.send_request(f"/through/{number}", headers=handshake())
            peer = await sockets.accept()
            await peer.asked()
            await peer.send_as_far_as_taken(switched(random, peer) + frames(random, mask=random.random() < 0.1))
            leave(random, peer)
            await client.send_as_far_as_taken(conversation(random))
            no_more_of(client)
            await ended(app, client)
            peer.close()
    after = await app.counters()
    for name in ("websocket_backend_faults", "backend_failures", "requests"):
        assert after[name] > before[name], name
    await still_serving(app, backend)


def switched(random: Random, peer: WsPeer) -> bytes:
    """Make a 101, mostly a right one."""
    key = peer.request.values(b"sec-websocket-key")[0].decode()
    headers = random.choice(([], [], [("Sec-WebSocket-Extensions", "grip")], [("Content-Length", "3")], [("X", "y")]))
    right = switch(accept_key(key), headers)
    return damaged(random, right) if random.random() < 0.4 else right


def leave(random: Random, peer: WsPeer) -> None:
    """Have the backend go, or stay, in one way or another."""
    random.choice((peer.close, peer.reset, partial(no_more_of, peer), lambda: None))()


def no_more_of(end: WsClient) -> None:
    """Close one half of a connection, which the other side may have closed whole."""
    with contextlib.suppress(OSError):
        end.half_close()


async def test_any_request_for_a_websocket(app: AppProcess, backend: ScriptedBackend) -> None:
    """A handshake with something wrong is answered, or opens a connection all the same."""
    random = Random("handshake")
    sound = b"GET /shake HTTP/1.1\r\nHost: example.com\r\n"
    sound += b"".join(f"{name}: {value}\r\n".encode() for name, value in handshake()) + b"\r\n"
    backend.answers("/shake", echo)
    for _ in range(EXAMPLES):
        async with await WsClient.connect(app.proxy_address) as client:
            await client.send_as_far_as_taken(damaged(random, damaged(random, sound)))
            no_more_of(client)
            found = await ended(app, client)
            assert not found or found.startswith(b"HTTP/1.1 "), json.dumps(found.decode("latin-1"))
    await still_serving(app, backend)


async def test_a_websocket_beside_all_this_is_not_disturbed(
    app: AppProcess, backend: ScriptedBackend, sockets: WsBackend
) -> None:
    random = Random("beside")
    async with connected(app, backend, "/beside", echo) as steady:
        for number in range(EXAMPLES):
            async with websocket(app.proxy_address, "/test/ws") as client:
                await client.send_as_far_as_taken(frames(random, mask=True))
                client.reset()
            await steady.say(str(number))
            assert await steady.heard() == str(number)
            assert (await told(backend, "/beside")).body == event("TEXT", str(number))
