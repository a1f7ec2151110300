"""The backend is told who is on its channels (`[presence]`): in order, in batches, again when it has failed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_response, grip_stream, never, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events
from tests.support.publisher import close_item, publish
from tests.support.turns import until
from tests.support.websocket import websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "presence-key-of-32-bytes-or-more-"
Event = dict[str, Any]


class Told:
    """What a backend has been told, checked for its numbers."""

    def __init__(self, app: AppProcess, backend: ScriptedBackend) -> None:
        self.app = app
        self.backend = backend

    def bodies(self) -> list[dict[str, Any]]:
        """Every request's body."""
        return [json.loads(each.body) for each in self.backend.requests if each.target == b"/presence"]

    def events(self) -> list[Event]:
        """All events but the first one, without when they were."""
        found = [event for body in self.bodies() for event in body["events"]]
        assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
        assert all(event.pop("at") > 1e9 for event in found)
        assert found[0] == {"event": "started", "seq": 1}
        return [{name: value for name, value in event.items() if name != "seq"} for event in found[1:]]

    async def until(self, count: int) -> list[Event]:
        """Turn the clock until so many events have come behind the first, and return those."""

        def has_come() -> bool:
            return sum(len(body["events"]) for body in self.bodies()) > count

        await self.app.settle()
        await self.app.advance(0.6)
        await until(has_come)
        return self.events()


@asynccontextmanager
async def telling(backend: ScriptedBackend, *settings: str, url: str = "/presence") -> AsyncIterator[Told]:
    """Run a Holdfast whose backend is told."""
    backend.answers("/presence", text())
    line = f"*,id=r,sig_iss=me,sig_key={KEY} {backend.address},over_http"
    async with AppProcess(line, settings=(f"presence.url={url}", *settings)) as app:
        yield Told(app, backend)


def subscribed(channel: str) -> Event:
    return {"event": "channel-subscribed", "channel": channel}


def unsubscribed(channel: str) -> Event:
    return {"event": "channel-unsubscribed", "channel": channel}


def ended(kind: str, *channels: str) -> Event:
    return {"event": "connection-ended", "kind": kind, "channels": list(channels), "route": "r"}


def without_ids(found: list[Event]) -> list[Event]:
    """Return events without the connections' ids, which must be there."""
    return [{name: value for name, value in event.items() if name != "id"} for event in found]


async def test_channels_and_connections_are_told_of_in_order(backend: ScriptedBackend) -> None:
    async with (
        telling(backend) as told,
        await RawClient.connect(told.app.proxy_address) as first,
        await RawClient.connect(told.app.proxy_address) as second,
    ):
        await open_stream(first, backend, "/one", grip_stream("room"))
        await told.app.settle()
        await open_stream(second, backend, "/two", grip_stream("room", "hall"))
        assert await told.until(2) == [subscribed("room"), subscribed("hall")]
        second.close()
        found = await told.until(4)
        assert without_ids(found[2:]) == [unsubscribed("hall"), ended("stream", "room", "hall")]
        await publish(told.app, close_item("room"))
        found = await told.until(6)
        assert without_ids(found[4:]) == [unsubscribed("room"), ended("stream", "room")]
        assert found[3]["id"] != found[5]["id"]


async def test_notices_are_signed_and_are_json(backend: ScriptedBackend) -> None:
    async with telling(backend) as told:
        assert await told.until(0) == []
        (request,) = [each for each in backend.requests if each.target == b"/presence"]
        assert request.method == b"POST"
        assert request.values(b"content-type") == (b"application/json",)
        (signature,) = request.values(b"grip-sig")
        assert jwt.decode(signature.decode(), KEY, algorithms=["HS256"], options={"verify_exp": False})["iss"] == "me"


async def test_a_websocket_is_told_of_with_its_connection_id(backend: ScriptedBackend) -> None:
    backend.answers("/ws", events(OPEN, control("subscribe", channel="chat")))
    async with telling(backend) as told:
        async with websocket(told.app.proxy_address, "/ws"):
            assert await told.until(1) == [subscribed("chat")]
        found = await told.until(3)
        assert without_ids(found[1:]) == [unsubscribed("chat"), ended("ws", "chat")]
        (connection_id,) = {each.values(b"connection-id")[0] for each in backend.requests if each.target == b"/ws"}
        assert found[2]["id"] == connection_id.decode()


async def test_somebody_who_polls_stays(backend: ScriptedBackend) -> None:
    async with telling(backend) as told, await RawClient.connect(told.app.proxy_address) as client:
        poll = grip_response("polled", headers=[("Grip-Timeout", "5")])
        await open_poll(told.app, client, backend, "/poll", poll)
        await told.app.advance(6)
        await client.response()
        await told.app.settle()
        await told.app.advance(30)
        await open_poll(told.app, client, backend, "/poll", poll)
        await told.app.advance(6)
        await client.response()
        await told.app.settle()
        await told.app.advance(58)
        assert await told.until(1) == [subscribed("polled")]
        await told.app.advance(5)
        assert await told.until(2) == [subscribed("polled"), unsubscribed("polled")]


