"""Backends that know only HTTP talk by WebSocket, each through its own library, with PyPI's `websockets` as the client.

The client is as it comes: it offers permessage-deflate, refuses extensions it did not offer and close codes that may
not be sent, and checks UTF-8.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.interop.grip_site import Site

BYTES = b"\x00\xff\xfe\r\n\x80"


@asynccontextmanager
async def opened(site: Site, path: str) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket of which the backend has subscribed and greeted the client."""
    async with connect(site.socket_url(f"/socket/{path}"), proxy=None) as socket:
        assert await socket.recv() == "opened"
        yield socket


async def close_of(socket: ClientConnection) -> tuple[int, str]:
    """Read the other side's close frame, with no message before it, and return its code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None, "closed without a close frame"
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_texts_and_bytes_are_echoed(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as socket:
        assert socket.protocol.extensions == []
        for message in ("grüße ✓", BYTES, "", b"", "x" * 150_000):
            await socket.send(message)
            assert await socket.recv() == message


async def test_messages_that_are_sent_at_once_are_answered_in_their_order(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as socket:
        messages = [f"message {number}" for number in range(50)]
        for message in messages:
            await socket.send(message)
        assert [await socket.recv() for _ in messages] == messages


async def test_a_message_in_fragments_reaches_the_backend_whole(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as socket:
        await socket.send(["in ", "", "three ", "pieces ✓"])
        assert await socket.recv() == "in three pieces ✓"
        await socket.send([BYTES, BYTES])
        assert await socket.recv() == BYTES * 2


async def test_a_message_beyond_the_limit_ends_the_connection_with_1009(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as socket:
        await socket.send("x" * 200_001)
        assert (await close_of(socket))[0] == 1009


async def test_what_is_published_arrives(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as socket, opened(over_http_site, f"{channel}-other") as other:
        over_http_site.publish(f"message/{channel}", "grüße ✓")
        over_http_site.publish(f"binary/{channel}", BYTES.hex())
        over_http_site.publish(f"message/{channel}-other", "for the other")
        assert [await socket.recv(), await socket.recv()] == ["grüße ✓", BYTES]
        assert await other.recv() == "for the other"


async def test_the_backend_finds_the_request_signed_and_the_meta_it_has_set(over_http_site: Site, channel: str) -> None:
    forged = {"Meta-User": "mallory", "Connection-Id": "forged", "Grip-Sig": "forged"}
    url = over_http_site.socket_url(f"/socket/{channel}")
    async with connect(url, proxy=None, additional_headers=forged) as socket:
        assert await socket.recv() == "opened"
        for _ in range(2):
            await socket.send("whoami")
        first, second = json.loads(await socket.recv()), json.loads(await socket.recv())
        assert first == second
        assert (first["signed"], first["meta"]) == (True, {"user": "alice"})
        assert len(first["id"]) == 36


@pytest.mark.parametrize("code", [1000, 4001])
async def test_the_clients_close_comes_back_with_its_code(over_http_site: Site, channel: str, code: int) -> None:
    async with opened(over_http_site, channel) as socket:
        await socket.close(code)
        assert (socket.close_code, socket.close_reason) == (code, "")


@pytest.mark.parametrize(("said", "code"), [("close", 1000), ("close 4002", 4002)])
async def test_the_backends_close_reaches_the_client(over_http_site: Site, channel: str, said: str, code: int) -> None:
    # Without a code, WebSocketContext.close() sends code 0, which no client may get.
    async with opened(over_http_site, channel) as socket:
        await socket.send(said)
        assert await close_of(socket) == (code, "")


@pytest.mark.parametrize(("body", "code"), [("", 1000), ("4003", 4003)])
async def test_a_published_close_reaches_the_client(over_http_site: Site, channel: str, body: str, code: int) -> None:
    async with opened(over_http_site, channel) as socket:
        over_http_site.publish(f"leave/{channel}", body)
        assert (await close_of(socket))[0] == code


async def test_the_backend_hears_of_a_client_that_vanishes(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as witness, opened(over_http_site, channel) as socket:
        socket.transport.abort()
        assert await witness.recv() == "somebody has vanished"


async def test_after_a_detach_the_client_gets_what_is_published(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as socket:
        await socket.send("detach")
        assert await socket.recv() == "detaching"
        await socket.send("nobody hears this")
        over_http_site.publish(f"message/{channel}", "still here")
        assert await socket.recv() == "still here"
        await socket.close(4001)
        assert socket.close_code == 4001
        assert await close_of(socket) == (4001, "")


async def test_a_ping_is_answered_with_what_it_said(over_http_site: Site, channel: str) -> None:
    async with opened(over_http_site, channel) as socket:
        for said in (b"are you there?", b""):
            pong = await socket.ping(said)
            assert await pong >= 0


async def test_a_refusal_reaches_the_client_as_the_backend_has_put_it(over_http_site: Site, channel: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(over_http_site.socket_url(f"/socket/{channel}/refused"), proxy=None)
    response = refused.value.response
    assert (response.status_code, response.body) == (403, f"not on {channel}\n".encode())
    assert "X-By" in response.headers


async def test_many_clients_at_once_are_all_served(over_http_site: Site, channel: str) -> None:
    async def stay(said: str) -> None:
        async with opened(over_http_site, channel) as socket:
            await socket.send(said)
            assert await socket.recv() == said
            ready.release()
            assert await socket.recv() == "to all"

    ready = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as clients:
        for number in range(10):
            clients.create_task(stay(f"client {number}"))
        for _ in range(10):
            await ready.acquire()
        over_http_site.publish(f"message/{channel}", "to all")
