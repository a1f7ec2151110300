"""SockJS's WebSockets: with SockJS frames in them, and raw (reference 8.1; row W38)."""

from __future__ import annotations

import json

import pytest
from websockets.frames import Frame, Opcode

from tests.e2e.conversing import message_item, told
from tests.support.answers import text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, echo, event, events
from tests.support.publisher import publish
from tests.support.websocket import handshake, websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = ("raw", "framed", "closing", "leaving", "dropping", "refusing", "nonsense", "closed", "beat")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    target = f"{backend.address},over_http"
    return (
        *(f"*,path_beg=/{name},sockjs=/{name} {target}" for name in PATHS),
        f"*,path_beg=/as,sockjs=/as,sockjs_as_path=/elsewhere {target}",
    )


async def test_w38_a_raw_websocket_has_only_another_path(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/raw/websocket", echo)
    async with websocket(app.proxy_address, "/raw/websocket?x=y") as client:
        assert (await told(backend, "/raw/websocket")).target == b"/raw/websocket?x=y"
        await client.say("hello")
        assert await client.heard() == "hello"


async def test_w38_a_framed_websocket(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/framed/websocket", events(OPEN, control("subscribe", channel="framed")), echo)
    async with websocket(app.proxy_address, "/framed/000/s/websocket") as client:
        assert await client.heard() == "o"
        assert (await told(backend, "/framed/websocket")).body == OPEN
        await client.say(json.dumps(["one", "two"]))
        assert json.loads((await client.heard())[1:]) == ["one", "two"]
        await client.say('"alone"')
        assert await client.heard() == 'a["alone"]'
        await client.say("")
        await client.put(Frame(Opcode.PING, b"p"))
        assert await client.frame() == Frame(Opcode.PONG, b"p")
        await publish(app, message_item("framed", "published"))
        assert await client.heard() == 'a["published"]'


async def test_the_path_for_the_backend_may_be_another(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/elsewhere", echo)
    for target in ("/as/websocket", "/as/000/s/websocket"):
        async with websocket(app.proxy_address, target):
            assert (await told(backend, "/elsewhere")).body == OPEN
        assert (await told(backend, "/elsewhere")).body == b"DISCONNECT\r\n"


async def test_a_heartbeat_comes_every_25_seconds(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/beat/websocket", events(OPEN))
    async with websocket(app.proxy_address, "/beat/000/s/websocket") as client:
        assert await client.heard() == "o"
        for _ in range(3):
            await app.advance(25.2)
            assert await client.heard() == "h"


async def test_a_clients_close_is_answered_with_its_code(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/closing/websocket", echo)
    async with websocket(app.proxy_address, "/closing/000/s/websocket") as client:
        assert await client.heard() == "o"
        assert (await told(backend, "/closing/websocket")).body == OPEN
        await client.put_close(4005, "bye")
        assert (await told(backend, "/closing/websocket")).body == event("CLOSE", b"\x0f\xa5bye")
        assert (await client.closed()).code == 4005


async def test_a_close_of_the_backends_is_a_frame_of_sockjs(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/leaving/websocket", events(OPEN), events(event("CLOSE", b"\x0f\xa2bye")))
    async with websocket(app.proxy_address, "/leaving/000/s/websocket") as client:
        assert await client.heard() == "o"
        await client.say('["x"]')
        assert await client.heard() == 'c[4002,"bye"]'
        assert (await client.closed()).code == 1000


async def test_a_backend_that_closes_as_it_opens(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/closed/websocket", events(OPEN, event("TEXT", "m:x"), event("CLOSE")))
    async with websocket(app.proxy_address, "/closed/000/s/websocket") as client:
        assert [await client.heard() for _ in range(3)] == ["o", 'a["x"]', 'c[1000,""]']
        assert (await client.closed()).code == 1000


async def test_a_client_that_drops_has_left(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/dropping/websocket", events(OPEN))
    async with websocket(app.proxy_address, "/dropping/000/s/websocket") as client:
        assert await client.heard() == "o"
        assert (await told(backend, "/dropping/websocket")).body == OPEN
        client.reset()
        assert (await told(backend, "/dropping/websocket")).body == b"DISCONNECT\r\n"


async def test_a_refusal_goes_to_the_client(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/refusing/websocket", text("not you\n", status=403, reason=b"Forbidden"))
    async with await RawClient.connect(app.proxy_address) as client:
        answer = await client.fetch("/refusing/000/s/websocket", headers=handshake())
        assert (answer.status, answer.body) == (403, b"not you\n")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.TEXT, b'["x'), 1007),
        (Frame(Opcode.TEXT, b'{"a": 1}'), 1007),
        (Frame(Opcode.BINARY, b'["x"]'), 1003),
    ],
    ids=["broken", "no array", "binary"],
)
async def test_what_is_not_sockjs_ends_the_connection(
    app: AppProcess, backend: ScriptedBackend, frame: Frame, code: int
) -> None:
    backend.answers("/nonsense/websocket", events(OPEN))
    async with websocket(app.proxy_address, "/nonsense/000/s/websocket") as client:
        assert await client.heard() == "o"
        await client.put(frame)
        assert (await client.closed()).code == code