async def test_many_ends_at_once_are_few_requests(backend: ScriptedBackend) -> None:
    async with telling(backend, "presence.batch_limit=50", "presence.events=connections") as told:
        clients = [await RawClient.connect(told.app.proxy_address) for _ in range(120)]
        for client in clients:
            await open_stream(client, backend, "/many", grip_stream("many"))
        await publish(told.app, close_item("many"))
        await told.app.until(lambda counters: counters["sessions_stream"] == 0)
        assert without_ids(await told.until(120)) == [ended("stream", "many")] * 120
        assert [len(body["events"]) for body in told.bodies()] in ([50, 50, 21], [1, 50, 50, 20])
        for client in clients:
            client.close()


async def test_a_backend_that_fails_is_asked_again_and_hears_in_the_end_what_still_holds(
    backend: ScriptedBackend,
) -> None:
    async with telling(backend, "presence.retry_for=5") as told:
        backend.answers("/presence", text(status=503), never(), text())
        await told.app.advance(0.6)
        await told.app.log_line("presence: 1 notices not taken, to be tried again: .*status 503")
        await told.app.advance(0.6)
        await until(lambda: len(told.bodies()) == 2)
        await told.app.advance(10)
        await told.app.log_line("presence: 0 notices given up, 1 put off, from number 1: no answer within 10 seconds")
        async with await RawClient.connect(told.app.proxy_address) as client:
            await open_stream(client, backend, "/after", grip_stream("after"))
            await told.app.settle()
            await told.app.advance(2)
            await until(lambda: len(told.bodies()) == 3)
            found = [(event["seq"], event["event"]) for event in told.bodies()[-1]["events"]]
            assert found == [(2, "started"), (3, "channel-subscribed")]
        counters = await told.app.counters()
        assert (counters["presence_failures"], counters["presence_lost"]) == (2, 0)


async def test_a_backend_that_was_away_hears_who_is_there_now(backend: ScriptedBackend) -> None:
    async with telling(backend, "presence.events=channels") as told:
        async with await RawClient.connect(told.app.proxy_address) as stays:
            assert await told.until(0) == []
            backend.answers("/presence", text(status=503), text())
            await open_stream(stays, backend, "/stays", grip_stream("stays"))
            await told.app.settle()
            await told.app.advance(0.6)
            await told.app.log_line("presence: the backend is behind")
            for _ in range(2):
                async with await RawClient.connect(told.app.proxy_address) as passes:
                    await open_stream(passes, backend, "/passes", grip_stream("passes", "and-another"))
                await told.app.until(lambda counters: counters["sessions_stream"] == 1)
                await told.app.settle()
            async with await RawClient.connect(told.app.proxy_address) as comes:
                await open_stream(comes, backend, "/comes", grip_stream("comes"))
                await told.app.settle()
                await told.app.advance(0.6)
                await until(lambda: len(told.bodies()) == 4)
                found = [event for body in told.bodies()[1:] for event in body["events"]]
                assert [(event["seq"], event["channel"]) for event in found] == [
                    (2, "stays"),
                    (2, "stays"),
                    (3, "comes"),
                ]
        counters = await told.app.counters()
        assert (counters["presence_merged"], counters["presence_lost"]) == (8, 0)


async def test_the_last_ends_are_told_of_when_it_stops(backend: ScriptedBackend) -> None:
    async with telling(backend) as told, await RawClient.connect(told.app.proxy_address) as client:
        await open_stream(client, backend, "/last", grip_stream("last"))
        assert await told.until(1) == [subscribed("last")]
        told.app.signal(signal.SIGTERM)
        await told.app.log_line("stopping: ")
        ending = asyncio.create_task(client.until_closed())
        while not ending.done():
            await told.app.advance(0.2)
        await until(lambda: len([event for body in told.bodies() for event in body["events"]]) == 4)
        assert await told.app.exit_status() == 0
        assert without_ids(told.events())[1:] == [unsubscribed("last"), ended("stream", "last")]


async def test_an_absolute_url_is_asked_directly(backend: ScriptedBackend) -> None:
    async with ScriptedBackend() as elsewhere:
        url = f"http://{elsewhere.address}/presence"
        async with telling(backend, "proxy.sig_iss=us", f"proxy.sig_key={KEY}", url=url) as told:
            told.backend = elsewhere
            assert await told.until(0) == []
            (signature,) = elsewhere.requests[0].values(b"grip-sig")
            claims = jwt.decode(signature.decode(), KEY, algorithms=["HS256"], options={"verify_exp": False})
            assert claims["iss"] == "us"


async def test_without_a_url_nobody_is_told(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    await open_stream(client, backend, "/untold", grip_stream("untold"))
    await app.settle()
    await app.advance(5)
    assert [each.target for each in backend.requests] == [b"/untold"]
