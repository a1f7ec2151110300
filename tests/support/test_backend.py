"""The scripted backend and the raw client, against each other: what they show is what is on the wire."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.answers import Answer, Ending, answer, chunk, chunked, close_without_answer, text, to_eof
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient, encode_request


async def test_a_request_is_recorded_as_it_was_sent() -> None:
    async with ScriptedBackend() as backend, await RawClient.connect((backend.host, backend.port)) as client:
        await client.fetch("/a%2F?b", method="PUT", headers=[("x-B", "1"), ("X-b", "2")], body=b"body")
        await client.send(encode_request("/c", method="POST", headers=[("Transfer-Encoding", "chunked")]))
        await client.send(chunk(b"one") + chunk(b"two") + b"0\r\n\r\n")
        await client.response()
        first, second = await backend.request(), await backend.request()
    assert (first.method, first.target, first.body) == (b"PUT", b"/a%2F?b", b"body")
    assert first.headers[1:3] == ((b"x-B", b"1"), (b"X-b", b"2"))
    assert (second.body, second.body_length, second.connection, second.nth) == (b"onetwo", 6, 1, 2)


async def test_each_request_takes_the_next_answer_and_the_last_one_stays() -> None:
    async with ScriptedBackend() as backend, await RawClient.connect((backend.host, backend.port)) as client:
        backend.answers("/a", text("one"), chunked(b"tw", b"o"), lambda request: text(request.target))
        assert [(await client.fetch("/a?x")).body for _ in range(4)] == [b"one", b"two", b"/a?x", b"/a?x"]


@pytest.mark.parametrize(
    ("script", "received"),
    [
        (to_eof(b"rest"), b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest"),
        (close_without_answer(), b""),
        (answer(b"garbage", Ending.CLOSE), b"garbage"),
        (answer(Ending.RESET), b""),
    ],
)
async def test_a_script_ends_its_connection(script: Answer, received: bytes) -> None:
    async with ScriptedBackend(default=script) as backend:
        async with await RawClient.connect((backend.host, backend.port)) as client:
            await client.send_request("/")
            assert await client.until_cut() == received
        await backend.disconnected(1)


async def test_a_script_waits_for_its_events() -> None:
    gate = asyncio.Event()
    async with ScriptedBackend() as backend, await RawClient.connect((backend.host, backend.port)) as client:
        backend.answers("/gated", chunked(b"one", gate, b"two"))
        await client.send_request("/gated")
        await client.head()
        assert await client.chunk() == b"one"
        async with await RawClient.connect((backend.host, backend.port)) as other:
            await other.fetch("/barrier")
        assert client.pending() == b""
        gate.set()
        assert [await client.chunk(), await client.chunk()] == [b"two", b""]


async def test_dropped_connections_are_gone_and_new_ones_welcome() -> None:
    async with ScriptedBackend() as backend:
        async with await RawClient.connect((backend.host, backend.port)) as client:
            await client.fetch("/")
            await backend.drop_connections()
            assert await client.until_closed() == b""
        async with await RawClient.connect((backend.host, backend.port)) as client:
            assert (await client.fetch("/")).status == 200
        await backend.refuse()
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect((backend.host, backend.port))
        await backend.listen()
        async with await RawClient.connect((backend.host, backend.port)) as client:
            assert (await client.fetch("/")).status == 200


async def test_nobody_listens_on_a_closed_port() -> None:
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(("127.0.0.1", closed_port()))
