"""One request for a next link and those who wait for it: shared, passed on as it comes, tried again, given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from handlers.protocol.instruct import Instruct
from handlers.protocol.names import ItemId
from proxy.app import App
from proxy.link_fetch import Fetch
from proxy.link_site import AT_ONCE, LinkWay
from proxy.protocol.link_uri import request_uri
from proxy.protocol.next_link import Sequel
from proxy.protocol.route import Route, Target, TargetKind
from proxy.router import LoadedRoute
from tests.proxy.in_process import advance, running
from tests.support.answers import answer, chunked, grip_instruct, grip_response, grip_stream, never, text
from tests.support.backend import ScriptedBackend
from tests.support.turns import settle, until


class Listener:
    """A follower that notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_behind = False
        self.sequel: Sequel | None = None

    def begin(self, instruct: Instruct, target: Target) -> None:
        self.heard.append(f"begin {','.join(channel.name for channel in instruct.channels)}")

    def append(self, data: bytes) -> None:
        self.heard.append(data.decode())

    def end(self, instruct: Instruct, sequel: Sequel) -> None:
        self.sequel = sequel
        self.heard.append("end")

    def fail(self, why: str, last: bytes = b"") -> None:
        self.heard.append(f"{last.decode()}fail: {why}")


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}") as app:
        yield app


class Fetching:
    """A fetch from `backend`, not started yet, and how often it has said that it is too late to join."""

    def __init__(self, app: App, backend: ScriptedBackend, *followers: Listener) -> None:
        target = Target(kind=TargetKind.HOST, host=backend.host, port=backend.port)
        loaded = LoadedRoute(route=Route(host="*", targets=(target,)), signer=None)
        uri = request_uri(is_tls=False, authority=b"a.example", path=b"/next")
        self.begun = 0
        way = LinkWay(loaded=loaded, uri=uri, is_internal=True)
        self.fetch = Fetch(app.side.links.site, way, (("room", ItemId("1")),), self._begin)
        for follower in followers:
            self.fetch.join(follower)

    def _begin(self, fetch: Fetch) -> None:
        assert fetch is self.fetch
        self.begun += 1


async def test_all_who_wait_get_what_comes_of_one_request(app: App, backend: ScriptedBackend) -> None:
    backend.default = grip_stream("room", body=b"body")
    listeners = [Listener() for _ in range(3)]
    fetching = Fetching(app, backend, *listeners)
    fetching.fetch.start(0)
    await until(lambda: listeners[2].sequel)
    assert [each.heard for each in listeners] == [["begin room", "body", "end"]] * 3
    assert len(backend.requests) == app.counters.link_requests == fetching.begun == 1


async def test_a_body_is_passed_on_as_it_comes(app: App, backend: ScriptedBackend) -> None:
    gate, listener = asyncio.Event(), Listener()
    backend.default = chunked(b"one,", gate, b"two")
    Fetching(app, backend, listener).fetch.start(0)
    await until(lambda: len(listener.heard) == 2)
    gate.set()
    await until(lambda: listener.sequel)
    assert listener.heard == ["begin ", "one,", "two", "end"]


async def test_a_body_takes_nobodys_turn(app: App, backend: ScriptedBackend) -> None:
    gate, listener = asyncio.Event(), Listener()
    backend.default = chunked(b"one,", gate, b"two")
    fetching = Fetching(app, backend, listener)
    slot = app.side.links.site.slot(fetching.fetch.way)
    for _ in range(AT_ONCE - 1):
        await slot.acquire()
    fetching.fetch.start(0)
    await until(lambda: len(listener.heard) == 2)
    assert not slot.locked()
    gate.set()
    await until(lambda: listener.sequel)


async def test_an_instruct_as_a_body_brings_the_body(app: App, backend: ScriptedBackend) -> None:
    listener = Listener()
    hold = {"mode": "stream", "channels": [{"name": "room"}]}
    backend.default = grip_instruct({"hold": hold, "response": {"body": "text"}})
    Fetching(app, backend, listener).fetch.start(0)
    await until(lambda: listener.sequel)
    assert listener.heard == ["begin room", "text", "end"]


