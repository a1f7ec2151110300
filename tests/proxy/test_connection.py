"""A client's connection while it speaks HTTP, with a `serve` of the test's own; held ones are in a module of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.connection import DISCARD_SECONDS, LINGER_SECONDS
from proxy.errors import RequestBodyError
from proxy.exchange import Exchange
from tests.proxy.client_door import Door, echo, listening
from tests.support.client import RawClient, encode_request
from tests.support.turns import settle, until

pytestmark = pytest.mark.usefixtures("nothing_logged_as_an_error")

GET = encode_request("/")


@pytest.fixture
async def door() -> AsyncGenerator[Door]:
    async with listening() as door:
        yield door


@pytest.fixture
async def client(door: Door) -> AsyncGenerator[RawClient]:
    async with await door.connect() as client:
        yield client


# -- one request after the other ----------------------------------------------------------------------------------


async def test_requests_are_answered_in_turn(client: RawClient) -> None:
    for number in range(3):
        assert (await client.fetch(f"/{number}")).body == b"/%d \n" % number


async def test_pipelined_requests_are_answered_in_their_order(door: Door, client: RawClient) -> None:
    bodies = [b"", b"words", b"x" * 1000]
    await client.send(b"".join(encode_request(f"/{n}", method="POST", body=body) for n, body in enumerate(bodies)))
    for number, body in enumerate(bodies):
        assert (await client.response()).body == b"/%d %b\n" % (number, body)


async def test_a_request_begins_only_when_the_one_before_is_answered(door: Door, client: RawClient) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.answer_text(200, "done")

    door.serve = wait
    await client.send(GET * 3)
    await until(lambda: door.served)
    await settle()
    assert len(door.served) == 1
    gate.set()
    for _ in range(3):
        assert (await client.response()).status == 200


@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
async def test_the_splits_of_the_input_do_not_matter(client: RawClient, piece: int) -> None:
    post = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    sent = post + encode_request("/b", method="POST", body=b"world") + GET
    for place in range(0, len(sent), piece):
        await client.send(sent[place : place + piece])
        await settle()
    assert [(await client.response()).body for _ in range(3)] == [b"/a hello\n", b"/b world\n", b"/ \n"]


async def test_a_close_is_obeyed(door: Door, client: RawClient) -> None:
    await client.send(encode_request("/", headers=[("Connection", "close")]) + GET)
    assert (await client.response()).values(b"connection") == (b"close",)
    assert await client.until_cut() == b""
    assert len(door.served) == 1


# -- answers that do not wait for the body ------------------------------------------------------------------------


async def too_large(exchange: Exchange) -> None:
    if exchange.head.method == b"GET":
        await echo(exchange)
    else:
        exchange.answer_text(413, "too large")


async def test_an_unread_body_is_thrown_away_and_the_connection_goes_on(door: Door, client: RawClient) -> None:
    door.serve = too_large
    post = encode_request("/", method="POST", body=b"x" * 1_000_000)
    await client.send(post[:1000])
    assert (await client.response()).status == 413
    await client.send(post[1000:] + GET)
    assert (await client.response()).body == b"/ \n"


@pytest.mark.parametrize("rest", [b"zz\r\n", b"1\r\nxy", b"0\r\nbad trailer\r\n\r\n"])
async def test_a_body_that_turns_out_bad_after_the_answer_costs_the_connection(
    door: Door, client: RawClient, rest: bytes
) -> None:
    door.serve = too_large
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert (await client.response()).status == 413
    await client.send(rest + GET)
    assert await client.until_cut() == b""
    assert len(door.served) == 1


async def test_a_client_that_leaves_before_its_unread_body_is_here_is_forgotten(door: Door, client: RawClient) -> None:
    door.serve = too_large
    await client.send(encode_request("/", method="POST", body=b"x" * 1000)[:-1])
    await client.response()
    client.reset()
    await until(lambda: not door.clients.open_transports)


async def test_an_unread_body_is_read_to_its_end_before_a_last_answer_closes(door: Door, client: RawClient) -> None:
    door.serve = too_large
    post = encode_request("/", method="POST", headers=[("Connection", "close")], body=b"x" * 1_000_000)
    await client.send(post[:1000])
    assert (await client.response()).status == 413
    await client.send(post[1000:-1])
    await settle()
    assert door.clients.open_transports
    await client.send(post[-1:])
    assert await client.until_closed() == b""


@pytest.mark.parametrize("option", ["keep-alive", "close"])
async def test_an_unread_body_that_does_not_come_costs_the_connection(
    door: Door, client: RawClient, option: str
) -> None:
    door.serve = too_large
    await client.send(encode_request("/", method="POST", headers=[("Connection", option)], body=b"some")[:-1])
    assert (await client.response()).status == 413
    door.clock.advance(DISCARD_SECONDS - 0.1)
    await settle()
    assert door.clients.open_transports
    door.clock.advance(0.3)
    assert await client.until_closed() == b""


async def test_a_connection_whose_unread_body_has_come_is_idle_like_any_other(door: Door, client: RawClient) -> None:
    door.serve = too_large
    post = encode_request("/", method="POST", body=b"some")
    await client.send(post[:-1])
    await client.response()
    await client.send(post[-1:])
    await settle()
    door.clock.advance(DISCARD_SECONDS + 60)
    assert (await client.fetch("/")).status == 200


# -- bytes that are no request ------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", GET])
async def test_bad_bytes_are_refused_in_their_turn(door: Door, client: RawClient, before: bytes) -> None:
    await client.send(before + b"\x16\x03\x01 what\r\n\r\n" + GET)
    if before:
        assert (await client.response()).status == 200
    refused = await client.response()
    assert (refused.status, refused.values(b"connection")) == (400, (b"close",))
    assert await client.until_closed() == b""
    assert door.counters.requests_refused == 1
    assert len(door.served) == len(before and b"1")


async def test_a_refused_client_may_go_on_sending_for_a_moment(door: Door, client: RawClient) -> None:
    await client.send(b"nonsense\r\n\r\n")
    assert (await client.response()).status == 400
    assert await client.until_closed() == b""
    await client.send(b"x" * 100_000)
    await settle()
    assert door.clients.open_transports
    door.clock.advance(LINGER_SECONDS)
    await until(lambda: not door.clients.open_transports)


async def test_a_refused_client_that_leaves_is_forgotten_at_once(door: Door, client: RawClient) -> None:
    await client.send(b"nonsense\r\n\r\n")
    await client.response()
    client.close()
    await until(lambda: not door.clients.open_transports)


async def test_a_body_that_turns_out_bad_fails_whoever_reads_it(door: Door, client: RawClient) -> None:
    async def serve(exchange: Exchange) -> None:
        try:
            await echo(exchange)
        except RequestBodyError as error:
            exchange.answer_text(400, error.text)

    door.serve = serve
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await until(lambda: door.served)
    await client.send(b"zz\r\n" + GET)
    answer = await client.response()
    assert (answer.status, answer.values(b"connection")) == (400, (b"close",))
    assert await client.until_closed() == b""
    assert len(door.served) == 1
    client.close()
    await until(lambda: not door.clients.open_transports)


# -- nothing comes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", GET[:10], GET])
async def test_an_idle_connection_is_closed(door: Door, client: RawClient, sent: bytes) -> None:
    await until(lambda: door.clients.connections)
    door.clock.advance(50)
    await client.send(sent)
    if sent is GET:
        await client.response()
    await settle()
    door.clock.advance(24.9)
    await settle()
    assert door.clients.open_transports
    door.clock.advance(0.3)
    if sent is GET:  # it was idle since then
        await settle()
        assert (await client.fetch("/")).status == 200
        door.clock.advance(75.2)
    assert await client.until_closed() == b""


async def test_a_connection_whose_answer_takes_long_is_not_idle(door: Door, client: RawClient) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.answer_text(200, "done")

    door.serve = wait
    await client.send(GET)
    await until(lambda: door.served)
    for _ in range(3):
        door.clock.advance(76)
        await settle()
    gate.set()
    assert (await client.response()).status == 200
    door.clock.advance(76)
    await until(lambda: not door.clients.open_transports)


async def test_without_a_keep_alive_timeout_a_connection_ends_once_it_is_idle() -> None:
    async with listening(keep_alive_timeout=0) as door, await door.connect() as client:
        await until(lambda: door.clients.connections)
        door.clock.advance(50)
        await client.send(GET * 2)
        for _ in range(2):
            assert (await client.response()).status == 200
        assert await client.until_closed() == b""


# -- the client leaves, the process stops -------------------------------------------------------------------------


async def test_a_client_that_leaves_cancels_its_request(door: Door, client: RawClient) -> None:
    ended: list[type[BaseException]] = []

    async def wait(exchange: Exchange) -> None:
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ended.append(type(error))
            raise

    door.serve = wait
    await client.send(GET)
    await until(lambda: door.served)
    client.close()
    await until(lambda: ended)
    assert ended == [asyncio.CancelledError]
    await until(lambda: not door.clients.connections)


async def test_the_loss_of_a_client_ends_the_reading_of_its_body(door: Door, client: RawClient) -> None:
    """Whatever the loss is called: the kernel's time-out (TCP_USER_TIMEOUT) is an OSError of its own."""
    ended: list[BaseException] = []
    aside: list[asyncio.Task[None]] = []

    async def read_aside(exchange: Exchange) -> None:
        async def read() -> None:
            try:
                await echo(exchange)
            except ConnectionError as error:
                ended.append(error)

        aside.append(asyncio.create_task(read()))
        await asyncio.Event().wait()

    door.serve = read_aside
    await client.send(encode_request("/", method="POST", body=b"some")[:-1])
    await until(lambda: door.served)
    await settle()
    transport, connection = door.connection.writable, door.connection
    connection.connection_lost(TimeoutError(110, "Connection timed out"))
    await until(lambda: ended)
    transport.abort()


