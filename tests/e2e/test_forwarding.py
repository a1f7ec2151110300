"""A request that is not held goes through as if nobody were there (DESIGN.md, What is promised; rows R36, R37)."""

from __future__ import annotations

import gzip

import pytest

from tests.support.answers import Answer, Ending, answer, chunk, chunked, head, text, to_eof
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request

pytestmark = pytest.mark.asyncio(loop_scope="module")

TARGETS = (
    "/a%2Fb%20c",
    "/%2e%2e/%2E/x",
    "//x//y",
    "/./a/../b",
    "/only?",
    "/q?a=b&&c",
    "/a;b=1?c=;d",
    "/p+q?r+s",
    "/100%",
    "/%zz?%",
    "/%C3%A9?%e2%82%ac",
    "/[x]?y=[z]&w={v}|",
    '/"<>^`\\',
    "/?http://elsewhere/../%2F",
    "/~user/*'()!$@:",
)


@pytest.mark.parametrize("target", TARGETS)
async def test_path_and_query_go_through_byte_for_byte(
    client: RawClient, backend: ScriptedBackend, target: str
) -> None:
    """Nothing is decoded, encoded, normalised or joined."""
    assert (await client.fetch(target)).status == 200
    assert (await backend.request()).target == target.encode()


@pytest.mark.parametrize("target", ["http://example.com/abs?x=1", "http://example.com:80/abs?x=1"])
async def test_an_absolute_target_is_its_host_and_path(
    client: RawClient, backend: ScriptedBackend, target: str
) -> None:
    """RFC 9112 section 3.2.2: the host of the URI counts, and the backend gets the origin form."""
    assert (await client.fetch(target, host="other.test")).status == 200
    request = await backend.request()
    assert request.target == b"/abs?x=1"
    assert request.values(b"host") == (target.split("/")[2].encode(),)


async def test_an_asterisk_target_goes_through(client: RawClient, backend: ScriptedBackend) -> None:
    """RFC 9112 section 3.2.4."""
    assert (await client.fetch("*", method="OPTIONS")).status == 200
    request = await backend.request()
    assert (request.method, request.target) == (b"OPTIONS", b"*")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "MYOWN"])
async def test_any_method_goes_through(client: RawClient, backend: ScriptedBackend, method: str) -> None:
    """Known to us or not; a HEAD is answered without a body and the connection stays in step."""
    response = await client.fetch("/method", method=method)
    assert (response.status, response.body) == (200, b"" if method == "HEAD" else b"hello\n")
    assert response.values(b"content-length") == (b"6",)
    assert (await backend.request()).method == method.encode()
    assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize("body", [b"", b"x", b"\r\n0\r\n\r\n" * 7, bytes(300_000)], ids=len)
async def test_a_request_body_arrives_whole(client: RawClient, backend: ScriptedBackend, body: bytes) -> None:
    """By length, and in chunks."""
    await client.fetch("/length", method="POST", body=body)
    request = await backend.request()
    assert request.body == body
    assert request.values(b"content-length") == (b"%d" % len(body),)
    chunks = b"".join(chunk(body[start : start + 7777]) for start in range(0, len(body), 7777)) + b"0\r\n\r\n"
    await client.send(encode_request("/chunks", method="POST", headers=[("Transfer-Encoding", "chunked")]) + chunks)
    assert (await client.response()).status == 200
    assert (await backend.request()).body == body


async def test_pipelined_requests_are_answered_in_order(client: RawClient, backend: ScriptedBackend) -> None:
    """RFC 9112 section 9.3.2."""
    for number in range(8):
        backend.answers(f"/pipe/{number}", text(f"{number}\n"))
    await client.send(b"".join(encode_request(f"/pipe/{number}") for number in range(8)))
    assert [(await client.response()).body for _ in range(8)] == [b"%d\n" % number for number in range(8)]


