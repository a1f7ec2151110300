"""Requests that clients share (`proxy.share_all`, reference 3.15): each is held by itself, and misses nothing.

Each worker shares its own, so that with several there is one request of each at most.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.support.answers import Answer, answer, grip_response, grip_stream, text
from tests.support.app_process import WORKERS, AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd
from tests.support.publisher import close_item, hint_item, publish, response_item, stream_item
from tests.support.turns import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 8


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return ("proxy.share_all=true",)


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (f"*,aco {backend.address}",)


def held_back(gate: asyncio.Event, script: Answer) -> Answer:
    return answer(gate, *script.steps)


async def ask(app: AppProcess, clients: list[RawClient], backend: ScriptedBackend, path: str, script: Answer) -> None:
    """Have all ask before the backend answers; return when it has."""
    gate = asyncio.Event()
    backend.answers(path, held_back(gate, script))
    before = (await app.counters())["requests"]
    for client in clients:
        await client.send_request(path)
    await app.until(lambda counters: counters["requests"] == before + len(clients))
    await until(lambda: bool(backend.requests_for(path)))
    gate.set()


async def hold(app: AppProcess, clients: list[RawClient], backend: ScriptedBackend, path: str, script: Answer) -> None:
    opened = (await app.counters())["sessions_opened"]
    await ask(app, clients, backend, path, script)
    await app.until(lambda counters: counters["sessions_opened"] == opened + len(clients))


async def test_all_get_what_one_was_answered(app: AppProcess, backend: ScriptedBackend) -> None:
    before = (await app.counters())["requests_shared"]
    async with crowd(app.proxy_address, CLIENTS) as clients:
        await ask(app, clients, backend, "/plain", text(b"one"))
        assert [(await client.response()).body for client in clients] == [b"one"] * CLIENTS
    requests = len(backend.requests_for("/plain"))
    assert 1 <= requests <= WORKERS
    assert (await app.counters())["requests_shared"] == before + CLIENTS - requests
    if WORKERS == 1:
        assert await app.log_line("GET http://example.com/plain -> .* code=200 3 shared=0x[0-9a-f]+$")


async def test_each_is_held_and_answered_by_itself(app: AppProcess, backend: ScriptedBackend) -> None:
    async with crowd(app.proxy_address, CLIENTS) as clients:
        await hold(app, clients, backend, "/poll", grip_response("shared-poll", body=b"late\n"))
        assert 1 <= len(backend.requests_for("/poll")) <= WORKERS
        clients[0].reset()
        await app.until(lambda counters: counters["sessions_response"] == CLIENTS - 1)
        await publish(app, response_item("shared-poll", "now\n"))
        assert [(await client.response()).body for client in clients[1:]] == [b"now\n"] * (CLIENTS - 1)


async def test_streams_begin_with_the_same_and_go_on_together(app: AppProcess, backend: ScriptedBackend) -> None:
    async with crowd(app.proxy_address, CLIENTS) as clients:
        await hold(app, clients, backend, "/stream", grip_stream("shared-stream", body=b"open\n"))
        assert 1 <= len(backend.requests_for("/stream")) <= WORKERS
        await publish(app, stream_item("shared-stream", "news\n"))
        await app.settle()
        await publish(app, close_item("shared-stream"))
        for client in clients:
            assert await client.body(await client.head()) == b"open\nnews\n"


async def test_a_crowd_that_is_told_to_ask_again_asks_once(app: AppProcess, backend: ScriptedBackend) -> None:
    async with crowd(app.proxy_address, CLIENTS) as clients:
        await hold(app, clients, backend, "/again", grip_response("shared-hint"))
        before = len(backend.requests_for("/again"))
        backend.answers("/again", text(b"fresh\n"))
        await publish(app, hint_item("shared-hint"))
        assert [(await client.response()).body for client in clients] == [b"fresh\n"] * CLIENTS
        assert 1 <= len(backend.requests_for("/again")) - before <= WORKERS


async def test_users_are_not_each_other(app: AppProcess, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.answers("/user", held_back(gate, text(b"somebody's")))
    async with crowd(app.proxy_address, 2) as clients:
        for number, client in enumerate(clients):
            await client.send_request("/user", headers=[("Cookie", f"user={number}")])
        await until(lambda: len(backend.requests_for("/user")) == 2)
        gate.set()
        for client in clients:
            assert (await client.response()).status == 200


async def test_scripts_and_plain_requests_share_what_is_meant(app: AppProcess, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.answers("/jsonp", held_back(gate, text(b"1")))
    before = (await app.counters())["requests"]
    async with crowd(app.proxy_address, 3) as clients:
        for client, query in zip(clients, ("", "?callback=a", "?callback=b"), strict=True):
            await client.send_request(f"/jsonp{query}")
        await app.until(lambda counters: counters["requests"] == before + 3)
        await until(lambda: bool(backend.requests_for("/jsonp")))
        gate.set()
        found = [(await client.response()).body for client in clients]
    assert (found[0], found[1][:7], found[2][:7]) == (b"1", b"/**/a({", b"/**/b({")
    assert 1 <= len(backend.requests_for("/jsonp")) <= WORKERS