async def test_a_handler_that_fails_on_a_client_that_is_gone_is_no_error(door: Door, client: RawClient) -> None:
    async def fail(exchange: Exchange) -> None:
        raise ConnectionResetError("gone")

    door.serve = fail
    await client.send(GET)
    assert await client.until_cut() == b""


async def test_draining_closes_connections_that_have_been_idle(door: Door, client: RawClient) -> None:
    """Each has the grace: from now on where it has sent nothing yet, else from its last answer."""
    await client.fetch("/")
    async with await door.connect() as fresh, await door.connect() as half, await door.connect() as idle:
        await until(lambda: len(door.clients.open_transports) == 4)
        await idle.fetch("/")
        door.clock.advance(2)
        await client.fetch("/")
        await half.send(GET[:10])
        await settle()
        door.clock.advance(0.5)
        door.clients.drain(1)
        assert await idle.until_closed() == b""
        door.clock.advance(0.375)
        await settle()
        assert len(door.clients.open_transports) == 3
        door.clock.advance(0.25)
        assert await client.until_closed() == b""
        assert door.counters.connections_cut == 0
        door.clock.advance(0.5)
        for each in (fresh, half):
            assert await each.until_closed() == b""
        assert door.counters.connections_cut == 1, "the half of a request"


async def test_a_request_that_comes_while_it_drains_is_answered(door: Door, client: RawClient) -> None:
    await client.fetch("/")
    async with await door.connect() as fresh, await door.connect() as half:
        await half.send(GET[:10])
        await until(lambda: len(door.clients.open_transports) == 3)
        await settle()
        door.clients.drain(1)
        for each, request in ((client, GET), (fresh, GET), (half, GET[10:])):
            await each.send(request)
            assert (await each.response()).values(b"connection") == (b"close",)
            assert await each.until_closed() == b""


