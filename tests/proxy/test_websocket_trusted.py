"""A client that is a GRIP proxy itself: the extension and the frames go through to it, and no other extension does."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from websockets.frames import Frame, Opcode

from proxy.app import App
from tests.proxy.in_process import advance, running
from tests.proxy.sockets import IS_TRUSTED, SIGNATURE, over_http, session_of, through
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, control, event, events, message
from tests.support.ws_backend import WsBackend

GRIP = 'grip; message-prefix="x:"'
OFFER = ("Sec-WebSocket-Extensions", "permessage-deflate, grip")
SIGNED = [("Grip-Sig", SIGNATURE), OFFER]
CONTROL = 'c:{"type": "subscribe", "channel": "room"}'


@pytest.fixture
async def sockets() -> AsyncGenerator[WsBackend]:
    async with WsBackend() as sockets:
        yield sockets


@pytest.fixture
async def app(backend: ScriptedBackend, sockets: WsBackend) -> AsyncGenerator[App]:
    routes = (
        f"* {sockets.address}",
        f"*,path_beg=/http {backend.address},over_http",
        f"*,path_beg=/plain,no_grip {sockets.address}",
        f"*,path_beg=/http/plain,no_grip {backend.address},over_http",
    )
    async with running(*routes, settings=IS_TRUSTED) as app:
        yield app


async def test_it_gets_the_extension_and_the_frames_as_they_are(app: App, sockets: WsBackend) -> None:
    answered = [("Sec-WebSocket-Extensions", GRIP)]
    async with through(app, sockets, headers=SIGNED, answered=answered) as (client, peer):
        assert peer.request.values(b"sec-websocket-extensions") == (b"grip",)
        assert peer.request.values(b"grip-sig") == (SIGNATURE.encode(),)
        assert client.answer.values(b"sec-websocket-extensions") == (GRIP.encode(),)
        await peer.say("x:prefixed")
        await peer.say(CONTROL)
        await peer.say("bare")
        assert [await client.heard() for _ in range(3)] == ["x:prefixed", CONTROL, "bare"]
        assert session_of(app).subscriptions == ()


async def test_so_it_does_over_http(app: App, backend: ScriptedBackend) -> None:
    said = events(OPEN, message("one"), event("TEXT", CONTROL), extension=GRIP)
    async with over_http(app, backend, said, events(), path="/http", headers=SIGNED) as client:
        assert client.answer.values(b"sec-websocket-extensions") == (GRIP.encode(),)
        assert [await client.heard(), await client.heard()] == ["m:one", CONTROL]
    (request, *_) = backend.requests_for("/http")
    assert request.values(b"grip-sig") == (SIGNATURE.encode(),)
    assert request.values(b"sec-websocket-extensions") == (b"grip",)


async def test_one_that_did_not_ask_for_it_is_not_told_of_it(app: App, backend: ScriptedBackend) -> None:
    headers = [("Grip-Sig", SIGNATURE)]
    async with over_http(app, backend, events(OPEN), events(), path="/http", headers=headers) as client:
        assert client.answer.values(b"sec-websocket-extensions") == ()
    (request, *_) = backend.requests_for("/http")
    assert request.values(b"sec-websocket-extensions") == ()


async def test_its_headers_of_grip_go_back_to_it(app: App, backend: ScriptedBackend) -> None:
    said = events(OPEN, headers=[("Grip-Set-Hold", "x")])
    async with over_http(app, backend, said, events(), path="/http", headers=SIGNED) as client:
        assert client.answer.values(b"grip-set-hold") == (b"x",)


@pytest.mark.parametrize("headers", [[OFFER], [("Grip-Sig", "forged"), OFFER]], ids=["unsigned", "forged"])
async def test_any_other_client_gets_neither(app: App, sockets: WsBackend, headers: list[tuple[str, str]]) -> None:
    answered = [("Sec-WebSocket-Extensions", GRIP)]
    async with through(app, sockets, headers=headers, answered=answered) as (client, peer):
        assert client.answer.values(b"sec-websocket-extensions") == ()
        assert b"forged" not in peer.request.values(b"grip-sig")
        await peer.put(Frame(Opcode.TEXT, b"bare"), Frame(Opcode.TEXT, b"x:prefixed"))
        assert await client.heard() == "prefixed"


@pytest.mark.parametrize("extension", ["permessage-deflate", "x-other; a=b", "grip"])
async def test_an_extension_that_a_client_did_not_ask_for_is_not_said_to_be_taken_up(
    app: App, backend: ScriptedBackend, extension: str
) -> None:
    """It would have to fail the connection, or wait for compressed messages that do not come."""
    said = events(OPEN, message("x"), extension=extension)
    async with over_http(app, backend, said, events(), path="/http/plain") as client:
        assert client.answer.values(b"sec-websocket-extensions") == ()
        assert await client.heard() == "m:x"


async def test_a_route_without_grip_offers_none_to_its_backend(app: App, sockets: WsBackend) -> None:
    async with through(app, sockets, path="/plain", headers=[OFFER]) as (client, peer):
        assert b"sec-websocket-extensions" not in peer.request.names()
        await peer.say(CONTROL)
        assert await client.heard() == CONTROL


async def test_a_signature_is_made_anew_for_each_request(backend: ScriptedBackend) -> None:
    async with running(f"* {backend.address},over_http") as app:
        async with over_http(app, backend, events(OPEN, control("subscribe", channel="a"))) as client:
            await advance(app, 7200)
            backend.answers("/ws", events())
            await client.say("x")
            await backend.request()
            await backend.request()
        first, second = backend.requests_for("/ws")[:2]
        assert first.values(b"grip-sig") != second.values(b"grip-sig")
        assert len(second.values(b"grip-sig")) == 1
