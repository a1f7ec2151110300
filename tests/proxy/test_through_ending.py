"""A WebSocket passed through ends, from either side, in good order or not: the other learns of it, nothing stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from websockets.frames import Frame, Opcode

from proxy.app import App
from tests.proxy.in_process import advance, running
from tests.proxy.leaving import LEAVINGS, leavings
from tests.proxy.sockets import nothing_left, through
from tests.support.client import RawClient
from tests.support.publisher import publish
from tests.support.turns import settle, until
from tests.support.ws_backend import WsBackend

CLOSE_ITEM = {"channel": "room", "formats": {"ws-message": {"action": "close", "code": 4010}}}
GRIP = [("Sec-WebSocket-Extensions", "grip")]


@pytest.fixture
async def backend() -> AsyncGenerator[WsBackend]:
    async with WsBackend() as backend:
        yield backend


@pytest.fixture
async def app(backend: WsBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address},sub=room") as app:
        yield app


# -- the client ends it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (4999, 4999), (None, 1000)])
async def test_a_clients_close_goes_through_and_so_does_the_answer(
    app: App, backend: WsBackend, code: int | None, told: int
) -> None:
    async with through(app, backend) as (client, peer):
        await client.put_close(code)
        assert (await peer.closed()).code == told
        await peer.put_close(told)
        assert (await client.closed()).code == told
        assert await client.until_closed() == b""
        assert await settled(peer) == b"", "RFC 6455 section 7.1.1: the backend closes first"
        peer.close()
    await nothing_left(app)


async def test_a_close_that_the_backend_answers_by_hanging_up_is_echoed(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await client.put_close(4001, "bye")
        await peer.closed()
        peer.close()
        assert (await client.closed()).code == 4001
        assert await client.until_closed() == b""
    assert app.counters.websocket_backend_faults == 0
    await nothing_left(app)


async def test_a_close_reaches_the_backend_though_the_client_does_not_wait(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await client.put_close(4001, "bye")
        client.close()
        assert (await peer.closed()).code == 4001
        await peer.put_close(4001)
        peer.close()
    await nothing_left(app)


async def settled(peer: RawClient) -> bytes:
    await settle()
    return peer.pending()


async def test_what_comes_between_a_close_and_its_answer_still_goes_to_the_client(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await client.put_close(1000)
        await peer.closed()
        await peer.say("one more")
        await peer.put_close(1000)
        assert await client.heard() == "one more"
        assert (await client.closed()).code == 1000


@leavings
async def test_a_client_that_goes_ends_the_backends_connection(app: App, backend: WsBackend, leaving: str) -> None:
    async with through(app, backend) as (client, peer):
        LEAVINGS[leaving](client)
        assert await peer.until_cut() == b""
        await nothing_left(app)


@leavings
async def test_what_a_client_said_last_reaches_the_backend(app: App, backend: WsBackend, leaving: str) -> None:
    async with through(app, backend) as (client, peer):
        await client.say("last words")
        if leaving == "reset":
            await until(lambda: app.counters.websocket_messages == 1)
        LEAVINGS[leaving](client)
        assert await peer.heard() == "last words"
        await peer.until_cut()
    await nothing_left(app)


async def test_a_client_that_breaks_the_rules_ends_the_backends_connection(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await client.say("before")
        await client.send(b"\xff\xff\xff\xff")
        assert await peer.heard() == "before"
        assert (await client.closed()).code == 1002
        await peer.until_cut()
        client.close()
    await nothing_left(app)


async def test_a_backend_that_does_not_answer_a_close_is_not_waited_for(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await client.put_close(4002)
        await peer.closed()
        await advance(app, 10.2)
        assert (await client.closed()).code == 4002
        assert await client.until_closed() == b""
        await peer.until_cut()
    await nothing_left(app)
    assert (app.counters.websocket_close_timeouts, app.counters.websocket_backend_faults) == (1, 0)


async def test_one_that_answers_and_does_not_close_is_cut(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await client.put_close(1000)
        await peer.closed()
        await peer.put_close(1000)
        assert (await client.closed()).code == 1000
        await advance(app, 10.2)
        assert await peer.until_cut() == b""
    await nothing_left(app)
    assert app.counters.websocket_close_timeouts == 0, "it has answered"


# -- the backend ends it ------------------------------------------------------------------------------------------


async def test_a_backends_close_goes_through_and_so_does_the_answer(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await peer.put_close(4003, "over")
        closing = await client.closed()
        assert (closing.code, closing.reason) == (4003, "over")
        await client.put_close(4004, "all right")
        closing = await peer.closed()
        assert (closing.code, closing.reason) == (4004, "all right")
        assert await client.until_closed() == b""
        peer.close()
    await nothing_left(app)


async def test_a_backend_that_closes_at_once_behind_its_close_is_no_failure(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await peer.put_close(1000)
        peer.close()
        assert (await client.closed()).code == 1000
        await client.put_close(1000)
        assert await client.until_closed() == b""
    await nothing_left(app)
    assert app.counters.websocket_backend_faults == 0


async def test_a_client_that_does_not_answer_is_cut_and_so_is_the_backend(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await peer.put_close(1000)
        await client.closed()
        await advance(app, 10.2)
        await client.until_cut()
        await peer.until_cut()
    await nothing_left(app)
    assert app.counters.websocket_close_timeouts == 1


@leavings
async def test_a_backend_that_goes_without_a_close_is_1011(app: App, backend: WsBackend, leaving: str) -> None:
    async with through(app, backend) as (client, peer):
        await peer.say("last words")
        if leaving == "reset":
            assert await client.heard() == "last words"
        LEAVINGS[leaving](peer)
        if leaving != "reset":
            assert await client.heard() == "last words"
        closing = await client.closed()
        assert (closing.code, closing.reason) == (1011, "backend failed")
        await client.put_close(1011)
        assert await client.until_closed() == b""
    await nothing_left(app)
    assert app.counters.websocket_backend_faults == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xff\xff\xff", 1002),
        (Frame(Opcode.TEXT, b"masked").serialize(mask=True), 1002),
        (b"\x81\x01\xff", 1007),
        (b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), 1009),
        (b"\x80\x01x", 1002),
        (b"\x88\x01x", 1002),
        (b"\x88\x02\x03\xee", 1002),
        (b"\x89\x7e\x00\x7e" + b"x" * 126, 1002),
    ],
    ids=["reserved", "masked", "no text", "too big", "no message", "half a code", "no code to send", "long ping"],
)
async def test_a_backend_that_breaks_the_rules_is_told_and_the_client_gets_1011(
    app: App, backend: WsBackend, data: bytes, code: int
) -> None:
    async with through(app, backend) as (client, peer):
        await peer.say("before")
        await peer.send(data)
        await peer.say("behind")
        assert await client.heard() == "before"
        assert (await client.closed()).code == 1011
        assert (await peer.closed()).code == code
        await client.put_close(1011)
        assert await client.until_closed() == b""
        await advance(app, 10.2)
        await peer.until_cut()
    await nothing_left(app)
    assert app.counters.websocket_backend_faults == 1


# -- somebody else ends it ----------------------------------------------------------------------------------------


async def test_a_published_close_reaches_both_sides(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await publish(app, CLOSE_ITEM)
        assert (await client.closed()).code == 4010
        frame = await peer.frame()
        assert (frame.opcode, frame.data) == (Opcode.CLOSE, b"")
        await client.put_close(4010)
        assert await client.until_closed() == b""
        await peer.put_close()
        peer.close()
    await nothing_left(app)


async def test_a_backend_that_does_not_answer_that_is_cut_and_counted(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await publish(app, CLOSE_ITEM)
        await client.closed()
        await client.put_close(4010)
        await client.until_closed()
        await advance(app, 10.2)
        assert (await peer.frame()).opcode is Opcode.CLOSE
        await peer.until_cut()
    await nothing_left(app)
    assert app.counters.websocket_close_timeouts == 1


async def test_a_backend_that_detaches_is_closed_and_the_client_stays(app: App, backend: WsBackend) -> None:
    async with through(app, backend, answered=GRIP) as (client, peer):
        await peer.put(Frame(Opcode.TEXT, b'c:{"type": "detach"}'), Frame(Opcode.TEXT, b"m:not any more"))
        frame = await peer.frame()
        assert (frame.opcode, frame.data) == (Opcode.CLOSE, b"")
        await peer.put_close()
        peer.close()
        await publish(app, {"channel": "room", "formats": {"ws-message": {"content": "published"}}})
        assert await client.heard() == "published"
        await client.say("to nobody")
        await until(lambda: app.counters.websocket_discarded == 1)
        await client.put_close(1000)
        assert (await client.closed()).code == 1000
        assert await client.until_closed() == b""
    await nothing_left(app)


async def test_a_connection_ends_once_whoever_ends_it_at_the_same_time(app: App, backend: WsBackend) -> None:
    async with through(app, backend) as (client, peer):
        await asyncio.gather(client.put_close(4000), peer.put_close(4001))
        assert (await client.closed()).code in (4000, 4001)
        assert (await peer.closed()).code in (4000, 4001)
        assert await client.until_closed() == b""
        peer.close()
    await nothing_left(app)


async def test_a_frame_of_the_backends_over_the_limit_ends_both_sides(backend: WsBackend) -> None:
    async with running(f"* {backend.address}", settings=("websocket.frame_limit=1000",)) as app:
        async with through(app, backend) as (client, peer):
            await peer.say("x" * 1000)
            assert len(await client.heard()) == 1000
            await peer.say("x" * 1001)
            assert (await client.closed()).code == 1011
            assert (await peer.closed()).code == 1009
            peer.close()
            await client.put_close(1011)
        await nothing_left(app)
