"""One answer as bytes: framing, reuse, and what a hand-over leaves behind. The connection is a fake that records."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from handlers.protocol.answers import Answer
from handlers.protocol.http1 import CONTINUE
from proxy.backend import AnswerTruncated
from proxy.exchange import Exchange, refusal
from proxy.incoming import Repetition
from proxy.protocol.framing import FramingLimits, RequestFramer, RequestHead
from proxy.request_body import RequestBody


class Wire(asyncio.Transport):
    """Records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def abort(self) -> None:
        self.is_aborted = True


class Connection:
    """Implements `ClientTransport`."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.is_draining = False
        self.is_gone = False
        self.outlives_client = False
        self.flushes = 0

    @property
    def writable(self) -> asyncio.Transport:
        if self.is_gone:
            raise ConnectionResetError("gone")
        return self.wire

    @property
    def writing_paused(self) -> bool:
        return False

    async def flushed(self) -> None:
        self.flushes += 1

    def detach(self) -> bytes:
        return b"kept"


def head_of(version: bytes = b"1.1", method: bytes = b"GET", *lines: bytes) -> RequestHead:
    framer = RequestFramer(FramingLimits())
    framer.receive(b"\r\n".join([b"%b / HTTP/%b" % (method, version), b"Host: a", *lines, b"", b""]))
    assert framer.head is not None
    return framer.head


def exchange_of(head: RequestHead, connection: Connection, *, is_retry: bool = False) -> Exchange:
    async def read() -> bytes:
        return b""

    return Exchange(
        connection=connection,
        head=head,
        head_bytes=b"",
        body=RequestBody(read, 0),
        peer="",
        is_tls=False,
        retried=() if is_retry else None,
        earlier=Repetition(),
    )


@pytest.mark.parametrize(
    ("version", "method", "length", "framing", "body", "goes_on"),
    [
        (b"1.1", b"GET", 6, b"Content-Length: 6\r\n", b"onetwo", True),
        (
            b"1.1", b"GET", None, b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", True,
        ),
        (b"1.0", b"GET", None, b"", b"onetwo", False),
        (b"1.1", b"HEAD", 6, b"Content-Length: 6\r\n", b"", True),
        (
            b"1.1", b"HEAD", None, b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", b"", True,
        ),
    ],
    ids=["length", "chunked", "to HTTP/1.0", "to HEAD", "to HEAD, chunked"],
)  # fmt: skip
async def test_a_streamed_answer_is_framed_as_the_client_understands(
    version: bytes, method: bytes, length: int | None, framing: bytes, body: bytes, goes_on: bool
) -> None:
    connection = Connection()
    exchange = exchange_of(head_of(version, method), connection)
    exchange.begin(status=200, reason=b"Fine", headers=((b"x-A", b"b"),), length=length)
    assert connection.wire.written == b""
    await exchange.write(b"one")
    await exchange.write(b"two")
    exchange.end()
    assert connection.wire.written == b"HTTP/%b 200 Fine\r\nx-A: b\r\n" % version + framing + b"\r\n" + body
    assert exchange.keep_alive is goes_on
    assert connection.flushes == 2


@pytest.mark.parametrize(("status", "length"), [(204, 0), (204, None), (304, 7), (304, None)])
async def test_an_answer_that_has_no_body_gets_none(status: int, length: int | None) -> None:
    connection = Connection()
    exchange = exchange_of(head_of(), connection)
    exchange.begin(status=status, reason=b"X", headers=(), length=length)
    exchange.end()
    kept = b"Content-Length: 7\r\n" if length == 7 else b""
    assert connection.wire.written == b"HTTP/1.1 %d X\r\n%b\r\n" % (status, kept)
    assert exchange.keep_alive


@pytest.mark.parametrize(
    ("version", "method", "length", "framing", "body", "goes_on"),
    [
        (b"1.1", b"GET", 6, b"Content-Length: 6\r\n", b"onetwo", True),
        (
            b"1.1", b"GET", None, b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            b"6\r\nonetwo\r\n0\r\n\r\n", True,
        ),
        (b"1.0", b"GET", None, b"", b"onetwo", False),
        (b"1.1", b"HEAD", None, b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", b"", True),
    ],
    ids=["length", "chunked", "to HTTP/1.0", "to HEAD, chunked"],
)  # fmt: skip
async def test_an_answer_that_is_here_whole_leaves_in_one_write(
    version: bytes, method: bytes, length: int | None, framing: bytes, body: bytes, goes_on: bool
) -> None:
    connection = Connection()
    exchange = exchange_of(head_of(version, method), connection)
    exchange.begin(status=200, reason=b"Fine", headers=((b"x-A", b"b"),), length=length)
    exchange.send_whole(b"onetwo")
    assert connection.wire.writes == [b"HTTP/%b 200 Fine\r\nx-A: b\r\n" % version + framing + b"\r\n" + body]
    assert exchange.is_ended
    assert exchange.keep_alive is goes_on
    assert exchange.size == (0 if method == b"HEAD" else 6)


async def test_a_head_can_go_ahead_of_its_body() -> None:
    connection = Connection()
    exchange = exchange_of(head_of(), connection)
    exchange.begin(status=200, reason=b"OK", headers=(), length=3)
    exchange.flush_head()
    head = connection.wire.written
    assert head.endswith(b"\r\n\r\n")
    exchange.send(b"one")
    exchange.end()
    assert connection.wire.written == head + b"one"
    assert exchange.size == 3


def test_an_answer_that_is_begun_but_not_ended_is_the_last() -> None:
    exchange = exchange_of(head_of(), Connection())
    exchange.begin(status=200, reason=b"OK", headers=(), length=3)
    assert not exchange.keep_alive


def test_an_abort_cuts_the_connection() -> None:
    connection = Connection()
    exchange = exchange_of(head_of(), connection)
    exchange.begin(status=200, reason=b"OK", headers=(), length=3)
    exchange.abort()
    assert connection.wire.is_aborted
    assert not exchange.keep_alive


@pytest.mark.parametrize(
    ("version", "lines", "is_draining", "option"),
    [
        (b"1.1", (), False, b""),
        (b"1.1", (b"Connection: close",), False, b"Connection: close\r\n"),
        (b"1.1", (), True, b"Connection: close\r\n"),
        (b"1.0", (), False, b""),
        (b"1.0", (b"Connection: keep-alive",), False, b"Connection: keep-alive\r\n"),
        (b"1.0", (b"Connection: keep-alive",), True, b""),
    ],
)
def test_an_answer_says_whether_the_connection_goes_on(
    version: bytes, lines: tuple[bytes, ...], is_draining: bool, option: bytes
) -> None:
    connection = Connection()
    connection.is_draining = is_draining
    exchange = exchange_of(head_of(version, b"GET", *lines), connection)
    exchange.answer(Answer(status=200, reason=b"OK", headers=(), body=b"x"))
    assert connection.wire.written == b"HTTP/%b 200 OK\r\nContent-Length: 1\r\n%b\r\nx" % (version, option)
    assert exchange.keep_alive is (option == b"Connection: keep-alive\r\n" or (version == b"1.1" and not option))


@pytest.mark.parametrize(("is_retry", "sent"), [(False, CONTINUE), (True, b"")])
def test_a_client_is_told_to_go_on_once(is_retry: bool, sent: bytes) -> None:
    connection = Connection()
    exchange = exchange_of(head_of(), connection, is_retry=is_retry)
    exchange.send_continue()
    assert connection.wire.written == sent


def test_a_client_that_has_its_answer_is_not_told_to_go_on() -> None:
    connection = Connection()
    exchange = exchange_of(head_of(), connection)
    exchange.answer_text(413, "too large")
    written = connection.wire.written
    exchange.send_continue()
    assert connection.wire.written == written


def test_writing_to_a_client_that_is_gone_says_so() -> None:
    connection = Connection()
    connection.is_gone = True
    with pytest.raises(ConnectionResetError):
        exchange_of(head_of(), connection).answer_text(200, "hello")


def test_a_request_that_outlives_its_client_is_told_of_it_at_the_end() -> None:
    connection = Connection()
    exchange = exchange_of(head_of(), connection)
    exchange.outlive_client()
    seen = [connection.outlives_client]
    exchange.heed_client()
    assert [*seen, connection.outlives_client] == [True, False]
    connection.is_gone = True
    with pytest.raises(ConnectionResetError):
        exchange.answer_text(200, "hello")


def test_a_refusal_closes() -> None:
    assert refusal(400, "bad") == (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbad\n"
    )


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nsome words",
        (
            b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"4\r\nsome\r\n6;x\r\n words\r\n0\r\nA: b\r\n\r\n"
        ),
        b"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["no body", "length", "chunked", "chunked and empty"],
)
async def test_a_request_can_be_sent_again_as_bytes_that_mean_the_same(request_bytes: bytes) -> None:
    first, again = RequestFramer(FramingLimits()), RequestFramer(FramingLimits())
    body = first.receive(request_bytes + b"GET /next")
    assert first.head is not None
    pieces = [body, b""]

    async def read() -> bytes:
        return pieces.pop(0)

    exchange = Exchange(
        connection=Connection(),
        head=first.head,
        head_bytes=first.head_bytes,
        body=RequestBody(read, None if first.head.chunked else len(body)),
        peer="",
        is_tls=False,
        retried=None,
        earlier=Repetition(),
    )
    assert await exchange.body.read_small()
    assert again.receive(exchange.request_bytes() + b"GET /next") == body
    assert again.head == first.head
    assert again.is_complete
    assert again.take_kept() == b"GET /next"


@pytest.mark.parametrize("sent", [b"short", b"much too long"])
@pytest.mark.parametrize("is_whole", [False, True])
async def test_an_answer_of_another_length_than_announced_is_cut(sent: bytes, is_whole: bool) -> None:
    """The client would take the next answer for its rest, or its rest for the next answer."""
    connection = Connection()
    exchange = exchange_of(head_of(), connection)
    exchange.begin(status=200, reason=b"OK", headers=(), length=8)
    if not is_whole:
        await exchange.write(sent)
    end = partial(exchange.send_whole, sent) if is_whole else exchange.end
    with pytest.raises(AnswerTruncated, match=f"a body of {len(sent)} bytes where 8 were announced"):
        end()
    assert connection.wire.is_aborted
    assert not exchange.keep_alive
    assert not exchange.is_ended
