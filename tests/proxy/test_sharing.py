"""Who shares a request and who does not, and what becomes of the others when it ends in any other way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import pytest

from proxy.app import App
from proxy.sharing import SHARED_LIMIT, SHARED_SECONDS
from tests.proxy.in_process import advance, gated, running
from tests.support.answers import Answer, Ending, answer, chunked, close_without_answer, head, never, text
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient, crowd
from tests.support.publisher import publish, response_item
from tests.support.turns import until

# Tests turn the clock while connections are made, which takes as long as it takes.
SETTINGS = ("proxy.share_all=true", "proxy.connect_timeout=0")


@pytest.fixture(params=["own", "aiohttp"])
async def app(request: pytest.FixtureRequest, backend: ScriptedBackend) -> AsyncGenerator[App]:
    routes = (f"* {backend.address}", f"*,path_beg=/down 127.0.0.1:{closed_port()}")
    async with running(*routes, settings=[*SETTINGS, f"proxy.backend_client={request.param}"]) as app:
        yield app


@pytest.fixture
async def clients(app: App) -> AsyncGenerator[tuple[RawClient, ...]]:
    async with crowd(app.proxy_addresses[0], 4) as clients:
        yield tuple(clients)


def has_come(app: App, count: int) -> bool:
    return app.counters.requests == count


async def all_ask(app: App, clients: tuple[RawClient, ...], path: str = "/") -> None:
    """Have each client ask, the first before the others, and return when all wait."""
    before = app.counters.requests
    for number, client in enumerate(clients, start=1):
        await client.send_request(path)
        await until(partial(has_come, app, before + number))


async def bodies(clients: tuple[RawClient, ...]) -> list[bytes]:
    return [(await client.response()).body for client in clients]


async def shared(app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend, script: Answer) -> list[bytes]:
    """Return the bodies that all clients get of a script that is held back until all have asked."""
    gate = asyncio.Event()
    backend.answers("/", gated(gate, script), *(text(b"%d" % number) for number in (2, 3, 4)))
    await all_ask(app, clients)
    gate.set()
    return await bodies(clients)


@pytest.mark.parametrize(
    "script",
    [text(b"one"), chunked(b"o", b"ne"), text(b"one", status=404), text(b"")],
    ids=["length", "chunked", "404", "empty"],
)
async def test_equal_requests_under_way_have_one_answer(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend, script: Answer
) -> None:
    found = await shared(app, clients, backend, script)
    assert (len(set(found)), len(backend.requests)) == (1, 1)
    assert app.counters.requests_shared == 3
    backend.answers("/", text(b"new"))
    assert (await clients[0].fetch("/")).body == b"new"


@pytest.mark.parametrize(
    "script",
    [
        text(b"1", headers=[(b"Set-Cookie", b"id=1")]),
        text(b"1", headers=[(b"Cache-Control", b"private")]),
        text(b"x" * (SHARED_LIMIT + 1)),
        chunked(b"x" * SHARED_LIMIT, b"x"),
    ],
    ids=["cookie", "private", "too long", "too long, chunked"],
)
async def test_an_answer_that_is_not_for_several_is_the_firsts(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend, script: Answer
) -> None:
    found = await shared(app, clients, backend, script)
    assert found[0] in (b"1", b"x" * (SHARED_LIMIT + 1))
    assert sorted(found[1:]) == [b"2", b"3", b"4"]
    assert app.counters.requests_shared == 0


async def test_one_of_just_the_limit_is_shared(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend
) -> None:
    assert await shared(app, clients, backend, text(b"x" * SHARED_LIMIT)) == [b"x" * SHARED_LIMIT] * 4


async def test_nobody_waits_for_a_body_that_takes_its_time(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend
) -> None:
    gate, rest = asyncio.Event(), asyncio.Event()
    slow = answer(gate, head(200, b"OK", [(b"Content-Length", b"8")]), b"slow", rest, b"body")
    backend.answers("/", slow, text(b"own"), text(b"own"), text(b"own"))
    await all_ask(app, clients)
    await until(lambda: len(backend.requests) == 1)
    gate.set()
    while len(backend.requests) < 4:  # its time begins when the head is here
        await advance(app, SHARED_SECONDS / 2)
    assert await bodies(clients[1:]) == [b"own"] * 3
    rest.set()
    assert await bodies(clients[:1]) == [b"slowbody"]


async def test_when_the_first_leaves_another_asks(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend
) -> None:
    backend.answers("/", never(), text(b"again"))
    await all_ask(app, clients)
    await until(lambda: len(backend.requests) == 1)
    clients[0].reset()
    assert await bodies(clients[1:]) == [b"again"] * 3
    assert len(backend.requests) == 2
    assert app.counters.requests_shared == 2


async def test_who_leaves_while_waiting_takes_nothing_from_the_others(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/", gated(gate, text(b"one")))
    await all_ask(app, clients)
    clients[1].reset()
    await until(lambda: app.counters.requests_abandoned == 1)
    gate.set()
    assert await bodies((clients[0], *clients[2:])) == [b"one"] * 3


@pytest.mark.parametrize("fault", [close_without_answer(), answer(b"no HTTP\r\n\r\n")], ids=["none", "unusable"])
async def test_a_fault_of_the_backend_is_everybodys(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend, fault: Answer
) -> None:
    found = await shared(app, clients, backend, fault)
    assert found == [b"Error while proxying to origin.\n"] * 4
    assert (len(backend.requests), app.counters.backend_failures) == (1, 4)


async def test_an_answer_that_breaks_off_is_asked_for_again_by_the_others(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend
) -> None:
    gate, rest = asyncio.Event(), asyncio.Event()
    broken = answer(gate, head(200, b"OK", [(b"Content-Length", b"8")]), b"slow", rest, Ending.CLOSE)
    backend.answers("/", broken, text(b"whole"))
    await all_ask(app, clients)
    gate.set()
    rest.set()
    assert (await clients[0].response()).status == 502
    assert await bodies(clients[1:]) == [b"whole"] * 3


async def test_answers_that_all_break_off_are_not_waited_for_one_after_the_other(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend
) -> None:
    gate, rest = asyncio.Event(), asyncio.Event()
    begins = head(200, b"OK", [(b"Content-Length", b"8")])
    backend.answers("/", answer(gate, begins, b"slow", Ending.CLOSE), answer(rest, begins, b"slow", Ending.CLOSE))
    await all_ask(app, clients)
    gate.set()
    assert (await clients[0].response()).status == 502
    await until(lambda: len(backend.requests) == 4)
    rest.set()
    for client in clients[1:]:
        assert (await client.head()).status == 200


async def test_targets_that_are_down_are_down_for_all(app: App, clients: tuple[RawClient, ...]) -> None:
    await all_ask(app, clients, "/down")
    assert await bodies(clients) == [b"Error while proxying to origin.\n"] * 4


async def test_nobody_joins_a_request_older_than_a_publication(
    app: App, clients: tuple[RawClient, ...], backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/", gated(gate, text(b"old")), gated(gate, text(b"new")))
    await all_ask(app, clients[:2])
    await until(lambda: len(backend.requests) == 1)
    await publish(app, response_item("anywhere", "x"))
    await all_ask(app, clients[2:])
    await until(lambda: len(backend.requests) == 2)
    gate.set()
    assert await bodies(clients) == [b"old", b"old", b"new", b"new"]


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("GET", [("Cookie", "user=2")], None),
        ("GET", [("Authorization", "Bearer x")], None),
        ("GET", [("X-Any", "1")], None),
        ("GET", [], b"body"),
        ("HEAD", [], None),
        ("OPTIONS", [], None),
        ("POST", [], b"body"),
    ],
)
async def test_whoever_asks_otherwise_asks_alone(
    app: App,
    clients: tuple[RawClient, ...],
    backend: ScriptedBackend,
    method: str,
    headers: list[tuple[str, str]],
    body: bytes | None,
) -> None:
    gate = asyncio.Event()
    backend.answers("/", gated(gate, text(b"1")), text(b"2"), text(b"3"))
    await all_ask(app, clients[:1])
    await until(lambda: len(backend.requests) == 1)
    for client in clients[1:3]:
        found = await client.fetch("/", method=method, headers=headers, body=body)
        assert found.status == 200
    gate.set()
    assert await bodies(clients[:1]) == [b"1"]
    assert (len(backend.requests), app.counters.requests_shared) == (3, 0)


async def test_without_the_setting_everybody_asks_alone(backend: ScriptedBackend) -> None:
    async with running(f"* {backend.address}") as app, crowd(app.proxy_addresses[0], 2) as clients:
        gate = asyncio.Event()
        backend.answers("/", gated(gate, text(b"1")), text(b"2"))
        await all_ask(app, tuple(clients[:1]))
        await until(lambda: len(backend.requests) == 1)
        assert (await clients[1].fetch("/")).body == b"2"
        gate.set()