async def test_nothing_more_is_read_while_all_are_behind(app: App, backend: ScriptedBackend) -> None:
    gate, listeners = asyncio.Event(), [Listener(), Listener()]
    backend.default = chunked(b"one,", gate, b"two")
    fetching = Fetching(app, backend, *listeners)
    for listener in listeners:
        listener.is_behind = True
    fetching.fetch.start(0)
    await until(lambda: len(listeners[0].heard) == 2)
    gate.set()
    await settle()
    fetching.fetch.caught_up()
    await settle()
    assert listeners[0].heard == ["begin ", "one,"]
    listeners[1].is_behind = False
    fetching.fetch.caught_up()
    await until(lambda: listeners[1].sequel)
    assert listeners[0].heard == ["begin ", "one,", "two", "end"]


async def test_it_is_given_up_in_the_end(app: App, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    backend.default = text(b"no", status=404)
    fetching = Fetching(app, backend, listener)
    fetching.fetch.start(0)
    for number in range(1, 6):
        await until(lambda: app.counters.link_retries == number)  # noqa: B023  # it is asked for at once
        await advance(app, 17)
    await until(lambda: listener.heard)
    assert listener.heard == [f"fail: {backend.address}: status 404"]
    assert (app.counters.link_requests, app.counters.link_retries, fetching.begun) == (6, 5, 6)
    assert f"link http://a.example/next: {backend.address}: status 404; to be tried again" in caplog.messages


async def test_what_breaks_off_is_given_up_at_once(app: App, backend: ScriptedBackend) -> None:
    listener, gate = Listener(), asyncio.Event()
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome,", gate)
    Fetching(app, backend, listener).fetch.start(0)
    await until(lambda: len(listener.heard) == 2)
    await backend.drop_connections()
    await until(lambda: len(listener.heard) == 3)
    assert listener.heard[:2] == ["begin ", "some,"]
    assert listener.heard[2].startswith("fail: ")
    assert app.counters.link_retries == 0


async def test_an_answer_that_cannot_be_followed_fails_with_its_body(app: App, backend: ScriptedBackend) -> None:
    listener = Listener()
    backend.default = grip_response("room", body=b"body;")
    Fetching(app, backend, listener).fetch.start(0)
    await until(lambda: listener.heard)
    assert listener.heard == ["body;fail: Next link returned non-stream hold."]


async def test_with_the_last_follower_it_stops(app: App, backend: ScriptedBackend) -> None:
    listeners = [Listener(), Listener()]
    backend.default = never()
    fetching = Fetching(app, backend, *listeners)
    fetching.fetch.start(0)
    request = await backend.request()
    fetching.fetch.leave(listeners[0])
    await settle()
    assert len(app.side.links.site.errands) == 1
    fetching.fetch.leave(listeners[0])
    fetching.fetch.leave(listeners[1])
    await backend.disconnected(request.connection)
    assert len(app.side.links.site.errands) == 0
    assert listeners[1].heard == []


async def test_one_that_waits_for_its_time_stops_too(app: App, backend: ScriptedBackend) -> None:
    listener = Listener()
    fetching = Fetching(app, backend, listener)
    fetching.fetch.start(app.clock.now() + 5)
    await advance(app, 4)
    fetching.fetch.leave(listener)
    await advance(app, 10)
    assert backend.requests == []
    assert fetching.begun == 1


async def test_a_fault_of_ours_is_logged_and_the_end(
    app: App, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Listener):
        def append(self, data: bytes) -> None:
            raise ZeroDivisionError

    listener = Faulty()
    Fetching(app, backend, listener).fetch.start(0)
    await until(lambda: len(listener.heard) == 2)
    assert listener.heard == ["begin ", "fail: internal error"]
    assert any("internal error" in record.getMessage() and record.exc_info for record in caplog.records)
