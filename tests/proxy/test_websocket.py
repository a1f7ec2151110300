"""A WebSocket is opened: at which target, what the client is told, and what is left of one that was not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from proxy.app import App
from tests.proxy.in_process import advance, running
from tests.proxy.leaving import LEAVINGS, leavings
from tests.proxy.sockets import bodies, held_by, nothing_left, over_http, session_of, through
from tests.support.answers import Answer, text
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.events import OPEN, echo, events, message
from tests.support.publisher import publish
from tests.support.turns import settle, until
from tests.support.websocket import WsClient, handshake
from tests.support.ws_backend import WsBackend, WsPeer, switch

pytestmark = pytest.mark.usefixtures("nothing_logged_as_an_error")


@pytest.fixture
async def sockets() -> AsyncGenerator[WsBackend]:
    async with WsBackend() as sockets:
        yield sockets


@pytest.fixture
async def app(sockets: WsBackend) -> AsyncGenerator[App]:
    async with running(f"* {sockets.address}") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[WsClient]:
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        yield client


async def ask(client: WsClient, sockets: WsBackend) -> WsPeer:
    """Send a handshake, and return the end at which the backend has read it."""
    await client.send_request("/ws", headers=handshake())
    peer = await sockets.accept()
    await peer.asked()
    return peer


# -- the backend does not take it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answered", "body"),
    [
        (b"HTTP/1.1 403 Nope\r\nX-Why: w\r\nContent-Length: 3\r\n\r\nno\n", b"no\n"),
        (b"HTTP/1.1 403 Nope\r\nX-Why: w\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno\n\r\n0\r\n\r\n", b"no\n"),
        (b"HTTP/1.1 403 Nope\r\nX-Why: w\r\nGrip-Hold: stream\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000,
         b"x" * 300_000),
    ],
    ids=["length", "chunked", "long"],
)  # fmt: skip
async def test_a_refusal_is_relayed_and_the_connection_goes_on(
    app: App, client: WsClient, sockets: WsBackend, answered: bytes, body: bytes
) -> None:
    peer = await ask(client, sockets)
    sending = asyncio.create_task(peer.send(answered))
    refused = await client.response()
    await sending
    assert (refused.status, refused.reason, refused.body) == (403, b"Nope", body)
    assert refused.values(b"x-why") == (b"w",)
    assert b"grip-hold" not in refused.head.names()
    await client.send_request("/next")
    await peer.read_until(b"\r\n\r\n")
    await peer.send(b"HTTP/1.1 204 Fine\r\n\r\n")
    assert (await client.response()).status == 204
    client.close()
    await nothing_left(app)


async def test_a_200_is_a_refusal_too(client: WsClient, sockets: WsBackend) -> None:
    peer = await ask(client, sockets)
    await peer.send(b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi")
    refused = await client.response()
    assert (refused.status, refused.body) == (200, b"hi")
    assert b"upgrade" not in refused.head.names()


async def test_a_refusal_that_is_cut_is_cut(app: App, client: WsClient, sockets: WsBackend) -> None:
    peer = await ask(client, sockets)
    await peer.send(b"HTTP/1.1 403 Nope\r\nContent-Length: 9\r\n\r\nhalf")
    await client.read_until(b"half")
    peer.close()
    assert await client.until_cut() == b""
    assert app.counters.backend_truncated == 1
    await nothing_left(app)


WRONG: dict[str, Callable[[str], bytes]] = {
    "accept": lambda key: switch(accept_key(key + "x")),
    "no accept": lambda key: b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "deflate": lambda key: switch(accept_key(key), [("Sec-WebSocket-Extensions", "permessage-deflate")]),
    "deflate too": lambda key: switch(accept_key(key), [("Sec-WebSocket-Extensions", "grip, permessage-deflate")]),
    "no upgrade": lambda key: switch(accept_key(key)).replace(b"Upgrade: websocket\r\n", b""),
    "no connection": lambda key: switch(accept_key(key)).replace(b"Connection: Upgrade\r\n", b""),
    "h2c": lambda key: switch(accept_key(key)).replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "a length": lambda key: switch(accept_key(key), [("Content-Length", "5")]) + b"hello",
    "chunks": lambda key: switch(accept_key(key), [("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\n0\r\n\r\n",
    "garbage": lambda key: b"\x81\x05hello\r\n\r\n",
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_101_that_is_no_acceptance_is_502_and_the_connection_to_the_backend_is_closed(
    app: App, client: WsClient, sockets: WsBackend, wrong: str
) -> None:
    peer = await ask(client, sockets)
    await peer.send(WRONG[wrong](peer.request.values(b"sec-websocket-key")[0].decode()))
    refused = await client.response()
    assert (refused.status, refused.body) == (502, b"Error while proxying to origin.\n")
    assert await peer.until_cut() == b""
    client.close()
    await nothing_left(app)
    assert (app.counters.backend_failures, app.counters.sessions_opened) == (1, 0)


async def test_interim_answers_are_passed_over(client: WsClient, sockets: WsBackend) -> None:
    peer = await ask(client, sockets)
    await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
    await settle()
    await peer.send(switch(accept_key(peer.request.values(b"sec-websocket-key")[0].decode())))
    assert (await client.head()).status == 101


async def test_a_backend_that_goes_behind_its_101_is_502(app: App, client: WsClient, sockets: WsBackend) -> None:
    peer = await ask(client, sockets)
    await peer.send(switch(accept_key(peer.request.values(b"sec-websocket-key")[0].decode())))
    peer.reset()
    head = await client.head()
    if head.status == 101:  # it was quicker than the end of the connection
        assert (await client.closed()).code == 1011
    else:
        assert head.status == 502
    client.close()
    await nothing_left(app)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 101 Sw"], ids=["nothing", "half a head"])
async def test_a_handshake_that_is_not_answered_is_504_in_time(sockets: WsBackend, said: bytes) -> None:
    async with running(f"* {sockets.address},timeout=5") as app:
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            peer = await ask(client, sockets)
            await peer.send(said)
            await settle()
            await advance(app, 5)
            assert (await client.response()).status == 504
            await peer.until_cut()
        await nothing_left(app)


async def test_a_refused_handshake_reaches_no_backend(app: App, client: WsClient) -> None:
    await client.send_request("/ws", headers=[*handshake(), ("Sec-WebSocket-Version", "13")])
    assert (await client.response()).status == 400
    assert (app.counters.requests_refused, app.counters.backend_failures) == (1, 0)


# -- the client goes meanwhile ------------------------------------------------------------------------------------


@leavings
async def test_a_client_that_goes_before_the_101_closes_the_connection_to_the_backend(
    app: App, client: WsClient, sockets: WsBackend, leaving: str
) -> None:
    peer = await ask(client, sockets)
    LEAVINGS[leaving](client)
    assert await peer.until_cut() == b""
    await nothing_left(app)
    assert app.counters.requests_abandoned == 1


async def test_a_client_that_goes_as_the_101_comes_leaves_nothing(
    app: App, client: WsClient, sockets: WsBackend
) -> None:
    peer = await ask(client, sockets)
    client.reset()
    await peer.send_as_far_as_taken(switch(accept_key(peer.request.values(b"sec-websocket-key")[0].decode())))
    await peer.until_cut()
    await nothing_left(app)


@leavings
async def test_a_client_that_goes_while_it_is_refused_closes_the_connection_to_the_backend(
    app: App, client: WsClient, sockets: WsBackend, leaving: str
) -> None:
    peer = await ask(client, sockets)
    await peer.send(b"HTTP/1.1 403 Nope\r\nContent-Length: 9\r\n\r\nhalf")
    await client.read_until(b"half")
    LEAVINGS[leaving](client)
    await peer.until_cut()
    await nothing_left(app)


# -- targets ------------------------------------------------------------------------------------------------------


async def test_behind_one_over_http_that_is_down_comes_one_that_is_not(sockets: WsBackend) -> None:
    async with running(f"* 127.0.0.1:{closed_port()},over_http {sockets.address}") as app:
        async with through(app, sockets) as (client, peer):
            await client.say("x")
            assert await peer.heard() == "x"
        await nothing_left(app)


async def test_behind_one_that_is_down_comes_one_over_http(backend: ScriptedBackend) -> None:
    async with running(f"* 127.0.0.1:{closed_port()} {backend.address},over_http") as app:
        async with over_http(app, backend) as client:
            await client.say("x")
            assert await client.heard() == "x"
        await nothing_left(app)


async def test_the_spare_has_the_same_connection_id_as_the_first(backend: ScriptedBackend) -> None:
    spares = " ".join(f"127.0.0.1:{closed_port()},over_http" for _ in range(3))
    async with running(f"* {spares} {backend.address},over_http") as app, over_http(app, backend):
        assert app.counters.websocket_requests == 4


@pytest.mark.parametrize("status", [403, 500, 502, 503])
async def test_a_target_that_refuses_is_not_followed_by_the_next(
    backend: ScriptedBackend, sockets: WsBackend, status: int
) -> None:
    backend.answers("/ws", text(b"no", status=status))
    async with running(f"* {backend.address},over_http {sockets.address}") as app:
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            refused = await client.ask("/ws")
        assert refused is not None
        assert refused.status == status
        await nothing_left(app)


async def test_with_no_target_that_can_be_reached_all_are_named() -> None:
    ports = [closed_port(), closed_port()]
    async with running(f"*,debug 127.0.0.1:{ports[0]},over_http 127.0.0.1:{ports[1]}") as app:
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            refused = await client.ask("/ws")
        assert refused is not None
        assert refused.status == 502
        assert all(str(port).encode() in refused.body for port in ports)
        await nothing_left(app)


async def test_a_target_that_does_not_connect_in_time_is_followed_by_the_next(
    backend: ScriptedBackend, sockets: WsBackend
) -> None:
    """It takes the connection, but is silent where TLS would begin."""
    async with running(f"* {sockets.address},ssl,insecure,connect_timeout=2 {backend.address},over_http") as app:
        backend.answers("/ws", echo)
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            await client.send_request("/ws", headers=handshake())
            await sockets.accept()
            await settle()
            await advance(app, 2)
            assert (await client.head()).status == 101


# -- it is open ---------------------------------------------------------------------------------------------------


async def test_nothing_published_from_the_101_on_is_missed(backend: ScriptedBackend) -> None:
    async with (
        running(f"* {backend.address},over_http,sub=room") as app,
        over_http(app, backend, events(OPEN, message("first")), events()) as client,
    ):
        await publish(app, {"channel": "room", "formats": {"ws-message": {"content": "second"}}})
        assert [await client.heard(), await client.heard()] == ["first", "second"]


async def test_frames_of_the_client_wait_behind_what_the_backend_said_with_its_open(backend: ScriptedBackend) -> None:
    async with running(f"* {backend.address},over_http") as app:
        backend.answers("/ws", events(OPEN, message("hello")), echo)
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            await client.send_request("/ws", headers=handshake())
            await client.put(Frame(Opcode.TEXT, b"early"), Frame(Opcode.CLOSE, b"\x03\xe8"))
            assert (await client.head()).status == 101
            assert [await client.heard(), await client.heard()] == ["hello", "early"]
            assert (await client.closed()).code == 1000
            assert await client.until_closed() == b""
        await nothing_left(app)


@pytest.mark.parametrize(
    "script",
    [events(OPEN, b"DISCONNECT\r\n"), events(OPEN, message("x"), b"DISCONNECT\r\n")],
    ids=["at once", "behind a message"],
)
@pytest.mark.parametrize("early", [b"", Frame(Opcode.TEXT, b"early").serialize(mask=True)], ids=["silent", "early"])
async def test_a_backend_that_disconnects_with_its_open_cuts_the_client(
    backend: ScriptedBackend, script: Answer, early: bytes
) -> None:
    async with running(f"* {backend.address},over_http") as app:
        backend.answers("/ws", script, events())
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            await client.send_request("/ws", headers=handshake())
            await client.send(early)
            await client.until_cut()
        await nothing_left(app)
        assert bodies(backend) == [OPEN]


async def test_a_backend_that_closes_with_its_open_closes_the_client(backend: ScriptedBackend) -> None:
    async with running(f"* {backend.address},over_http") as app:
        async with over_http(app, backend, events(OPEN, b"CLOSE 2\r\n\x0f\xa0\r\n"), events()) as client:
            assert (await client.closed()).code == 4000
            await client.put_close(4001)
            assert await client.until_closed() == b""
        await until(lambda: bodies(backend)[1:])
        await nothing_left(app)
        assert bodies(backend)[1:] == [b"CLOSE 2\r\n\x0f\xa1\r\n"]


async def test_a_fault_of_ours_while_holding_leaves_nothing(
    app: App, client: WsClient, sockets: WsBackend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("this is wrong")

    monkeypatch.setattr("proxy.exchange.Exchange.switch", broken)
    peer = await ask(client, sockets)
    await peer.send(switch(accept_key(peer.request.values(b"sec-websocket-key")[0].decode())))
    assert (await client.response()).status == 500
    await peer.until_cut()
    assert "internal error" in caplog.text
    caplog.clear()
    monkeypatch.undo()
    client.close()
    await nothing_left(app)


async def test_what_is_held_is_one_session_and_one_link(app: App, sockets: WsBackend) -> None:
    async with through(app, sockets), through(app, sockets):
        assert held_by(app) == {"WebSocketSession": 2, "ThroughLink": 2}
    await nothing_left(app)


async def test_the_label_is_the_uri(app: App, sockets: WsBackend) -> None:
    async with through(app, sockets, path="/a?b"):
        assert session_of(app).label == "ws://example.com/a?b"
