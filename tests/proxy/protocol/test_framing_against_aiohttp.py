"""The framer against a parser of other people's making: what both accept, both must read alike.

Nothing of aiohttp's server parser is used for clients, but it is what stands in many backends and it has been
attacked for years, so it is a good second opinion: a request that two sound parsers frame in two ways is a smuggled
request. It is aiohttp's C parser with its limits raised to the framer's. Each request the framer finds is given to a
fresh one, which must find exactly that one request in exactly those bytes.

aiohttp refuses some requests that Holdfast forwards. Each reason is listed in `KNOWN_REFUSALS`; another is a failure.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.streams import StreamReader
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import header_values
from proxy.protocol.framing import FramingLimits, RequestHead
from tests.proxy.protocol.framed import NEXT, Request, cut, frame
from tests.proxy.protocol.sound_requests import Sound, damaged_streams, sound_requests

LIMITS = FramingLimits()
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

KNOWN_REFUSALS: dict[str, Callable[[Request, HttpProcessingError], bool]] = {
    "llhttp has a list of methods": lambda _, error: isinstance(error, BadHttpMethod),
    "targets are ASCII to it": lambda request, _: not request.head.target.isascii(),
    "it has a list of headers that may come once, trailers among them": lambda _, error: error.message.startswith(
        "Duplicate '"
    ),
    "it refuses the WebSocket of a withdrawn draft": lambda request, _: bool(
        header_values(request.head.headers, b"sec-websocket-key1")
    ),
}

TAB_BEHIND_CODING = re.compile(rb"(?i)\ntransfer-encoding:[^\r]*\t[ \t]*\r")
"""White space (RFC 9110 section 5.6.3) to the framer and part of the coding's name to llhttp: then the coding is not
chunked, and the request is refused; but if it asks for an upgrade as well, it is taken to have no body. The one
difference in framing there is. It never reaches a backend, whose request we frame ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What the parser made of one request: its message, its body, and whether it saw the body's end."""

    message: RawRequestMessage
    body: bytes
    is_whole: bool


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that never runs: the parser only wants one to hand to its streams."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def parse_one(loop: asyncio.AbstractEventLoop, sent: bytes) -> Parsed:
    """Feed the bytes of one request; anything but exactly one message fails. Raises HttpProcessingError."""
    parser = HttpRequestParser(
        BaseProtocol(loop),
        loop,
        2**20,
        max_line_size=LIMITS.head,
        max_field_size=LIMITS.head,
        max_headers=LIMITS.headers,
        auto_decompress=False,
    )
    messages: list[tuple[RawRequestMessage, StreamReader]]
    messages, _, tail = parser.feed_data(sent)
    assert not tail
    [(message, payload)] = messages
    return Parsed(message=message, body=payload.read_nowait(), is_whole=payload.is_eof())


def assert_read_alike(loop: asyncio.AbstractEventLoop, stream: bytes, cuts: list[int]) -> None:
    framed = frame(cut(stream, cuts), LIMITS)
    for request in framed.requests:
        assert_same(loop, request, is_whole=True)
    if framed.head is not None and framed.error is None:
        begun = Request(head=framed.head, head_bytes=framed.head_bytes, body=framed.begun, sent=framed.rest)
        assert_same(loop, begun, is_whole=False)


def assert_same(loop: asyncio.AbstractEventLoop, request: Request, *, is_whole: bool) -> None:
    if TAB_BEHIND_CODING.search(request.head_bytes):
        return
    try:
        parsed = parse_one(loop, request.sent)
    except HttpProcessingError as error:
        # Of a request that is not whole, it may know sooner that it will be refused.
        if is_whole and not any(is_reason(request, error) for is_reason in KNOWN_REFUSALS.values()):
            raise
        return
    assert_same_head(request.head, parsed.message)
    assert (parsed.body, parsed.is_whole) == (request.body, is_whole)


