"""A held WebSocket over HTTP: what it costs while it is idle, what waits for whom, and how much of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from websockets.frames import Frame, Opcode

from handlers.timers import NOWHERE
from proxy.app import App
from tests.proxy.in_process import advance, census, clock_of, gated, running
from tests.proxy.sockets import (
    bodies,
    nothing_left,
    over_http,
    over_http_link_of,
    running_tasks,
    session_of,
    until_told,
)
from tests.support.answers import Answer
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, echo, event, events, message
from tests.support.http import Request
from tests.support.turns import settle, until

ACCEPT_NONE = [("Content-Bytes-Accepted", "0")]


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address},over_http") as app:
        yield app


async def test_an_idle_websocket_has_no_task_no_timer_and_no_answer_in_memory(
    app: App, backend: ScriptedBackend
) -> None:
    async with over_http(app, backend) as client:
        await client.say("x")
        assert await client.heard() == "x"
        await until(lambda: not running_tasks())
        await settle()
        assert over_http_link_of(app).tick == NOWHERE
        assert over_http_link_of(app)._opening_answer == ()  # noqa: SLF001
        assert over_http_link_of(app)._opening is None  # noqa: SLF001
    await nothing_left(app)


async def test_all_events_of_a_connection_go_over_one_connection_to_the_backend(
    app: App, backend: ScriptedBackend
) -> None:
    async with over_http(app, backend) as client:
        for number in range(5):
            await client.say(str(number))
            assert await client.heard() == str(number)
    await until_told(backend, *(event("TEXT", str(number)) for number in range(5)), b"DISCONNECT\r\n")
    assert backend.accepted == 1
    assert [request.nth for request in backend.requests_for("/ws")] == list(range(1, 8))
    assert len({request.values(b"connection-id") for request in backend.requests_for("/ws")}) == 1


async def test_a_message_that_comes_while_an_answer_is_read_goes_with_the_next_request(
    app: App, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    whole = b"".join(step for step in events(message("answer")).steps if isinstance(step, bytes))
    slow = Answer(steps=(whole[:-5], gate, whole[-5:]))
    async with over_http(app, backend, events(OPEN), slow, events()) as client:
        await client.say("one")
        await until(lambda: len(bodies(backend)) == 2)
        await client.say("two")
        await until(lambda: app.counters.websocket_messages == 2)
        await settle()
        assert len(bodies(backend)) == 2
        gate.set()
        assert await client.heard() == "answer"
        await until_told(backend, event("TEXT", "one"), event("TEXT", "two"))


async def test_fragments_without_content_cost_nothing_however_many(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend) as client:
        before = census("Frame")["Frame"]  # tests that are collected keep some
        await client.put(Frame(Opcode.TEXT, b"a", fin=False))
        await client.put(*(Frame(Opcode.CONT, b"", fin=False) for _ in range(5_000)))
        await client.put(Frame(Opcode.PING, b"seen"))
        assert (await client.frame()).opcode is Opcode.PONG
        assert census("Frame")["Frame"] < before + 100
        await client.put(Frame(Opcode.CONT, b"z"))
        assert await client.heard() == "az"


async def test_what_waits_for_the_backend_is_bounded_and_the_client_is_not_read_meanwhile(
    app: App, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    async with over_http(app, backend, events(OPEN), gated(gate, events()), events()) as client:
        await client.say("first")
        await until(lambda: len(bodies(backend)) == 2)
        frame = Frame(Opcode.BINARY, b"x" * 10_000).serialize(mask=True)
        taken = await client.stuff(frame, at_most=32_000_000)
        waiting = over_http_link_of(app)._machine.waiting_bytes  # noqa: SLF001
        assert 200_000 < waiting < 1_000_000
        gate.set()
        await until(lambda: app.counters.websocket_messages >= taken // len(frame))
        await until(lambda: over_http_link_of(app)._machine.waiting_bytes == 0)  # noqa: SLF001


async def test_messages_without_content_are_bounded_too(app: App, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    async with over_http(app, backend, events(OPEN), gated(gate, events()), echo) as client:
        await client.say("first")
        await until(lambda: len(bodies(backend)) == 2)
        await client.stuff(Frame(Opcode.TEXT, b"").serialize(mask=True) * 10_000, at_most=32_000_000)
        assert app.counters.websocket_messages < 100_000


async def test_a_client_that_does_not_read_is_not_asked_for_until_it_has_caught_up(
    app: App, backend: ScriptedBackend
) -> None:
    """Nor does the keep-alive that is due meanwhile keep the process busy."""
    large = events(*(message("x" * 90_000) for _ in range(10)), headers=[("Keep-Alive-Interval", "20")])
    async with over_http(app, backend, events(OPEN), large, large, large, large, events()) as client:
        session = session_of(app)
        while not session.is_behind:
            seen = len(bodies(backend))
            await client.say("more")
            await until(lambda: len(bodies(backend)) > seen and not running_tasks())  # noqa: B023
        seen = len(bodies(backend))
        await client.say("is kept")
        for _ in range(5):
            await advance(app, 21)
            due = clock_of(app).next_due()
            assert due is None or due > clock_of(app).now(), "the timer comes round at once, for ever"
        assert len(bodies(backend)) == seen
        await client.skip((seen - 1) * 10 * (90_000 + 10))
        await until(lambda: len(bodies(backend)) > seen)
        assert bodies(backend)[-1] == event("TEXT", "is kept")


async def test_a_client_that_catches_up_causes_no_request(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend):
        link = over_http_link_of(app)
        link.client_behind(True)
        link.client_behind(False)
        await settle()
        assert bodies(backend) == [OPEN]


async def test_a_refresh_while_the_client_is_behind_waits(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), events(message("fresh"))) as client:
        link = over_http_link_of(app)
        link.client_behind(True)
        link.refresh()
        await settle()
        assert bodies(backend) == [OPEN]
        link.client_behind(False)
        assert await client.heard() == "fresh"
        await until_told(backend, b"")


async def test_a_client_that_waits_for_room_is_read_again_when_its_backend_is_let_go(
    app: App, backend: ScriptedBackend
) -> None:
    """Else its close, or its end, would never be seen."""
    async with over_http(app, backend, events(OPEN), gated(asyncio.Event(), events())) as client:
        await client.say("first")
        await until(lambda: len(bodies(backend)) == 2)
        frame = Frame(Opcode.BINARY, b"x" * 50_000).serialize(mask=True)
        await client.stuff(frame, at_most=32_000_000)
        session_of(app).detach()
        await until(lambda: app.counters.websocket_discarded > 5)


async def test_events_behind_the_one_that_ends_are_not_delivered(app: App, backend: ScriptedBackend) -> None:
    said = events(message("one"), event("DISCONNECT"), message("two"))
    async with over_http(app, backend, events(OPEN), said) as client:
        await client.say("x")
        assert await client.heard() == "one"
        assert await client.until_cut() == b""
    await nothing_left(app)
    assert len(bodies(backend)) == 2


@pytest.mark.parametrize(
    "bad",
    [event("TEXT", b"m:\xff"), event("PING", b"x" * 126), event("PONG", b"x" * 126)],
    ids=["no text", "long ping", "long pong"],
)
@pytest.mark.parametrize("where", ["behind open", "later"])
async def test_an_event_that_no_client_may_get_ends_it_behind_those_before(
    app: App, backend: ScriptedBackend, bad: bytes, where: str
) -> None:
    said = (message("before"), bad, message("behind"))
    scripts = (events(OPEN, *said), events()) if where == "behind open" else (events(OPEN), events(*said), events())
    async with over_http(app, backend, *scripts) as client:
        if where == "later":
            await client.say("x")
        assert await client.heard() == "before"
        assert (await client.closed()).code == 1011
        await client.put_close(1011)
        assert await client.until_closed() == b""
    await nothing_left(app)
    assert bodies(backend)[-1] == b"DISCONNECT\r\n"
    assert app.counters.websocket_backend_faults == 1


async def test_what_was_not_accepted_waits_for_the_next_message(app: App, backend: ScriptedBackend) -> None:
    async with over_http(app, backend, events(OPEN), events(headers=ACCEPT_NONE), echo) as client:
        await client.say("one")
        await until(lambda: len(bodies(backend)) == 2 and not running_tasks())
        await client.say("two")
        assert [await client.heard(), await client.heard()] == ["one", "two"]
    last = backend.requests_for("/ws")[2]
    assert last.values(b"content-bytes-replayed") == (b"3",)


async def test_a_backend_that_never_accepts_does_not_make_the_client_wait_for_ever(
    app: App, backend: ScriptedBackend
) -> None:
    def none(request: Request) -> Answer:
        return events(OPEN) if request.body == OPEN else events(headers=ACCEPT_NONE)

    async with over_http(app, backend, none) as client:
        await client.send_as_far_as_taken(Frame(Opcode.BINARY, b"x" * 150_000).serialize(mask=True) * 2)
        assert (await client.closed()).code == 1011


async def test_the_test_target_behind_a_backend_that_is_down_takes_its_place(backend: ScriptedBackend) -> None:
    await backend.refuse()
    async with running(f"* {backend.address},over_http test") as app, over_http(app, backend, path="/ws") as client:
        await client.say("echo")
        assert await client.heard() == "echo"
