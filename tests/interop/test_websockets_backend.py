"""WebSockets pass through to a backend on PyPI's `websockets`, and back; the rules are kept on both sides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from gripcontrol import GripPubControl, WebSocketMessageFormat
from pubcontrol import Item
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.interop.grip_site import Site

BYTES = b"\x00\xff\xfe\r\n\x80"
CLOSES = [(1000, ""), (1001, "off"), (1013, "later"), (4001, "grüße ✓")]

Publish = Callable[[WebSocketMessageFormat], None]


def to(site: Site, path: str) -> connect:
    """Return what connects, as `async with` or `await` want it."""
    return connect(site.socket_url(path), proxy=None)


@pytest.fixture
def plain(websockets_site: Site, channel: str) -> connect:
    """Connect to what echoes, at a path of the test's own."""
    return to(websockets_site, f"/{channel}")


@pytest.fixture
def grip(websockets_site: Site, channel: str) -> connect:
    """Connect to what subscribes to the test's channel, and sets the prefix ">"."""
    return to(websockets_site, f"/grip/{channel}")


@pytest.fixture
def publish(websockets_site: Site, channel: str) -> Publish:
    """Return what publishes to the test's channel."""
    publisher = GripPubControl({"control_uri": websockets_site.publish_url})
    return lambda message: publisher.publish(channel, Item(message), blocking=True)


