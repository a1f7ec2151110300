"""A WebSocket over HTTP begins: what the backend is asked, what the client is told (reference 4.2, 4.3; W01, W10)."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.conversing import connected, told
from tests.support.answers import answer, head, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.events import OPEN, TYPE, echo, event, events, message
from tests.support.websocket import KEY, WsClient, handshake, websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID = (
    b'Request contained an Upgrade header with value "websocket" but the request was not a valid WebSocket request.\n'
)


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"* {backend.address},over_http",
        f"*,path_beg=/spare 127.0.0.1:{closed_port()},over_http {backend.address},over_http",
        f"*,path_beg=/down,debug 127.0.0.1:{closed_port()},over_http",
        f"*,path_beg=/nogrip,no_grip {backend.address},over_http",
        f"*,path_beg=/auto,prefix=p- {backend.address},over_http,sub=own",
        "test.example,path_beg=/t test",
        f"only.example,proto=http {backend.address},over_http",
    )


async def test_the_backend_is_sent_open_with_the_clients_headers(app: AppProcess, backend: ScriptedBackend) -> None:
    """W01."""
    backend.answers("/w01", echo)
    sent = [("Cookie", "a=b"), ("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Extensions", "permessage-deflate")]
    async with websocket(app.proxy_address, "/w01?q=1", headers=sent):
        request = await told(backend, "/w01")
    assert (request.method, request.target, request.body) == (b"POST", b"/w01?q=1", OPEN)
    assert request.values(b"accept") == (TYPE.encode(),)
    assert request.values(b"content-type") == (TYPE.encode(),)
    assert request.values(b"content-length") == (b"6",)
    assert request.values(b"sec-websocket-extensions") == (b"grip",)
    assert request.values(b"sec-websocket-key") == (KEY.encode(),)
    assert request.values(b"sec-websocket-version") == (b"13",)
    assert request.values(b"sec-websocket-protocol") == (b"chat",)
    assert request.values(b"cookie") == (b"a=b",)
    assert request.values(b"host") == (b"example.com",)
    assert len(request.values(b"connection-id")[0]) == 36
    assert b"grip-feature" in request.names()
    assert not {b"upgrade", b"connection", b"content-bytes-replayed"} & set(request.names())


async def test_a_client_cannot_say_what_only_a_proxy_may(app: AppProcess, backend: ScriptedBackend) -> None:
    """W07: `Meta_User` is `Meta-User` to a backend behind WSGI, `Meta.User` to PHP."""
    forged = ["Meta-User", "meta_user", "Meta.User", "Connection-Id", "CONNECTION_ID", "connection!id", "Grip-Sig"]
    forged += ["Content-Bytes-Replayed", "Content.Bytes_Replayed", "Grip.Sig", "X.Forwarded.For", "Content-Encoding"]
    backend.answers("/forged", echo)
    async with websocket(app.proxy_address, "/forged", headers=[(name, "forged") for name in forged]):
        request = await told(backend, "/forged")
    assert b"forged" not in {value for _, value in request.headers}


async def test_the_client_gets_the_answers_headers_less_those_of_the_protocol(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """W01, W07: and a subprotocol only when the backend takes one."""
    said = [
        ("X-Keep", "1"), ("Set-Cookie", "a=b"), ("Sec-WebSocket-Protocol", "chat"), ("Set-Meta-User", "u"),
        ("Keep-Alive-Interval", "0"), ("Content-Bytes-Accepted", "0"), ("Grip-Hold", "stream"),
    ]  # fmt: skip
    async with connected(app, backend, "/headers", events(OPEN, headers=said), events()) as client:
        names = client.answer.names()
        assert client.answer.values(b"x-keep") == (b"1",)
        assert client.answer.values(b"set-cookie") == (b"a=b",)
        assert client.answer.values(b"sec-websocket-protocol") == (b"chat",)
    kept = {b"x-keep", b"set-cookie", b"sec-websocket-protocol"}
    assert set(names) == kept | {b"upgrade", b"connection", b"sec-websocket-accept"}


async def test_what_the_backend_says_behind_open_follows_the_handshake(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    async with connected(app, backend, "/behind", events(OPEN, message("one"), message("two"))) as client:
        assert [await client.heard(), await client.heard()] == ["one", "two"]


async def test_frames_sent_with_the_handshake_are_not_lost(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/early", echo)
    async with await WsClient.connect(app.proxy_address) as client:
        await client.send_request("/early", headers=handshake())
        await client.say("early")
        assert (await client.head()).status == 101
        assert await client.heard() == "early"


@pytest.mark.parametrize(
    ("path", "script", "status", "body"),
    [
        ("/w10", text(b"no\n", status=403, reason=b"Nope", headers=[(b"X-Why", b"w")]), 403, b"no\n"),
        ("/w11", text(OPEN, headers=[(b"Content-Type", TYPE.encode() + b"; charset=utf-8")]), 200, OPEN),
        ("/w10/plain", text(b"hello\n"), 200, b"hello\n"),
        ("/w10/none", answer(head(204, b"No Content", [(b"Content-Type", TYPE.encode())])), 204, b""),
    ],
)
async def test_any_other_answer_refuses_the_client(
    app: AppProcess, backend: ScriptedBackend, path: str, script: object, status: int, body: bytes
) -> None:
    """W10, W11: the client gets it, and its connection serves the next request."""
    backend.answers(path, script)  # type: ignore[arg-type]
    async with await WsClient.connect(app.proxy_address) as client:
        refused = await client.ask(path)
        assert refused is not None
        assert (refused.head.status, refused.body) == (status, body)
        assert (await client.fetch("/after")).status == 200
    assert [request.body for request in backend.requests_for(path)] == [OPEN], "there is no end to tell of"


@pytest.mark.parametrize(
    "script",
    [
        events(),
        events(message("x")),
        events(b"OPEN"),
        events(b"OPEN zz\r\n"),
        events(OPEN, b"TEXT 5\r\nm:a"),
        events(OPEN, b"x" * 1_000_001),
        text(b"x" * 100_001, status=403),
    ],
    ids=["empty", "no open", "no crlf", "no size", "short", "too long", "a refusal too long"],
)
async def test_an_answer_that_makes_no_sense_is_502(app: AppProcess, backend: ScriptedBackend, script: object) -> None:
    backend.answers("/nonsense", script)  # type: ignore[arg-type]
    async with await WsClient.connect(app.proxy_address) as client:
        refused = await client.ask("/nonsense")
    assert refused is not None
    assert (refused.head.status, refused.body) == (502, b"Error while proxying to origin.\n")


async def test_a_backend_may_take_its_time_to_open_with_a_keep_alive_interval(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    backend.answers("/later", events(headers=[("Keep-Alive-Interval", "30")]), events(OPEN, message("now")))
    async with await WsClient.connect(app.proxy_address) as client:
        asking = asyncio.create_task(client.ask("/later"))
        assert (await told(backend, "/later")).body == OPEN
        await app.advance(29)
        assert not backend.requests_for("/later")[1:]
        await app.advance(2)
        assert (await told(backend, "/later")).body == OPEN
        assert await asking is None
        assert await client.heard() == "now"


async def test_the_next_target_is_tried_when_one_cannot_be_reached(app: AppProcess, backend: ScriptedBackend) -> None:
    async with connected(app, backend, "/spare", echo) as client:
        await client.say("x")
        assert await client.heard() == "x"


async def test_without_a_target_that_can_be_reached_the_client_is_told(app: AppProcess) -> None:
    async with await WsClient.connect(app.proxy_address) as client:
        refused = await client.ask("/down")
    assert refused is not None
    assert refused.head.status == 502
    assert refused.body.startswith(b"Unable to connect to any targets. Tried: 127.0.0.1:")


async def test_a_route_that_takes_no_websockets_is_none_for_them(app: AppProcess) -> None:
    """R05."""
    async with await WsClient.connect(app.proxy_address) as client:
        refused = await client.ask("/", host="only.example")
    assert refused is not None
    assert (refused.head.status, refused.body) == (502, b"Route not found\n")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Version": None}, 400),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Transfer-Encoding": "chunked"}, 400),
    ],
    ids=json.dumps,
)
async def test_a_bad_handshake_is_refused_with_a_text(
    app: AppProcess, changed: dict[str, str | None], status: int
) -> None:
    """W33."""
    headers = {name: value for name, value in {**dict(handshake()), **changed}.items() if value is not None}
    async with await WsClient.connect(app.proxy_address) as client:
        await client.send_request("/w33", headers=headers.items())
        refused = await client.response()
    assert (refused.status, refused.body) == (status, INVALID)
    assert refused.head.values(b"sec-websocket-version") == ((b"13",) if status == 426 else ())


async def test_a_client_may_not_post_events_itself(app: AppProcess, backend: ScriptedBackend) -> None:
    """W36."""
    async with await WsClient.connect(app.proxy_address) as client:
        refused = await client.fetch("/w36", method="POST", headers=[("Content-Type", TYPE)], body=OPEN)
    assert (refused.status, refused.body) == (403, b"Client not allowed to send WebSocket events directly.\n")
    assert not backend.requests_for("/w36")


async def test_a_route_without_grip_leaves_the_backends_messages_alone(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    said = events(OPEN, event("TEXT", "m:x"), event("TEXT", "c:{}"))
    backend.answers("/nogrip", said)
    async with websocket(app.proxy_address, "/nogrip") as client:
        request = await told(backend, "/nogrip")
        assert [await client.heard(), await client.heard()] == ["m:x", "c:{}"]
    assert not {b"grip-sig", b"grip-feature", b"sec-websocket-extensions"} & set(request.names())


async def test_the_test_target_echoes(app: AppProcess) -> None:
    """R18."""
    async with websocket(app.proxy_address, "/t/ws", host="test.example") as client:
        await client.say("hello")
        assert await client.heard() == "hello"
        await client.put_close(1001, "bye")
        assert (await client.closed()).code == 1001
        assert await client.until_closed() == b""
    async with await WsClient.connect(app.proxy_address) as client:
        refused = await client.ask("/t/other", host="test.example")
    assert refused is not None
    assert (refused.head.status, refused.body) == (404, b"no such test resource\n")


async def test_a_finished_websocket_is_one_line_in_the_log(app: AppProcess, backend: ScriptedBackend) -> None:
    """O01."""
    async with connected(app, backend, "/log", echo):
        line = await app.log_line(r"GET ws://example\.com/log ")
    assert line.endswith(f"-> {backend.address}[http] code=101 0")
