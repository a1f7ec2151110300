"""What a held connection took is given back when it ends, however it ends (DESIGN.md, hot path 5)."""

from __future__ import annotations

import pytest

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_response, grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import crowd
from tests.support.publisher import close_item, publish

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELD = 30
CROWD = 500
SPENT = ("ClientConnection", "Exchange", "Feed", "RequestHead", "BackendRequest", "OwnConnection", "OwnAnswer")
"""What a request needs, and a hold does not."""


async def test_holds_that_ended_leave_nothing_behind(backend: ScriptedBackend) -> None:
    """However they ended: no session, connection object or task of theirs is alive."""
    async with AppProcess(f"* {backend.address}") as app:
        async with crowd(app.proxy_address, HELD) as clients:
            for client in clients:
                await open_stream(client, backend, "/stream", grip_stream("gone"))
            leavers, others = clients[: HELD // 3], clients[HELD // 3 :]
            for leaver in leavers:
                leaver.reset()
            await app.until(lambda counters: counters["sessions_stream"] == len(others))
            await publish(app, close_item("gone"))
            for client in others:
                assert await client.chunk() == b""
                await open_poll(app, client, backend, "/poll", grip_response("gone-poll", body=b"later\n"))
            await app.advance(56)
            for client in others:
                assert (await client.response()).body == b"later\n"
        while await app.connections():
            pass
        kinds = ("StreamSession", "ResponseSession", "ClientConnection", "Exchange")
        assert await app.live_objects(*kinds) == dict.fromkeys(kinds, 0)


async def test_of_the_request_nothing_is_left_while_its_connection_is_held(backend: ScriptedBackend) -> None:
    """Five hundred streams are five hundred sessions: no connection, no request, no task belongs to them."""
    async with AppProcess(f"* {backend.address}") as app:
        tasks = (await app.live_objects("Task"))["Task"]
        async with crowd(app.proxy_address, CROWD) as clients:
            for client in clients:
                await open_stream(client, backend, "/stream", grip_stream("crowd"))
            await app.advance(60)  # kept backend connections are closed, and what the last request left is gone
            assert (await app.live_objects("StreamSession")) == {"StreamSession": CROWD}
            assert await app.live_objects(*SPENT) == dict.fromkeys(SPENT, 0)
            assert (await app.live_objects("Task"))["Task"] <= tasks + 3  # the process has some of its own