async def close_of(socket: ClientConnection) -> tuple[int, str]:
    """Read the other side's close frame, with no message before it, and return its code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None, "closed without a close frame"
    return closed.value.rcvd.code, closed.value.rcvd.reason


# -- as it is -----------------------------------------------------------------------------------------------------


async def test_texts_and_bytes_come_and_go(plain: connect) -> None:
    async with plain as socket:
        for message in ("grüße ✓", BYTES, "", b"", "x" * 60_000):
            await socket.send(message)
            assert await socket.recv() == message


async def test_a_megabyte_in_fragments_comes_and_goes(plain: connect, websockets_site: Site) -> None:
    async with plain as socket:
        for piece in ("x" * 50_000, b"\xff" * 50_000):
            whole = piece * 20
            await socket.send([piece] * 20)
            cut_by_the_backend = [whole[start : start + 65_536] for start in range(0, 1_000_000, 65_536)]
            assert [part async for part in socket.recv_streaming()] == [*cut_by_the_backend, whole[:0]]
        websockets_site.backend.await_line("< TEXT 'xxx")
        websockets_site.backend.await_line("[50000 bytes, continued]")


async def test_extensions_are_between_the_client_and_holdfast(websockets_site: Site, channel: str) -> None:
    url = websockets_site.socket_url(f"/{channel}")
    said = {"X-Said": "by the client"}
    async with connect(url, proxy=None, origin=Origin("http://example.com"), additional_headers=said) as socket:
        assert socket.protocol.extensions == []
        await socket.send("headers")
        headers = {name.lower(): value for name, value in json.loads(await socket.recv())}
        assert headers["sec-websocket-extensions"] == "grip"
        assert (headers["origin"], headers["x-said"]) == ("http://example.com", "by the client")
        assert headers["grip-sig"].count(".") == 2


@pytest.mark.parametrize(("offered", "chosen"), [(["v2.chat", "v1.chat"], "v1.chat"), (["v2.chat"], None)])
async def test_the_backend_chooses_the_subprotocol(
    websockets_site: Site, channel: str, offered: list[Subprotocol], chosen: str | None
) -> None:
    async with connect(websockets_site.socket_url(f"/{channel}"), proxy=None, subprotocols=offered) as socket:
        assert socket.subprotocol == chosen


@pytest.mark.parametrize(("code", "reason"), CLOSES)
async def test_the_clients_close_reaches_the_backend_and_comes_back(
    plain: connect, websockets_site: Site, channel: str, code: int, reason: str
) -> None:
    async with plain as socket:
        await socket.close(code, reason)
        assert (socket.close_code, socket.close_reason) == (code, reason)
    websockets_site.backend.await_line(f"{channel} has ended: {code} {reason}")


@pytest.mark.parametrize(("code", "reason"), CLOSES)
async def test_the_backends_close_reaches_the_client_and_comes_back(
    plain: connect, websockets_site: Site, channel: str, code: int, reason: str
) -> None:
    async with plain as socket:
        await socket.send(f"close {code} {reason}")
        assert await close_of(socket) == (code, reason)
    websockets_site.backend.await_line(f"{channel} has ended: {code} {reason}")


async def test_each_side_answers_the_others_pings(plain: connect, websockets_site: Site, channel: str) -> None:
    async with plain as socket:
        assert await (await socket.ping(channel)) >= 0
        websockets_site.backend.await_line(f"< PING '{channel}'")
        await socket.send(f"ping {channel}")
        assert await socket.recv() == "the pong has come"
        websockets_site.backend.await_line(f"< PONG '{channel}'")


async def test_a_refusal_reaches_the_client_as_the_backend_has_put_it(websockets_site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await to(websockets_site, "/refused")
    response = refused.value.response
    assert (response.status_code, response.body) == (403, b"not you\n")
    assert response.headers["X-By"] == "websockets"


async def test_a_client_that_vanishes_is_gone_for_the_backend_too(
    plain: connect, websockets_site: Site, channel: str
) -> None:
    async with plain as socket:
        socket.transport.abort()
    websockets_site.backend.await_line(f"{channel} has ended: 1006")


async def test_a_backend_that_is_killed_ends_its_clients_with_1011(mortal_site: Site) -> None:
    async with to(mortal_site, "/one") as first, to(mortal_site, "/two") as second:
        mortal_site.backend.kill()
        for socket in (first, second):
            assert await close_of(socket) == (1011, "backend failed")
    with pytest.raises(InvalidStatus) as refused:
        await to(mortal_site, "/three")
    assert refused.value.response.status_code == 502


# -- in GRIP mode -------------------------------------------------------------------------------------------------


async def test_control_messages_subscribe_and_messages_lose_their_prefix(grip: connect, publish: Publish) -> None:
    async with grip as socket:
        assert socket.protocol.extensions == []
        assert await socket.recv() == "opened"
        publish(WebSocketMessageFormat("grüße ✓"))
        publish(WebSocketMessageFormat(BYTES, binary=True))
        assert [await socket.recv(), await socket.recv()] == ["grüße ✓", BYTES]
        await socket.send("hello")
        assert await socket.recv() == "hello"


@pytest.mark.parametrize(("given", "code", "reason"), [(None, 1000, ""), (4001, 4001, "that was all")])
async def test_a_published_close_ends_both_sides(
    grip: connect, websockets_site: Site, channel: str, publish: Publish, given: int | None, code: int, reason: str
) -> None:
    async with grip as socket:
        assert await socket.recv() == "opened"
        publish(WebSocketMessageFormat(action="close", code=given, reason=reason))
        assert await close_of(socket) == (code, reason)
    # The backend gets a close without a code, as with Pushpin.
    websockets_site.backend.await_line(f"{channel} has ended: 1005")


async def test_after_a_detach_the_client_gets_what_is_published(
    grip: connect, websockets_site: Site, channel: str, publish: Publish
) -> None:
    async with grip as socket:
        assert await socket.recv() == "opened"
        await socket.send("detach")
        websockets_site.backend.await_line(f"{channel} has ended: 1005")
        await socket.send("nobody hears this")
        publish(WebSocketMessageFormat("still here"))
        assert await socket.recv() == "still here"


async def test_without_the_extension_nothing_is_read_into_what_the_backend_says(plain: connect) -> None:
    async with plain as socket:
        for message in ('c:{"type": "detach"} is no control message here', "m:hello"):
            await socket.send(message)
            assert await socket.recv() == message


async def test_many_clients_at_once_all_get_what_is_published(
    websockets_site: Site, channel: str, publish: Publish
) -> None:
    async def stay() -> None:
        async with to(websockets_site, f"/grip/{channel}") as socket:
            assert await socket.recv() == "opened"
            ready.release()
            assert await socket.recv() == "to all"

    ready = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as clients:
        for _ in range(50):
            clients.create_task(stay())
        for _ in range(50):
            await ready.acquire()
        publish(WebSocketMessageFormat("to all"))
