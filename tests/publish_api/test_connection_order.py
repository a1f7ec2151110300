"""Several requests on a publisher's connection: what is published with what, and in which order answers come."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from publish_api.connection import READ_AHEAD, UNREAD_LIMIT
from publish_api.protocol.answer import PublishAnswer
from publish_api.request import Request
from publish_api.settings import PublishSettings
from tests.support.clock import ManualClock
from tests.support.publish_port import PublishPort, publish_port, request
from tests.support.turns import settle, until

BODY = b'{"items":[{"channel":"c","http-stream":{"content":"x"}}]}'
KEPT = request(BODY, "Connection: keep-alive")
LAST = request(BODY)
BAD = request(b"x", "Connection: keep-alive")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def to_hub(body: bytes = b"body", *headers: str) -> bytes:
    return request(body, "Connection: keep-alive", *headers, path="/hub")


class SlowHub:
    """Answers with the body, once it is told to read it (`reads`) and to go on (`answers`)."""

    def __init__(self) -> None:
        self.asked = 0
        self.reads = asyncio.Event()
        self.reads.set()
        self.answers = asyncio.Event()

    def takes(self, path: str) -> bool:
        return path == "/hub"

    async def answer(self, request: Request) -> PublishAnswer:
        self.asked += 1
        await self.reads.wait()
        body = await request.read()
        await self.answers.wait()
        return PublishAnswer(status=200, body=body)


Connected = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(port: PublishPort) -> AsyncGenerator[Connected]:
    reader, writer = await asyncio.open_connection(*port.server.address)
    try:
        yield reader, writer
    finally:
        writer.close()


async def body_of_next(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# -- together -----------------------------------------------------------------------------------------------------


async def test_what_comes_in_one_piece_is_published_in_one_call() -> None:
    async with publish_port() as port:
        answered = await port.send(KEPT * 49 + LAST)
        assert answered.count(b"Published\n") == 50
        assert port.sink.calls == [50]


async def test_a_refusal_in_between_keeps_its_place() -> None:
    async with publish_port() as port, connected(port) as (reader, writer):
        writer.write(KEPT + BAD + request(None, "Connection: keep-alive", method="GET", path="/") + KEPT)
        bodies = [await body_of_next(reader) for _ in range(4)]
        assert bodies == [b"Published\n", b"Body is not valid JSON.\n", b"Pushpin API\n", b"Published\n"]
        assert port.sink.calls == [2]


async def test_bytes_that_are_no_request_take_only_the_request_before_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    async with publish_port() as port:
        answered = await port.send(KEPT * 2 + LAST + b" extra")
        assert answered.count(b"Published\n") == 2
        assert answered.endswith(b"\r\n\r\nRequest body exceeded Content-Length.\n")
        assert port.sink.calls == [2]
    assert [line.partition(" (")[0] for line in lines(caplog)] == [
        "control: POST /publish/ code=200 10 items=1",
        "control: POST /publish/ code=200 10 items=1",
        "control: UNKNOWN / code=400 38 error='Request body exceeded Content-Length.'",
    ]


async def test_behind_a_request_that_is_not_kept_nothing_is_published() -> None:
    async with publish_port() as port:
        assert (await port.send(LAST + KEPT)).count(b"HTTP/1.1 ") == 1
        assert port.sink.calls == [1]


async def test_more_than_can_wait_at_once_is_taken_in_turn() -> None:
    async with publish_port() as port, connected(port) as (reader, writer):
        writer.write(KEPT * 3000)
        for _ in range(3000):
            assert await body_of_next(reader) == b"Published\n"
        assert sum(port.sink.calls) == 3000


async def test_bytes_that_come_one_by_one_are_requests_all_the_same() -> None:
    sent = b"\r\n" + KEPT + LAST
    async with publish_port() as port, connected(port) as (reader, writer):
        for index in range(len(sent)):
            writer.write(sent[index : index + 1])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.read()).count(b"Published\n") == 2


# -- one after the other ------------------------------------------------------------------------------------------


async def test_what_is_behind_a_request_of_the_hub_waits_for_it() -> None:
    hub = SlowHub()
    async with publish_port(hub=hub) as port, connected(port) as (reader, writer):
        writer.write(KEPT + to_hub(b"first") + to_hub(b"second") + KEPT)
        assert await body_of_next(reader) == b"Published\n"
        await until(lambda: hub.asked)
        await settle()
        assert (hub.asked, port.sink.calls) == (1, [1])
        hub.answers.set()
        assert [await body_of_next(reader) for _ in range(3)] == [b"first", b"second", b"Published\n"]
        assert port.sink.calls == [1, 1]


async def test_metrics_are_asked_for_again_and_again() -> None:
    asked = request(None, "Connection: keep-alive", method="GET", path="/metrics")
    async with publish_port(metrics=lambda: b"up 1\n") as port, connected(port) as (reader, writer):
        writer.write((asked + KEPT) * 20)
        for _ in range(20):
            assert [await body_of_next(reader), await body_of_next(reader)] == [b"up 1\n", b"Published\n"]


async def test_metrics_that_cannot_be_made_are_our_fault() -> None:
    def fail() -> bytes:
        raise RuntimeError("no numbers")

    async with publish_port(metrics=fail) as port:
        answered = await port.send(request(None, method="GET", path="/metrics"))
    assert answered.startswith(b"HTTP/1.1 500 ")


async def test_a_publisher_that_leaves_takes_nothing_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    hub = SlowHub()
    async with publish_port(hub=hub) as port:
        async with connected(port) as (_, writer):
            writer.write(to_hub())
            await until(lambda: hub.asked)
            writer.transport.abort()
        await settle()
        hub.answers.set()
        await until(lambda: lines(caplog) == ["control: POST /hub code=200 4"])


async def test_a_publisher_that_closes_its_sending_half_waits_for_the_hub_too() -> None:
    hub = SlowHub()
    async with publish_port(hub=hub) as port, connected(port) as (reader, writer):
        writer.write(to_hub(b"first") + KEPT + LAST[:-1])
        writer.write_eof()
        await until(lambda: hub.asked)
        await settle()
        hub.answers.set()
        assert await body_of_next(reader) == b"first"
        assert await body_of_next(reader) == b"Published\n"
        assert await body_of_next(reader) == b"Request body incomplete.\n"
        assert await reader.read() == b""


async def test_the_end_waits_for_what_is_being_answered() -> None:
    hub = SlowHub()
    async with publish_port(hub=hub) as port, connected(port) as (reader, writer):
        writer.write(to_hub())
        await until(lambda: hub.asked)
        stopping = asyncio.create_task(port.server.stop())
        await settle()
        hub.answers.set()
        answered = await reader.read()
        assert b"\r\nConnection: close\r\n" in answered
        assert answered.endswith(b"body")
        await stopping


# -- bodies -------------------------------------------------------------------------------------------------------


async def test_who_waits_to_be_told_to_send_is_told_in_its_turn() -> None:
    expects = "Expect: 100-continue"
    for expecting in (request(BODY, "Connection: keep-alive", expects), to_hub(BODY, expects)):
        hub = SlowHub()
        hub.answers.set()
        async with publish_port(hub=hub) as port, connected(port) as (reader, writer):
            writer.write(KEPT + expecting.removesuffix(BODY))
            assert await body_of_next(reader) == b"Published\n"
            assert await reader.readexactly(len(CONTINUE)) == CONTINUE
            writer.write(BODY + KEPT)
            assert await body_of_next(reader) in (b"Published\n", BODY)
            assert await body_of_next(reader) == b"Published\n"


async def test_what_the_hub_does_not_want_yet_is_not_read() -> None:
    hub = SlowHub()
    hub.reads.clear()
    body = b"x" * (READ_AHEAD * 100)
    async with publish_port(hub=hub) as port, connected(port) as (reader, writer):
        writer.write(to_hub(body))
        await until(lambda: hub.asked)
        await settle()
        assert writer.transport.get_write_buffer_size() > 0
        hub.reads.set()
        hub.answers.set()
        assert await body_of_next(reader) == body


async def test_a_body_that_the_hub_waits_for_may_never_come() -> None:
    hub, clock = SlowHub(), ManualClock()
    settings = PublishSettings(request_timeout=7, linger_timeout=0)
    async with publish_port(settings, hub=hub, clock=clock) as port:
        sending = asyncio.create_task(port.send(to_hub()[:-1]))
        await until(lambda: clock.next_due() == clock.now() + 7)
        clock.advance(7)
        assert (await sending).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


async def test_nor_when_the_publisher_leaves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    async with publish_port(hub=SlowHub()) as port:
        assert await port.send(to_hub()[:-1], half_close=True) == b""
        await until(lambda: caplog.records)
    assert lines(caplog) == ["control: POST /hub code=400 25 error='Request body incomplete.'"]


async def test_a_body_that_nobody_can_measure_ends_the_connection() -> None:
    sent = request(None, "Connection: keep-alive", "Transfer-Encoding: chunked")
    async with publish_port() as port:
        answered = await port.send(sent + b"2\r\n{}\r\n", b"0\r\n\r\n" + KEPT)
        assert answered.count(b"HTTP/1.1 ") == 1
        assert answered.startswith(b"HTTP/1.1 411 ")
        assert port.sink.calls == []


async def test_a_refused_body_is_received_to_its_end_and_no_further() -> None:
    body = b"x" * 1000
    async with publish_port(PublishSettings(token="t", linger_timeout=60)) as port, connected(port) as (reader, writer):
        writer.write(request(body, "Connection: keep-alive").removesuffix(body))
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.write(body)
        await port.server.stop()


# -- bounds -------------------------------------------------------------------------------------------------------


async def test_who_does_not_read_his_answers_loses_the_connection_and_nothing_that_was_published() -> None:
    async with publish_port() as port:
        with small_socket(port) as sock:
            unsent = KEPT * 40_000
            before = -1
            while before < len(port.sink.items):  # until the server reads no more
                before = len(port.sink.items)
                with suppress(BlockingIOError):
                    while unsent:
                        unsent = unsent[sock.send(unsent[:100_000]) :]
                await settle()
            answered = b""
            while data := await asyncio.get_running_loop().sock_recv(sock, 1 << 20):
                answered += data
        assert UNREAD_LIMIT // 150 < len(port.sink.items) < 40_000
        assert answered.count(b"Published\n") == len(port.sink.items)
        assert answered.count(b"Connection: close") == 1
        assert b"Connection: close" in answered[-120:]


def small_socket(port: PublishPort) -> socket.socket:
    """Return a socket that is connected and takes in little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(port.server.address)
    sock.setblocking(False)
    return sock
