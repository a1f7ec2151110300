"""Long polls: held without a byte, answered once (reference 3.6; rows H02 to H05, H07, H20, H23, H34, H35, H46)."""

from __future__ import annotations

import pytest

from tests.e2e.holding import one_more_held, open_poll
from tests.support.answers import chunk, grip_response, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd, encode_request
from tests.support.publisher import close_item, hint_item, publish, response_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        pytest.param([("Grip-Timeout", "6")], 6, id="H02 as asked"),
        pytest.param([("Grip-Timeout", "1")], 5, id="H03 the least is 5"),
        pytest.param([], 55, id="H03 the default is 55"),
    ],
)
async def test_the_backends_answer_comes_at_the_timeout(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, asked: list[tuple[str, str]], seconds: float
) -> None:
    """H02, H03: status, headers and body of the held answer, unchanged; the connection goes on."""
    script = grip_response("h02", body=b"timed out\n", headers=[*asked, ("X-Orig", "1")])
    await open_poll(app, client, backend, "/h02", script)
    await app.advance(seconds - 0.1)
    assert client.pending() == b""
    await app.advance(0.2)
    response = await client.response()
    assert (response.status, response.body) == (200, b"timed out\n")
    assert response.head.headers == (
        (b"Content-Type", b"text/plain"), (b"X-Orig", b"1"), (b"Content-Length", b"10")
    )  # fmt: skip
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_publication_answers_the_poll(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """H04: code, reason and body of the publication, its length; then nothing more."""
    await open_poll(app, client, backend, "/h04", grip_response("h04", body=b"timed out\n"))
    await publish(app, response_item("h04", "published!\n", code=202, reason="Mine"))
    response = await client.response()
    assert (response.status, response.reason, response.body) == (202, b"Mine", b"published!\n")
    assert response.values(b"content-length") == (b"11",)
    await publish(app, response_item("h04", "too late"))
    await app.advance(60)
    assert client.pending() == b""
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_published_headers_are_laid_over_the_held_ones(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H05: the same name is replaced whatever its letter case, others stay, Grip-* and framing go."""
    held = [("X-Same", "held"), ("X-Same", "held too"), ("X-Held", "1"), ("Content-Type", "text/old")]
    script = text(b"t", headers=_pairs([("Grip-Hold", "response"), ("Grip-Channel", "h05"), *held]))
    await open_poll(app, client, backend, "/h05", script)
    published = [
        ["x-same", "new"],
        ["X-New", "2"],
        ["Grip-Status", "500"],
        ["Content-Length", "99"],
        ["Connection", "x"],
    ]
    await publish(app, response_item("h05", "body", headers=published))
    response = await client.response()
    assert response.body == b"body"
    assert dict(response.head.headers) == {
        b"X-Held": b"1", b"Content-Type": b"text/old", b"x-same": b"new", b"X-New": b"2", b"Content-Length": b"4"
    }  # fmt: skip


async def test_a_published_expose_list_keeps_only_what_it_names(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H07, D2: where Pushpin removes the named headers, the list means what it says."""
    await open_poll(app, client, backend, "/h07", grip_response("h07", headers=[("X-Held", "1"), ("X-Hide", "1")]))
    headers = {"Grip-Expose-Headers": "X-Held, X-New", "X-New": "2"}
    await publish(app, response_item("h07", "body", headers=headers))
    names = (await client.response()).head.names()
    assert sorted(names) == [b"content-length", b"x-held", b"x-new"]


async def test_each_poll_of_a_channel_is_answered_once(app: AppProcess, backend: ScriptedBackend) -> None:
    """H04: all of those held, in one publication."""
    async with crowd(app.proxy_address, 20) as clients:
        for client in clients:
            await open_poll(app, client, backend, "/all", grip_response("all", "all-2"))
        await publish(app, response_item("all-2", "yours"), response_item("all", "not yours"))
        for client in clients:
            assert (await client.response()).body == b"yours"
            assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_hint_asks_the_backend_again_with_the_same_request(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, method: str
) -> None:
    """H20, H23: same method, target, headers and body; the new answer is the client's."""
    body = b"payload" * 100 if method == "POST" else None
    backend.answers("/h23", grip_response("h23", body=b"timed out\n"), text(b"fresh\n"))
    headers = [("X-Mine", "1"), ("Cookie", "a=b")]
    async with one_more_held(app):
        await client.send_request("/h23?a=%2F", method=method, headers=headers, body=body)
    await publish(app, hint_item("h23"))
    assert (await client.response(method=method)).body == b"fresh\n"
    first, again = (await backend.request(), await backend.request())
    assert (first.method, first.target, first.body) == (again.method, again.target, again.body)
    assert [pair for pair in first.headers if pair[0] != b"Grip-Sig"] == [
        pair for pair in again.headers if pair[0] != b"Grip-Sig"
    ]
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_hinted_poll_may_be_held_again(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """H23: the second hold is a new one, with its own channel and timeout."""
    scripts = (grip_response("first"), grip_response("second", body=b"second", headers=[("Grip-Timeout", "10")]))
    backend.answers("/again", *scripts)
    async with one_more_held(app):
        await client.send_request("/again")
    await app.advance(30)
    async with one_more_held(app):
        await publish(app, hint_item("first"))
    await publish(app, response_item("first", "not any more"))
    await app.advance(9.8)
    assert client.pending() == b""
    await app.advance(0.4)
    assert (await client.response()).body == b"second"


async def test_a_close_does_nothing_to_a_poll(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """Reference 3.6, 6.4: `close` is for streams and WebSockets."""
    await open_poll(app, client, backend, "/close", grip_response("poll-close"))
    await publish(app, close_item("poll-close"))
    assert client.pending() == b""
    await publish(app, response_item("poll-close", "answer"))
    assert (await client.response()).body == b"answer"


@pytest.mark.parametrize(("size", "status"), [(100_000, 200), (100_001, 502)])
async def test_a_held_answer_has_at_most_100_000_bytes(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, size: int, status: int
) -> None:
    """H34: beyond it 502, since a held answer is kept in memory."""
    script = grip_response("h34", body=b"x" * size)
    if status == 200:
        await open_poll(app, client, backend, "/h34", script)
        await app.advance(56)
    else:
        backend.answers("/h34", script)
        await client.send_request("/h34")
    response = await client.response()
    assert response.status == status
    assert response.body == (b"x" * size if status == 200 else b"Error while proxying to origin.\n")
    assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(100_000, 200), (100_001, 400)])
async def test_a_held_request_has_at_most_100_000_bytes(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, framing: str, size: int, status: int
) -> None:
    """H35: beyond it 400, since a held request is kept for a retry."""
    backend.answers("/h35", grip_response("h35"))
    body = b"x" * size
    request = encode_request("/h35", method="POST", body=body)
    if framing == "chunked":
        pair = ("Transfer-Encoding", "chunked")
        request = encode_request("/h35", method="POST", headers=[pair]) + chunk(body) + b"0\r\n\r\n"
    if status == 200:
        async with one_more_held(app):
            await client.send(request)
        await publish(app, response_item("h35", "held"))
    else:
        await client.send(request)
    response = await client.response()
    assert response.status == status
    assert response.body == (b"held" if status == 200 else b"Request too large to accept GRIP instruct.\n")
    assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize("code", [204, 304])
async def test_an_answer_without_a_body_has_none(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, code: int
) -> None:
    """H46: a published body is not sent under a status that has none."""
    await open_poll(app, client, backend, "/h46", grip_response("h46"))
    await publish(app, response_item("h46", "no place for this", code=code))
    response = await client.response()
    assert (response.status, response.body) == (code, b"")
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_held_head_request_gets_a_head(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """H46: the length of the body that a GET would get, and no body."""
    await open_poll(app, client, backend, "/h46-head", grip_response("h46-head"), method="HEAD")
    await publish(app, response_item("h46-head", "12345"))
    response = await client.response(method="HEAD")
    assert response.values(b"content-length") == (b"5",)
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_request_sent_early_is_answered_after_the_poll(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """Pipelined behind the held one: kept, in order, not lost."""
    backend.answers("/piped", grip_response("piped"))
    async with one_more_held(app):
        await client.send(encode_request("/piped") + encode_request("/behind"))
    assert backend.requests_for("/behind") == ()
    await client.send(encode_request("/later"))
    await publish(app, response_item("piped", "first"))
    assert [(await client.response()).body for _ in range(3)] == [b"first", b"hello\n", b"hello\n"]
    assert [request.target for request in backend.requests] == [b"/piped", b"/behind", b"/later"]


async def test_an_http_1_0_poll_is_answered_and_closed(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """R36."""
    backend.answers("/old", grip_response("old-poll"))
    async with one_more_held(app):
        await client.send(b"GET /old HTTP/1.0\r\nHost: a\r\n\r\n")
    await publish(app, response_item("old-poll", "body"))
    response = await client.response()
    assert (response.head.version, response.body) == (b"HTTP/1.0", b"body")
    assert await client.until_closed() == b""


@pytest.mark.parametrize("leaving", ["close", "reset"])
async def test_a_client_that_leaves_is_forgotten(app: AppProcess, backend: ScriptedBackend, leaving: str) -> None:
    """And its timeout answers nobody."""
    held = (await app.counters())["sessions_response"]
    async with await RawClient.connect(app.proxy_address) as client:
        await open_poll(app, client, backend, "/left", grip_response("left-poll"))
        {"close": client.close, "reset": client.reset}[leaving]()
    await app.until(lambda counters: counters["sessions_response"] == held)
    await publish(app, response_item("left-poll", "nobody"))
    await app.advance(60)
    assert not app.tracebacks()


def _pairs(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]
