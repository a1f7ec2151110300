from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from publish_api.settings import PublishSettings
from tests.support.clock import ManualClock
from tests.support.publish_port import PublishPort, publish_port, request
from tests.support.turns import until

BODY = b'{"items":[{"channel":"c","http-stream":{"content":"x"}}]}'
KEPT = request(BODY, "Connection: keep-alive")


def text_of(answer: bytes) -> tuple[bytes, bytes]:
    """Return status line and body of an answer, having checked that it ends its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in head
    return head.split(b"\r\n")[0], body


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def send_for_ever(writer: asyncio.StreamWriter) -> NoReturn:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"NONSENSE\r\n\r\n", "Failed to parse request header."),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "Failed to parse request header."),
        (b"GET / HTTP/3.0\r\n\r\n", "Failed to parse request header."),
        (b"GET / HTTP/1.1\r\n\r\n", "Failed to parse request header."),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "Failed to parse request header."),
        (request(None, "Content-Length: abc"), "Bad Content-Length."),
        (request(None, "Content-Length: -1"), "Bad Content-Length."),
        (request(None, "Content-Length: +2"), "Bad Content-Length."),
        (request(None, "Content-Length: " + "9" * 30), "Bad Content-Length."),
        (request(b"{}", "Content-Length: 3"), "Bad Content-Length."),
        (request(b"", "Transfer-Encoding: chunked"), "Bad Content-Length."),
        (request(b"{}") + b" extra", "Request body exceeded Content-Length."),
        (request(BODY) + b" extra", "Request body exceeded Content-Length."),
        (request(None, "X: " + "h" * 12_000, method="GET"), "Request header too large."),
        (request(None, method="GET", path="/" + "h" * 12_000), "Request header too large."),
        (request(None, *["X: h"] * 500, method="GET"), "Request header too large."),
        (request(None, "X: " + "h" * 1_000_000, method="GET"), "Request header too large."),
    ],
    ids=range(17),
)
async def test_what_is_no_request_is_told_why_in_one_log_line(
    sent: bytes, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with publish_port() as port:
        assert text_of(await port.send(sent)) == (b"HTTP/1.1 400 Bad Request", f"{text}\n".encode())
        assert port.sink.items == []

    (record,) = caplog.records
    assert record.getMessage().startswith(f"control: UNKNOWN / code=400 {len(text) + 1} error={text!r} (")
    assert record.exc_info is None


@pytest.mark.parametrize(
    "last", [request(BODY), KEPT, request(b"{" * len(BODY)), KEPT * 2], ids=["last", "kept", "bad", "second"]
)
async def test_bytes_behind_a_body_are_told_the_same_wherever_its_segments_end(last: bytes) -> None:
    sent = last + b" extra"

    async with publish_port() as port:
        whole = await port.send(sent)
        assert whole.endswith(b"\r\n\r\nRequest body exceeded Content-Length.\n")
        published = len(port.sink.items)
        assert published == whole.count(b"Published\n") == last.count(b"POST") - 1
        for end in range(len(last) - len(BODY) - 8, len(last)):
            assert await port.send(sent[:end], sent[end:]) == whole
        singly = [sent[index : index + 1] for index in range(len(last) - 1)]
        assert await port.send(*singly, sent[len(last) - 1 :]) == whole
        assert len(port.sink.items) == published * (len(BODY) + 10)


async def test_what_is_behind_a_body_that_came_in_pieces_is_the_next_request() -> None:
    sent = KEPT + b"\r\n" + request(BODY)

    async with publish_port() as port:
        for end in range(len(KEPT) - len(BODY), len(KEPT)):
            assert (await port.send(sent[:end], sent[end:])).count(b"Published\n") == 2
        assert len(port.sink.items) == 2 * len(BODY)


async def test_what_is_answered_already_is_not_taken_back() -> None:
    async with publish_port() as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        writer.write(KEPT)
        assert (await read_answer(reader)).endswith(b"Published\n")
        writer.write(b" extra")
        assert text_of(await reader.read())[1] == b"Failed to parse request header.\n"
        writer.close()
        assert len(port.sink.items) == 1


async def test_a_malformed_chunk_is_the_chunked_body_s_fault() -> None:
    sent = request(None, "Transfer-Encoding: chunked") + b"zz\r\n"

    async with publish_port() as port:
        assert text_of(await port.send(sent))[0] == b"HTTP/1.1 411 Length Required"
        assert text_of(await port.send(sent[:-4], sent[-4:]))[0] == b"HTTP/1.1 411 Length Required"


# -- closing and going on ---------------------------------------------------------------------------------------


async def test_who_asks_for_it_may_publish_again_on_the_same_connection() -> None:
    async with publish_port() as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        for _ in range(3):
            writer.write(KEPT)
            assert b"\r\nConnection: keep-alive\r\n" in await read_answer(reader)
        writer.write(request(BODY))
        assert text_of(await reader.read()) == (b"HTTP/1.1 200 OK", b"Published\n")
        writer.close()
        assert len(port.sink.items) == 4


async def test_an_http_1_0_publisher_may_ask_too() -> None:
    sent = b"POST /publish/ HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)

    async with publish_port() as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        for _ in range(2):
            writer.write(sent)
            assert (await read_answer(reader)).startswith(b"HTTP/1.0 200 OK\r\n")
        writer.close()


async def test_a_refusal_does_not_end_a_kept_connection() -> None:
    async with publish_port() as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        writer.write(request(b"x", "Connection: keep-alive") + KEPT)
        assert (await read_answer(reader)).endswith(b"Body is not valid JSON.\n")
        assert (await read_answer(reader)).endswith(b"Published\n")
        writer.close()


async def test_no_body_follows_the_answer_to_head_where_the_next_answer_would() -> None:
    async with publish_port() as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        writer.write(request(None, "Connection: keep-alive", method="HEAD", path="/") + KEPT)
        assert (await reader.readuntil(b"\r\n\r\n")).endswith(b"Content-Length: 12\r\n\r\n")
        assert (await read_answer(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()


async def test_with_keep_alive_off_every_connection_is_closed() -> None:
    async with publish_port(PublishSettings(keep_alive_timeout=0)) as port:
        assert text_of(await port.send(KEPT))[0] == b"HTTP/1.1 200 OK"


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with publish_port(PublishSettings(keep_alive_timeout=0.05)) as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        writer.write(KEPT)
        await read_answer(reader)
        assert await reader.read() == b""
        writer.close()


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with publish_port() as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        writer.write(KEPT * 100)
        for _ in range(100):
            assert (await read_answer(reader)).endswith(b"Published\n")
        writer.close()
        assert len(port.sink.items) == 100


@pytest.mark.parametrize("sent", [request(BODY), KEPT, KEPT * 3])
async def test_a_publisher_that_closes_its_sending_half_gets_its_answers(sent: bytes) -> None:
    async with publish_port() as port:
        answered = await port.send(sent, half_close=True)

        assert answered.count(b"Published\n") == sent.count(b"POST")
        assert len(port.sink.items) == sent.count(b"POST")


async def test_half_a_request_is_no_request() -> None:
    async with publish_port() as port:
        assert await port.send(b"POST /publish/ HTT", half_close=True) == b""


async def test_a_refused_publisher_can_read_its_answer_while_it_is_still_sending() -> None:
    async with publish_port() as port:
        sent = request(b"").replace(b"Length: 0", b"Length: 50000000")
        assert text_of(await port.send(sent, b"x" * 5_000_000)) == (
            b"HTTP/1.1 400 Bad Request",
            b"Request body too large.\n",
        )


async def test_a_refused_publisher_that_does_not_stop_is_cut() -> None:
    clock = ManualClock()
    async with publish_port(PublishSettings(linger_timeout=3), clock=clock) as port:
        _, writer = await asyncio.open_connection(*port.server.address)
        writer.write(b"NONSENSE\r\n\r\n")
        await until(lambda: clock.next_due() == clock.now() + 3)
        clock.advance(3)
        with pytest.raises(ConnectionError):
            await send_for_ever(writer)
        writer.close()


async def test_a_refused_publisher_is_cut_at_once_when_none_is_to_linger() -> None:
    clock = ManualClock()
    async with publish_port(PublishSettings(linger_timeout=0), clock=clock) as port:
        answered = await port.send(b"NONSENSE\r\n\r\n")
    assert text_of(answered) == (b"HTTP/1.1 400 Bad Request", b"Failed to parse request header.\n")
    assert clock.next_due() is None


async def test_a_publisher_that_resets_its_connection_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with publish_port() as port:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.get_running_loop().run_in_executor(None, sock.connect, port.server.address)
            sock.sendall(KEPT * 50)
        assert text_of(await port.send(request(BODY)))[0] == b"HTTP/1.1 200 OK"

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_stopping_closes_idle_connections() -> None:
    async with publish_port() as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        writer.write(KEPT)
        await read_answer(reader)
        await port.server.stop()
        assert await reader.read() == b""
        writer.close()


# -- any bytes --------------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    [KEPT, request(BODY), request(None, method="GET", path="/"), b"POST ", b"\r\n", b"\r\n\r\n", b"Content-Length: 3",
     b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"HTTP/1.1"]
)  # fmt: skip


async def is_answered_or_closed(port: PublishPort, sent: bytes) -> None:
    answered = await port.send(sent, half_close=True)
    assert answered == b"" or answered.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(pieces | st.binary(max_size=20), max_size=6).map(b"".join))
def test_any_bytes_are_answered_or_the_connection_is_closed(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with publish_port(PublishSettings(request_timeout=0.2, linger_timeout=0.2)) as port:
            await is_answered_or_closed(port, sent)

    caplog.clear()
    asyncio.run(run())
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []
