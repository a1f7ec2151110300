"""Requests through a whole app in this process: whatever goes wrong is one answer, one counter and no traceback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.app import App
from tests.proxy.in_process import advance, client_of, gated, running
from tests.proxy.leaving import LEAVINGS, leavings
from tests.support.answers import Answer, Ending, answer, chunk, close_without_answer, grip_stream, never, text
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient, encode_request
from tests.support.turns import settle, until

pytestmark = pytest.mark.usefixtures("nothing_logged_as_an_error")

CHUNKED = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await client_of(app) as client:
        yield client


async def go_on_waiting(app: App) -> None:
    """Turn the clock until a chunked body that does not come is sent on as it comes."""
    await until(lambda: app.counters.requests == 1)
    await advance(app, 5)


# -- loops ------------------------------------------------------------------------------------------------------


async def test_a_link_that_comes_back_to_us_is_refused(
    backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(f"* {backend.address}") as app, await client_of(app) as client:
        host, port = app.proxy_addresses[0]
        backend.default = grip_stream("room", headers=[("Grip-Link", f"<http://{host}:{port}/x>; rel=next; timeout=1")])
        await client.send(encode_request("/x"))
        await client.head()
        for _ in range(3):
            await advance(app, 1)
        await until(lambda: app.counters.requests_looping)
        await until(lambda: app.counters.link_retries)
        assert (len(backend.requests), len(app.edge.sessions)) == (1, 1)
        assert any("a link leads back here by way of another host" in text for text in caplog.messages)
        assert any("status 508; to be tried again" in text for text in caplog.messages)


async def test_the_mark_of_another_means_nothing(backend: ScriptedBackend) -> None:
    async with running(f"* {backend.address}") as app, await client_of(app) as client:
        found = await client.fetch("/", headers=[("CDN-Loop", "holdfast-0123456789abcdef")])
        assert (found.status, app.counters.requests_looping) == (200, 0)


# -- the client leaves --------------------------------------------------------------------------------------------


@leavings
async def test_a_client_that_leaves_while_the_backend_thinks(
    app: App, client: RawClient, backend: ScriptedBackend, leaving: str
) -> None:
    backend.default = never()
    await client.send(encode_request("/"))
    await backend.request()
    LEAVINGS[leaving](client)
    await backend.disconnected(1)
    await until(lambda: app.counters.requests_abandoned == 1)


@leavings
async def test_a_client_that_leaves_while_the_answer_is_relayed(
    app: App, client: RawClient, backend: ScriptedBackend, leaving: str
) -> None:
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", asyncio.Event())
    await client.send(encode_request("/"))
    await client.read_until(b"hello")
    LEAVINGS[leaving](client)
    await backend.disconnected(1)
    await until(lambda: app.counters.requests_abandoned == 1)


@leavings
@pytest.mark.parametrize("sent", [CHUNKED, encode_request("/up", method="POST", body=b"x" * 300_000)[:-1]])
async def test_a_client_that_leaves_while_it_uploads(
    app: App, client: RawClient, backend: ScriptedBackend, leaving: str, sent: bytes
) -> None:
    await client.send(sent)
    if sent is CHUNKED:
        await go_on_waiting(app)
    await backend.request_head()
    LEAVINGS[leaving](client)
    await backend.disconnected(1)
    await until(lambda: app.counters.requests_abandoned == 1)
    assert backend.requests == []


@leavings
async def test_a_client_that_leaves_while_it_takes_nothing(app: App, backend: ScriptedBackend, leaving: str) -> None:
    backend.default = text(b"x" * 30_000_000)
    async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=4096) as client:
        await client.send(encode_request("/"))
        await backend.request()
        await client.head()
        for _ in range(20):
            await settle()
        assert max(each.get_write_buffer_size() for each in app.clients.open_transports) < 1 << 20
        LEAVINGS["close" if leaving == "half-close" else leaving](client)
        await backend.disconnected(1)
    await until(lambda: app.counters.requests_abandoned == 1)


# -- bad requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [True, False], ids=["before anything was sent on", "while the backend waits"])
async def test_a_body_that_turns_out_bad_is_400_and_the_backend_is_let_go(
    app: App, client: RawClient, backend: ScriptedBackend, waits: bool
) -> None:
    await client.send(CHUNKED)
    if not waits:
        await go_on_waiting(app)
        await backend.request_head()
    else:
        await until(lambda: app.counters.requests == 1)
    await client.send(b"nonsense\r\n" + encode_request("/next"))
    refused = await client.response()
    assert (refused.status, refused.values(b"connection")) == (400, (b"close",))
    assert await client.until_closed() == b""
    assert app.counters.requests_refused == 1
    if not waits:
        await backend.disconnected(1)
    await advance(app, 2)
    await until(lambda: not app.clients.open_transports)
    assert backend.requests == []


@given(sent=st.binary(max_size=60) | st.text(alphabet="GET /*:?#%.\r\nhost[]@1HTP", max_size=60).map(str.encode))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_a_client_sends_has_an_answer_or_an_end(app: App, sent: bytes) -> None:
    async with await client_of(app) as client:
        await client.send_as_far_as_taken(sent + b"\r\n\r\n")
        client.half_close()
        received = await client.until_cut()
        assert not received or received.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: a", 200),
        (b"OPTIONS http://a HTTP/1.1\r\nHost: b", 200),
        (b"GET http://[::1]:80/x?y#z HTTP/1.1\r\nHost: a", 200),
        (b"GET / HTTP/1.0", 200),
        (b"GET / HTTP/1.1\r\nHost:", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \xff\xfe, ,\r\nReferer: \xff\r\nUser-Agent: \xf0\x9f", 200),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: a", 200),
        (b"M-SEARCH /%zz%00 HTTP/1.1\r\nHost: a\r\nGrip-Sig: a.b.c", 200),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host, close, x\r\nX: y", 200),
    ],
)
async def test_odd_requests_are_answered(client: RawClient, head: bytes, status: int) -> None:
    await client.send(head + b"\r\n\r\n")
    assert (await client.response()).status == status


# -- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status"),
    [(close_without_answer(), 502), (answer(b"garbage\r\n\r\n"), 502), (answer(Ending.RESET), 502)],
)
async def test_no_usable_answer_is_502_and_the_connection_goes_on(
    app: App, client: RawClient, backend: ScriptedBackend, script: Answer, status: int
) -> None:
    backend.answers("/bad", script)
    assert (await client.fetch("/bad")).status == status
    assert (await client.fetch("/good")).status == 200
    assert app.counters.backend_failures == 1


async def test_an_answer_cut_short_cuts_the_client(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello")
    backend.default = answer(start, Ending.CLOSE)
    await client.send(encode_request("/"))
    await client.head()
    assert await client.chunk() == b"hello"
    assert await client.until_cut() == b""
    assert app.counters.backend_truncated == 1


async def test_a_body_that_turns_out_bad_behind_an_early_answer_cuts_the_client(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.default = Answer(steps=(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",), early=True)
    await client.send(CHUNKED)
    await go_on_waiting(app)
    await client.read_until(b"hello")
    await client.send(b"nonsense\r\n")
    await client.until_cut()
    await backend.disconnected(1)
    assert app.counters.requests_refused == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_what_has_no_body_has_no_framing_of_one(client: RawClient, backend: ScriptedBackend, status: int) -> None:
    """RFC 9110 section 8.6: "A server MUST NOT send a Content-Length header field in any response with ... 204"."""
    backend.answers("/none", answer(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status))
    await client.send_request("/none")
    head = await client.head()
    assert not head.is_chunked()
    assert head.length() is None or status != 204
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_header_of_the_backend_cannot_begin_a_line_of_its_own(
    client: RawClient, backend: ScriptedBackend
) -> None:
    """RFC 9110 section 5.5: CR, LF and NUL within a value make a message invalid, or are replaced before sending on."""
    backend.answers("/x", answer(b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nY: c\x00d\r\nContent-Length: 0\r\n\r\n"))
    await client.send_request("/x")
    raw = await client.read_until(b"\r\n\r\n")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\x00" not in raw


async def test_an_early_413_leaves_the_connection_in_step(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/up", Answer(steps=text(b"too large", status=413).steps, early=True, body_gate=asyncio.Event()))
    post = encode_request("/up", method="POST", body=b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n" * 20_000)
    await client.send(post[:200_000])
    assert (await client.response()).status == 413
    await client.send(post[200_000:])
    assert (await client.fetch("/next")).body == b"hello\n"
    assert backend.requests_for("/evil") == ()


async def test_an_early_hold_waits_for_the_body(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    script = grip_stream("room", body=b"open")
    backend.answers("/up", Answer(steps=script.steps, early=True))
    post = encode_request("/up", method="POST", body=b"some words")
    await client.send(post[:-3])
    await backend.request_head()
    await settle()
    assert not app.edge.sessions
    await client.send(post[-3:])
    await client.head()
    assert await client.chunk() == b"open"
    await backend.disconnected(1)  # it has not taken the body, so is out of step


async def test_cookies_of_one_client_are_never_anothers(backend: ScriptedBackend) -> None:
    backend.answers("/login", text(b"in", headers=[(b"Set-Cookie", b"id=1; Path=/"), (b"set-cookie", b"b=2")]))
    async with running(f"* {backend.named_address}") as app:
        for host in ("one.example", "two.example"):
            async with await client_of(app) as client:
                login = await client.fetch("/login", host=host)
                assert login.values(b"set-cookie") == (b"id=1; Path=/", b"b=2")
                await client.fetch("/", host=host)
    assert all(not request.values(b"cookie") for request in backend.requests)


# -- kinds of targets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targets", "status", "body"),
    [
        ("test", 200, b"Hello from the Holdfast test handler!\n"),
        ("DEAD test", 200, b"Hello from the Holdfast test handler!\n"),
        ("BACKEND test", 200, b"hello\n"),
        ("DEAD DEAD", 502, b"Error while proxying to origin.\n"),
    ],
)
async def test_targets_are_tried_in_their_order(
    backend: ScriptedBackend, targets: str, status: int, body: bytes
) -> None:
    line = targets.replace("DEAD", f"127.0.0.1:{closed_port()}").replace("BACKEND", backend.address)
    async with running(f"* {line}") as app, await client_of(app) as client:
        found = await client.fetch("/")
        assert (found.status, found.body) == (status, body)


async def test_without_a_route_it_is_502(backend: ScriptedBackend) -> None:
    async with running(f"known.example {backend.address}") as app, await client_of(app) as client:
        assert (await client.fetch("/", host="other.example")).body == b"Route not found\n"
        assert (await client.fetch("/", host="KNOWN.example:80")).status == 200
        assert app.counters.requests_unrouted == 1


# -- the process stops --------------------------------------------------------------------------------------------


async def test_a_request_under_way_is_answered_and_its_connection_closed(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.default = gated(gate, text(b"done"))
    await client.send(encode_request("/") + encode_request("/next"))
    await backend.request()
    app.clients.drain(1)
    gate.set()
    found = await client.response()
    assert (found.body, found.values(b"connection")) == (b"done", (b"close",))
    assert await client.until_cut() == b""
