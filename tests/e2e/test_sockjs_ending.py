"""SockJS sessions at the end of the process, and what is left of those that have ended."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.conversing import told
from tests.e2e.sockjs import SockJs
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd
from tests.support.events import OPEN, echo, events
from tests.support.turns import until
from tests.support.websocket import websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ("SockJsSession", "WebSocketSession", "OverHttpLink", "SockJsPoll", "SockJsStream", "SockJsSocket", "Mailbox")


async def test_a_stop_ends_every_session_in_good_order(backend: ScriptedBackend) -> None:
    """One that polls, one that streams, one by a WebSocket, and one that is away."""
    backend.answers("/s", events(OPEN), events(OPEN), events(OPEN), events())
    backend.answers("/s/websocket", events(OPEN), events())
    async with AppProcess(f"*,sockjs=/s {backend.address},over_http") as app:
        async with crowd(app.proxy_address, 3) as clients, websocket(app.proxy_address, "/s/0/ws/websocket") as socket:
            sessions = [SockJs(app, client, "/s", f"e{number}") for number, client in enumerate(clients)]
            for session in sessions:
                assert await session.heard() == "o"
            assert await socket.heard() == "o"
            await sessions[0].begin("xhr")
            await sessions[1].begin("xhr_streaming")
            await clients[1].head()
            await clients[1].chunk()
            await app.settle()
            app.signal(signal.SIGTERM)
            await app.log_line("stopping: ")
            await app.advance(8)
            polled = await clients[0].response()
            assert polled.body == b'c[1001,""]\n'
            assert [await clients[1].chunk(), await clients[1].chunk()] == [b'c[1001,""]\n', b""]
            assert await socket.heard() == 'c[1001,""]'
            assert (await socket.closed()).code == 1000
            await socket.put_close(1000)
            await until(lambda: len([each for each in backend.requests if each.body == b"CLOSE\r\n"]) == 4)
        assert await app.exit_status() == 0


async def test_nothing_is_left_of_sessions_that_have_ended(backend: ScriptedBackend) -> None:
    """Not even until the garbage collector comes."""
    backend.answers("/left", echo)
    async with AppProcess(f"*,sockjs=/left {backend.address},over_http") as own:
        async with await RawClient.connect(own.proxy_address) as client:
            for number in range(3):
                session = SockJs(own, client, "/left", f"l{number}")
                assert await session.heard() == "o"
                assert (await told(backend, "/left")).body == OPEN
        for number in range(3):
            async with await RawClient.connect(own.proxy_address) as client:
                session = SockJs(own, client, "/left", f"m{number}")
                assert await session.heard() == "o"
                await session.begin("xhr_streaming" if number else "xhr")
                await own.settle()
        await own.until(lambda counters: counters["sockjs_abandoned"] == 3)
        await own.advance(5.2)
        await own.until(lambda counters: counters["sockjs_abandoned"] == 6)
        await own.settle()
        assert not any((await own.live_objects(*KINDS)).values())