def assert_same_head(head: RequestHead, message: RawRequestMessage) -> None:
    assert message.method.encode() == head.method
    assert message.path.encode("utf-8", "surrogateescape") == head.target
    assert b"%d.%d" % (message.version.major, message.version.minor) == head.version
    assert bool(message.chunked) is head.chunked
    assert message.raw_headers == head.headers
    assert message.upgrade or head.upgrade != b"websocket"
    # It obeys Proxy-Connection like Connection, and prefers keep-alive to close in HTTP/1.0. What may never be is that
    # it closes where we go on.
    if not header_values(head.headers, b"proxy-connection"):
        assert not (head.keep_alive and message.should_close)


@given(damaged_streams(), st.lists(st.integers(0, 2000), max_size=5), st.just(0) | st.integers(0, 80))
def test_what_both_accept_both_read_alike(
    loop: asyncio.AbstractEventLoop, stream: bytes, cuts: list[int], missing: int
) -> None:
    whole = stream + NEXT
    assert_read_alike(loop, whole[: len(whole) - missing], cuts)


@given(st.lists(sound_requests(), min_size=1, max_size=3))
def test_sound_requests_are_read_alike(loop: asyncio.AbstractEventLoop, sounds: list[Sound]) -> None:
    assert_read_alike(loop, b"".join(sound.sent for sound in sounds), [])


@pytest.mark.parametrize(
    "stream",
    [
        b"GET%b /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a%bb HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a%bb/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a HTTP/1.1%b\r\nHost: a\r\n\r\n",
        b"GET /a HTTP/1.1\r\n%bHost: a\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a%bb\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nX%b: b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nX: a%bb\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nX:%b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nX: a%b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: a%bclose\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close%b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: %b\r\n\r\n",
        POST + b"Content-Length%b: 3\r\n\r\nabc",
        POST + b"Content-Length: %b3\r\n\r\nabc",
        POST + b"Content-Length: 3%b\r\n\r\nabc",
        POST + b"Transfer-Encoding%b: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked%b\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:%bchunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"%b1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1%b\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1\r\na%b\r\n0\r\n\r\n",
        CHUNKED + b"1;a%b\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1;a=%b\r\na\r\n0\r\n\r\n",
        CHUNKED + b'1;a="\\%b"\r\na\r\n0\r\n\r\n',
        CHUNKED + b"0\r\nX: %b\r\n\r\n",
        CHUNKED + b"0\r\n%b\r\n",
    ],
)
def test_every_byte_that_passes_somewhere_is_read_alike(loop: asyncio.AbstractEventLoop, stream: bytes) -> None:
    for byte in range(0x100):
        assert_read_alike(loop, stream % bytes([byte]) + NEXT, [])


REFUSED = [
    ("llhttp has a list of methods", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("llhttp has a list of methods", b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("targets are ASCII to it", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "it has a list of headers that may come once, trailers among them",
        POST + b"User-Agent: a\r\nUser-Agent: b\r\n\r\n",
    ),
    ("it refuses the WebSocket of a withdrawn draft", POST + b"Sec-WebSocket-Key1: a\r\n\r\n"),
]


@pytest.mark.parametrize(("reason", "stream"), REFUSED)
def test_each_known_refusal_is_still_one(loop: asyncio.AbstractEventLoop, reason: str, stream: bytes) -> None:
    # When this fails, aiohttp has changed its mind and the reason can go.
    [request] = frame([stream]).requests
    with pytest.raises(HttpProcessingError) as caught:
        parse_one(loop, request.sent)
    assert KNOWN_REFUSALS[reason](request, caught.value)


def test_a_tab_behind_chunked_is_still_read_otherwise(loop: asyncio.AbstractEventLoop) -> None:
    head = POST + b"Transfer-Encoding: chunked\t\r\n"
    [plain] = frame([head + b"\r\n0\r\n\r\n"]).requests
    with pytest.raises(HttpProcessingError):
        parse_one(loop, plain.sent)
    [upgrade] = frame([head + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n0\r\n\r\n"]).requests
    assert upgrade.head.chunked
    assert not parse_one(loop, upgrade.head_bytes).message.chunked


def test_every_known_refusal_has_an_example() -> None:
    assert {reason for reason, _ in REFUSED} == KNOWN_REFUSALS.keys()
