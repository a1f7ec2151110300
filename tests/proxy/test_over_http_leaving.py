"""The client goes, in each state of a WebSocket over HTTP: its backend is told, once, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from websockets.frames import Frame, Opcode

from proxy.app import App
from proxy.events_sender import LAST_SECONDS
from tests.proxy.in_process import advance, gated, running
from tests.proxy.leaving import LEAVINGS, leavings
from tests.proxy.sockets import bodies, nothing_left, over_http, running_tasks, until_told
from tests.support.answers import Answer, text
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.events import OPEN, event, events, message
from tests.support.http import Request
from tests.support.publisher import publish
from tests.support.turns import settle, until
from tests.support.websocket import WsClient, handshake

DISCONNECT = b"DISCONNECT\r\n"


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address},over_http") as app:
        yield app


@pytest.fixture
async def asking(app: App) -> AsyncGenerator[WsClient]:
    """A client that has asked for a WebSocket and has no answer yet."""
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        await client.send_request("/ws", headers=handshake())
        yield client


# -- before it has an answer --------------------------------------------------------------------------------------


@leavings
async def test_a_backend_that_accepts_a_client_that_has_gone_is_told_so(
    app: App, backend: ScriptedBackend, asking: WsClient, leaving: str
) -> None:
    gate = asyncio.Event()
    backend.answers("/ws", gated(gate, events(OPEN, message("hello"))), events())
    await backend.request()
    LEAVINGS[leaving](asking)
    await until(lambda: app.counters.requests_abandoned == 1)
    gate.set()
    await until_told(backend, DISCONNECT)
    await nothing_left(app)
    assert app.counters.websocket_notices_lost == 0


@pytest.mark.parametrize(
    "script",
    [
        text(b"no", status=403),
        text(b"hello"),
        events(),
        events(b"nonsense"),
        events(message("x")),
        Answer(steps=(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",)),
    ],
    ids=["refused", "no events", "no open", "nonsense", "a message", "half an answer"],
)
async def test_one_that_does_not_accept_it_is_told_nothing(
    app: App, backend: ScriptedBackend, asking: WsClient, script: Answer
) -> None:
    gate = asyncio.Event()
    backend.answers("/ws", gated(gate, script), events())
    await backend.request()
    asking.close()
    await until(lambda: app.counters.requests_abandoned == 1)
    gate.set()
    await settle()
    await backend.drop_connections()
    await nothing_left(app)
    assert bodies(backend) == [OPEN]


async def test_one_that_could_not_be_reached_is_told_nothing() -> None:
    async with running(f"* 127.0.0.1:{closed_port()},over_http") as app:
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            assert (await client.ask("/ws")) is not None
        await nothing_left(app)
        assert app.counters.websocket_requests == 1


async def test_one_that_takes_no_connection_in_time_is_told_nothing(backend: ScriptedBackend) -> None:
    async with running(f"* {backend.address},over_http,ssl,insecure,connect_timeout=3") as app:
        async with await WsClient.connect(app.proxy_addresses[0]) as client:
            await client.send_request("/ws", headers=handshake())
            await until(lambda: backend.accepted)
        await until(lambda: app.counters.requests_abandoned == 1)
        await advance(app, 3)
        await nothing_left(app)


async def test_one_that_has_put_off_its_answer_is_told(app: App, backend: ScriptedBackend, asking: WsClient) -> None:
    """It has answered the OPEN, so it may remember the connection."""
    backend.answers("/ws", events(headers=[("Keep-Alive-Interval", "30")]), events())
    await backend.request()
    await until(lambda: not any("events of" in name for name in running_tasks()))
    asking.close()
    await until_told(backend, DISCONNECT)
    await nothing_left(app)


async def test_one_that_accepts_only_at_the_second_asking_is_told(
    app: App, backend: ScriptedBackend, asking: WsClient
) -> None:
    gate = asyncio.Event()
    backend.answers("/ws", events(headers=[("Keep-Alive-Interval", "30")]), gated(gate, events(OPEN)), events())
    await backend.request()
    await settle()
    await advance(app, 31)
    await backend.request()
    asking.close()
    await until(lambda: app.counters.requests_abandoned == 1)
    gate.set()
    await until_told(backend, OPEN, DISCONNECT)
    await nothing_left(app)


# -- once it is connected -----------------------------------------------------------------------------------------


@leavings
async def test_an_idle_one_is_told(app: App, backend: ScriptedBackend, leaving: str) -> None:
    async with over_http(app, backend, events(OPEN), events()) as client:
        LEAVINGS[leaving](client)
        await until_told(backend, DISCONNECT)
    await nothing_left(app)


@leavings
async def test_one_that_is_answering_is_told_afterwards(app: App, backend: ScriptedBackend, leaving: str) -> None:
    gate = asyncio.Event()
    async with over_http(app, backend, events(OPEN), gated(gate, events(message("late"))), events()) as client:
        await client.say("x")
        await until(lambda: len(bodies(backend)) == 2)
        LEAVINGS[leaving](client)
        await until(lambda: not app.edge.sessions)
        gate.set()
        await until_told(backend, event("TEXT", "x"), DISCONNECT)
    await nothing_left(app)


@leavings
async def test_what_the_client_said_last_reaches_it_first(app: App, backend: ScriptedBackend, leaving: str) -> None:
    async with over_http(app, backend, events(OPEN), events()) as client:
        await client.say("last words")
        if leaving == "reset":
            await until(lambda: app.counters.websocket_messages == 1)
        LEAVINGS[leaving](client)
        await until(lambda: DISCONNECT in b"".join(bodies(backend)))
    assert b"".join(bodies(backend)) == OPEN + event("TEXT", "last words") + DISCONNECT
    await nothing_left(app)


async def test_half_a_message_is_not_told(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), events()) as client:
        await client.put(Frame(Opcode.TEXT, b"half", fin=False))
        await client.send(Frame(Opcode.CONT, b"x" * 1000).serialize(mask=True)[:500])
    await until_told(backend, DISCONNECT)
    await nothing_left(app)


async def test_one_that_has_gone_too_is_told_when_it_comes_back(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), events()):
        await backend.refuse()
    await until(lambda: app.counters.websocket_retries == 1)
    await backend.listen()
    await advance(app, 1.2)
    await until_told(backend, DISCONNECT)
    await nothing_left(app)


async def test_one_that_does_not_come_back_is_given_up_and_counted(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN)):
        await backend.refuse()
    for number, seconds in enumerate((1, 2, 4, 8, 16), start=1):
        await until(lambda number=number: app.counters.websocket_retries == number and not app.side.errands)  # type: ignore[misc]
        await advance(app, seconds + 0.2)
    await until(lambda: app.counters.websocket_notices_lost == 1)
    await nothing_left(app)


async def test_one_that_hangs_over_its_last_events_is_not_waited_for_as_long(
    app: App, backend: ScriptedBackend
) -> None:
    async with over_http(app, backend, events(OPEN), gated(asyncio.Event(), events())):
        pass
    await until_told(backend, DISCONNECT)
    await advance(app, LAST_SECONDS + 0.2)
    await until(lambda: app.counters.websocket_notices_lost == 1)
    await nothing_left(app)


@pytest.mark.parametrize("script", [text(b"no", status=500), events(b"what"), events(OPEN), events(message("x"))])
async def test_what_it_answers_to_that_is_of_no_concern(app: App, backend: ScriptedBackend, script: Answer) -> None:
    async with over_http(app, backend, events(OPEN), script):
        pass
    await until_told(backend, DISCONNECT)
    await nothing_left(app)


async def test_a_client_that_is_cut_for_being_slow_is_gone(backend: ScriptedBackend) -> None:
    settings = ("hold.outbox_limit=100000",)
    async with running(f"* {backend.address},over_http,sub=room", settings=settings) as app:
        async with over_http(app, backend, events(OPEN), events()):
            item = {"channel": "room", "formats": {"ws-message": {"content": "x" * 100_000}}}
            while not app.counters.slow_clients:
                await publish(app, item)
            await until_told(backend, DISCONNECT)
        await nothing_left(app)


# -- it closes, and does not wait ---------------------------------------------------------------------------------


async def test_a_close_that_the_backend_leaves_unanswered_is_answered_by_us_in_time(
    app: App, backend: ScriptedBackend
) -> None:
    async with over_http(app, backend, events(OPEN), gated(asyncio.Event(), events()), events()) as client:
        await client.put_close(4001, "bye")
        await until(lambda: len(bodies(backend)) == 2)
        await advance(app, 10.2)
        assert (await client.closed()).code == 4001
        assert await client.until_closed() == b""
    assert app.counters.websocket_close_timeouts == 1
    await backend.drop_connections()
    await nothing_left(app)


async def test_a_backend_that_wants_to_be_asked_is_not_asked_for_ever_for_its_close(
    app: App, backend: ScriptedBackend
) -> None:
    """With a Keep-Alive-Interval it may answer the close later; once the client has gone, nobody waits for it."""

    def never_closing(request: Request) -> Answer:
        return events(*([OPEN] if request.body == OPEN else []), headers=[("Keep-Alive-Interval", "20")])

    async with over_http(app, backend, never_closing) as client:
        await client.put_close(1000)
        await until(lambda: len(bodies(backend)) == 2)
        await advance(app, 10.2)
        assert (await client.closed()).code == 1000
        assert await client.until_closed() == b""
    for _ in range(5):
        await advance(app, 21)
        await until(lambda: not app.side.errands)
    assert bodies(backend)[2:] == [DISCONNECT]
    await nothing_left(app)