ANSWERS: dict[str, tuple[Answer, bytes]] = {
    "by length": (text(b"by length\n"), b"by length\n"),
    "in chunks": (chunked(b"in ", b"chunks\n"), b"in chunks\n"),
    "to the end of the connection": (to_eof(b"to the ", b"end\n"), b"to the end\n"),
    "of HTTP/1.0": (answer(b"HTTP/1.0 200 OK\r\nX: 1\r\n\r\nold\n", Ending.CLOSE), b"old\n"),
    "empty": (text(b""), b""),
    "without a reason": (answer(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nx\n"), b"x\n"),
    "after interim answers": (
        answer(
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", *text(b"late\n").steps
        ),
        b"late\n",
    ),
    "with chunk extensions and trailers": (
        answer(head(200, b"OK", [(b"Transfer-Encoding", b"chunked")]) + b"3;x=y\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"),
        b"abc",
    ),
}


@pytest.mark.parametrize(("script", "body"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_arrives_whole(
    client: RawClient, backend: ScriptedBackend, script: Answer, body: bytes
) -> None:
    """However the backend delimits it, and the client's connection goes on."""
    backend.answers("/answer", script)
    assert (await client.fetch("/answer")).body == body
    assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize(
    ("status", "reason"), [(201, b"Made"), (302, b"Found"), (404, b"No \xe9"), (299, b""), (599, b"Odd")]
)
async def test_status_and_reason_are_the_backends(
    client: RawClient, backend: ScriptedBackend, status: int, reason: bytes
) -> None:
    """Redirects are not followed."""
    backend.answers("/status", text(b"s\n", status=status, reason=reason, headers=[(b"Location", b"/next")]))
    response = await client.fetch("/status")
    assert (response.status, response.reason, response.body) == (status, reason, b"s\n")
    assert response.values(b"location") == (b"/next",)
    assert len(backend.requests) == 1


async def test_response_headers_go_through_as_they_came(client: RawClient, backend: ScriptedBackend) -> None:
    """Order, letter case, repetition, bytes above ASCII; the hop-by-hop ones of reference 3.3 do not."""
    sent = (
        (b"X-b", b"1"),
        (b"Set-Cookie", b"a"),
        (b"x-B", b"\xe9"),
        (b"Set-Cookie", b"b"),
        (b"Date", b"never"),
        (b"Server", b"s"),
    )
    hops = ((b"Connection", b"X-Hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"timeout=5"))
    backend.answers("/headers", text(b"h\n", headers=(*sent, *hops)))
    response = await client.fetch("/headers")
    assert response.head.headers == (*sent, (b"Content-Length", b"2"))


async def test_a_compressed_body_is_left_alone(client: RawClient, backend: ScriptedBackend) -> None:
    """Neither decoded nor stripped of its Content-Encoding (where Pushpin corrupts it, D19)."""
    packed = gzip.compress(b"hello" * 100)
    backend.answers("/gzip", text(packed, headers=[(b"Content-Encoding", b"gzip")]))
    response = await client.fetch("/gzip")
    assert response.body == packed
    assert response.values(b"content-encoding") == (b"gzip",)


async def test_a_compressed_upload_is_left_alone(client: RawClient, backend: ScriptedBackend) -> None:
    """Where Pushpin drops the Content-Encoding and so garbles the request (reference 3.1)."""
    packed = gzip.compress(b"hello" * 100)
    await client.fetch("/gzip-up", method="POST", headers=[("Content-Encoding", "gzip")], body=packed)
    request = await backend.request()
    assert request.body == packed
    assert request.values(b"content-encoding") == (b"gzip",)


async def test_a_body_behind_the_answer_to_a_head_is_dropped(client: RawClient, backend: ScriptedBackend) -> None:
    """Careless backends send it; it is neither the client's nor the beginning of the next answer."""
    backend.answers("/head", text(b"careless\n"))
    for _ in range(2):
        response = await client.fetch("/head", method="HEAD")
        assert (response.status, response.values(b"content-length")) == (200, (b"9",))
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_one_clients_cookie_never_reaches_another_request(backend: ScriptedBackend) -> None:
    """A backend addressed by name sets a cookie; the second client must not send it, nor the first by itself."""
    backend.answers("/cookie", text(b"c\n", headers=[(b"Set-Cookie", b"user=first; Path=/"), (b"X", b"1")]))
    async with AppProcess(f"* {backend.named_address}") as app, await RawClient.connect(app.proxy_address) as first:
        response = await first.fetch("/cookie", host="localhost")
        assert response.values(b"set-cookie") == (b"user=first; Path=/",)
        async with await RawClient.connect(app.proxy_address) as second:
            await second.fetch("/cookie", host="localhost")
        await first.fetch("/cookie", host="localhost")
    assert [request.values(b"cookie") for request in backend.requests] == [(), (), ()]


async def test_an_http_1_0_client_gets_http_1_0_and_the_end(app: AppProcess, backend: ScriptedBackend) -> None:
    """R36: no chunks, a `HTTP/1.0` status line and the end of the connection."""
    backend.answers("/old", chunked(b"in ", b"chunks\n"))
    async with await RawClient.connect(app.proxy_address) as client:
        await client.send(b"GET /old HTTP/1.0\r\nHost: example.com\r\n\r\n")
        response = await client.response()
        assert response.head.version == b"HTTP/1.0"
        assert not response.head.is_chunked()
        assert response.body == b"in chunks\n"
        assert await client.until_closed() == b""


async def test_an_http_1_0_client_may_keep_its_connection(app: AppProcess) -> None:
    """R36: with `Connection: keep-alive` and a body of known length."""
    async with await RawClient.connect(app.proxy_address) as client:
        for _ in range(2):
            await client.send(b"GET /old-kept HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            response = await client.response()
            assert (response.head.version, response.body) == (b"HTTP/1.0", b"hello\n")
            assert response.values(b"connection") == (b"keep-alive",)


async def test_connection_close_is_obeyed(client: RawClient) -> None:
    """RFC 9112 section 9.6."""
    response = await client.fetch("/close", headers=[("Connection", "close")])
    assert response.values(b"connection") == (b"close",)
    assert await client.until_closed() == b""


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(encode_request("/" + "x" * 40_000), id="a target too long"),
        pytest.param(encode_request("/", headers=[("X-Long", "x" * 40_000)]), id="a header too long"),
        pytest.param(encode_request("/", headers=[("X-Many", "x")] * 200), id="too many headers"),
        pytest.param(b"x" * 100_000, id="a request line that never ends"),
    ],
)
async def test_a_head_beyond_the_limits_is_refused(app: AppProcess, backend: ScriptedBackend, shape: bytes) -> None:
    """R37: a status of the 400s with a text, the end of the connection, one log line."""
    async with await RawClient.connect(app.proxy_address) as client:
        await client.send_as_far_as_taken(shape)
        answer = await client.until_cut()
    assert answer[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 414 ", b"HTTP/1.1 431 ")
    assert answer.endswith(b"\n")
    assert not app.tracebacks()
    async with await RawClient.connect(app.proxy_address) as client:
        assert (await client.fetch("/after")).status == 200
    assert [request.target for request in backend.requests] == [b"/after"]
