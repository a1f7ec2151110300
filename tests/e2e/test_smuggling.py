"""Requests that two parsers could read in two ways are refused (RFC 9112 sections 2.2, 5.1, 5.2, 6.1, 6.3, 7.1).

Each gets 400 with a text, one log line and the end of its connection, and the backend never hears of it, nor of
anything sent behind it.
"""

from __future__ import annotations

import pytest

from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

POST = b"POST /smuggle HTTP/1.1\r\nHost: a\r\n"
OLD_POST = b"POST /smuggle HTTP/1.0\r\nHost: a\r\n"
GET = b"GET /smuggle HTTP/1.1\r\nHost: a\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"

SHAPES = {
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths that differ": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two lengths that agree": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\nhellohello",
    "a length in other digits": POST + "Content-Length: \u0665\r\n\r\nhello".encode(),
    "an empty length": POST + b"Content-Length: \r\n\r\nhello",
    "a chunk size that is no number": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with an underscore": POST + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\nhello\r\n0\r\n\r\n",
    "a chunk size before a space": POST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    "an enormous chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n",
    "an empty chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    "a chunk size line of bare LF": POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "chunked that is not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked misspelt": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding before a space": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Content-Length before a space": POST + b"Content-Length : 5\r\n\r\nhello",
    "HTTP/1.0 with Transfer-Encoding": OLD_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a head of bare LF": b"GET /smuggle HTTP/1.1\nHost: a\n\n",
    "one header line of bare LF": b"GET /smuggle HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
    "a bare CR in a value": GET + b"X: 1\rY: 2\r\n\r\n",
    "a NUL in a value": GET + b"X: 1\x002\r\n\r\n",
    "a folded header": GET + b"X: 1\r\n 2\r\n\r\n",
    "a header folded before the first": b"GET /smuggle HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n",
    "a header without a name": GET + b": 1\r\n\r\n",
    "a header without a colon": GET + b"nonsense\r\n\r\n",
    "a header name with a space": GET + b"X Y: 1\r\n\r\n",
    "a header name above ASCII": GET + b"X\xe9: 1\r\n\r\n",
    "two hosts": GET + b"Host: b\r\n\r\n",
    "no host": b"GET /smuggle HTTP/1.1\r\n\r\n",
    "a host with a slash": b"GET /smuggle HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": b"GET /smuggle HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "a version that does not exist": b"GET /smuggle HTTP/1.2x\r\nHost: a\r\n\r\n",
    "a version of two digits": b"GET /smuggle HTTP/1.10\r\nHost: a\r\n\r\n",
    "no version": b"GET /smuggle\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /smuggle x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control character in the target": b"GET /smu\x01ggle HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method with a colon": b"GE:T /smuggle HTTP/1.1\r\nHost: a\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
async def test_an_ambiguous_request_is_refused(app: AppProcess, backend: ScriptedBackend, shape: bytes) -> None:
    """400, the connection ends, and neither it nor the request behind it is acted upon."""
    refused = (await app.counters())["requests_refused"]
    async with await RawClient.connect(app.proxy_address) as client:
        await client.send(shape + BEHIND)
        head = await client.head()
        assert head.status == 400
        assert head.values(b"content-type") == (b"text/plain",)
        rest = await client.until_cut()
        assert rest.endswith(b"\n")
        assert b"\r\n\r\n" not in rest, "a second answer came"
    assert (await app.counters())["requests_refused"] == refused + 1
    async with await RawClient.connect(app.proxy_address) as client:
        assert (await client.fetch("/after")).status == 200
    assert [request.target for request in backend.requests] == [b"/after"]
    assert not app.tracebacks()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
async def test_it_is_refused_when_it_comes_byte_by_byte(app: AppProcess, shape: bytes) -> None:
    """How it is cut into packets makes no difference."""
    async with await RawClient.connect(app.proxy_address) as client:
        for position in range(len(shape)):
            await client.send_as_far_as_taken(shape[position : position + 1])
        assert b" 400 " in (await client.until_cut())[:13]


async def test_a_transfer_coding_unknown_here_is_501(app: AppProcess, backend: ScriptedBackend) -> None:
    """RFC 9112 section 6.1: unambiguous, but nothing that could be passed on; the connection ends too."""
    async with await RawClient.connect(app.proxy_address) as client:
        await client.send(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + BEHIND)
        assert (await client.response()).status == 501
        assert await client.until_cut() == b""
    assert backend.requests == []


async def test_http_1_0_needs_no_host(app: AppProcess, backend: ScriptedBackend) -> None:
    """RFC 9112 section 3.2 asks for Host in 1.1 only; without one it counts as localhost (reference 1.2)."""
    async with await RawClient.connect(app.proxy_address) as client:
        await client.send(b"GET /old HTTP/1.0\r\n\r\n")
        assert (await client.response()).status == 200
    assert (await backend.request()).values(b"host") == (b"localhost",)