async def test_draining_does_not_destroy_an_answer_whose_request_is_still_coming(door: Door, client: RawClient) -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.answer_text(200, "done")

    door.serve = answer
    request = encode_request("/", method="POST", body=b"words")
    await client.send(request[:-1])
    assert (await client.response()).body == b"done\n"
    door.clients.drain(1)
    await settle()
    assert door.clients.open_transports
    await client.send(request[-1:])
    assert await client.until_closed() == b""


@pytest.mark.parametrize("ticks", range(8))
async def test_draining_loses_no_request_that_has_come(door: Door, client: RawClient, ticks: int) -> None:
    await client.fetch("/")
    door.connection.data_received(GET)
    for _ in range(ticks):
        await asyncio.sleep(0)
    door.clients.drain(1)
    assert (await client.response()).body == b"/ \n"
    door.clock.advance(1.25)  # it may have been answered before
    assert await client.until_closed() == b""


async def test_draining_waits_for_the_answer_and_says_that_it_is_the_last(door: Door, client: RawClient) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.answer_text(200, "done")

    door.serve = wait
    await client.send(GET * 2)
    await until(lambda: door.served)
    door.clients.drain(1)
    gate.set()
    assert (await client.response()).values(b"connection") == (b"close",)
    assert await client.until_cut() == b""
    assert len(door.served) == 1
