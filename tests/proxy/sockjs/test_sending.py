"""Requests with a client's messages: read within a bound, in whichever form."""

from __future__ import annotations

import asyncio
import json

import pytest

from proxy.app import App
from tests.proxy.in_process import advance, client_of, gated
from tests.support.answers import text
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.events import OPEN, event, events
from tests.support.turns import settle, until


@pytest.fixture(autouse=True)
async def _opened(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    assert (await client.fetch("/s/0/a/xhr", method="POST", body=b"")).body == b"o\n"
    assert (await backend.request()).body == OPEN


@pytest.mark.parametrize(
    ("target", "headers", "body", "status"),
    [
        ("/s/0/a/xhr_send", [], b'["x"]', 204),
        ("/s/0/a/xhr_send", [("Content-Type", "application/json")], b'["x"]', 204),
        ("/s/0/a/jsonp_send", [("Content-Type", "application/x-www-form-urlencoded")], b"d=%5B%22x%22%5D", 200),
        ("/s/0/a/jsonp_send", [("Content-Type", "application/x-www-form-urlencoded; charset=x")], b"d=[%22x%22]", 200),
        ("/s/0/a/jsonp_send", [("Content-Type", "text/plain")], b'["x"]', 200),
        ("/s/0/a/jsonp_send", [], b"d=%5B%22x%22%5D", 200),
    ],
)
async def test_a_message_is_sent_on(
    client: RawClient, backend: ScriptedBackend, target: str, headers: list[tuple[str, str]], body: bytes, status: int
) -> None:
    assert (await client.fetch(target, method="POST", headers=headers, body=body)).status == status
    assert (await backend.request()).body == event("TEXT", "x")


async def test_a_message_in_a_query(client: RawClient, backend: ScriptedBackend) -> None:
    answer = await client.fetch("/s/0/a/jsonp_send?d=%5B%22x%22%5D")
    assert (answer.status, answer.body) == (200, b"ok")
    assert (await backend.request()).body == event("TEXT", "x")


async def test_who_waits_to_be_asked_for_the_body_is(client: RawClient, backend: ScriptedBackend) -> None:
    request = encode_request(
        "/s/0/a/xhr_send", method="POST", headers=[("Expect", "100-continue"), ("Content-Length", "5")]
    )
    await client.send(request)
    assert (await client.head()).status == 100
    await client.send(b'["x"]')
    assert (await client.response()).status == 204
    assert (await backend.request()).body == event("TEXT", "x")


async def test_a_body_that_is_too_long_is_refused_and_counted(app: App, client: RawClient) -> None:
    answer = await client.fetch("/s/0/a/xhr_send", method="POST", body=b" " * 1_048_577)
    assert (answer.status, answer.body) == (400, b"Request too large.\n")
    assert app.counters.requests_refused == 1


async def test_what_the_backend_has_left_is_not_there_any_more(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/s", events(event("CLOSE")))
    assert (await client.fetch("/s/0/a/xhr_send", method="POST", body=b'["x"]')).status == 204
    assert (await client.fetch("/s/0/a/xhr", method="POST", body=b"")).body == b'c[1000,""]\n'
    assert (await client.fetch("/s/0/a/xhr_send", method="POST", body=b'["x"]')).status == 404


async def test_nor_is_what_is_left_while_the_message_is_on_its_way(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    async with await client_of(app) as other:
        await other.send_request("/s/0/a/xhr_send", method="POST", headers=[("Content-Length", "5")])
        await settle()
        await advance(app, 5.2)
        assert (await backend.request()).body == b"DISCONNECT\r\n"
        await other.send(b'["x"]')
        assert (await other.response()).status == 404
    assert len(backend.requests) == 2


async def test_what_ends_while_messages_wait_has_not_taken_them(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/s", gated(gate, events(event("CLOSE", b"\x0f\xa2bye"))))
    assert (await client.fetch("/s/0/a/xhr_send", method="POST", body=b'["first"]')).status == 204
    assert (await backend.request()).body == event("TEXT", "first")
    body = json.dumps(["x" * 150_000, "y" * 150_000]).encode()
    await client.send_request("/s/0/a/xhr_send", method="POST", body=body)
    await settle()
    assert client.pending() == b""
    gate.set()
    assert (await client.response()).status == 404
    assert (await client.fetch("/s/0/a/xhr", method="POST", body=b"")).body == b'c[4002,"bye"]\n'


async def test_who_waits_for_a_busy_backend_and_leaves_is_not_waited_for(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/s", gated(gate, events()), events())
    assert (await client.fetch("/s/0/a/xhr_send", method="POST", body=b'["first"]')).status == 204
    async with await client_of(app) as other:
        body = json.dumps(["x" * 150_000, "y" * 150_000]).encode()
        await other.send_request("/s/0/a/xhr_send", method="POST", body=body)
        await settle()
        assert (await client.fetch("/s/0/a/xhr_send", method="POST", body=b'["z"]')).body == b"Already sending\n"
    await until(lambda: app.counters.requests_abandoned == 1)
    await client.send_request("/s/0/a/xhr_send", method="POST", body=b'["z"]')
    await settle()
    gate.set()
    assert (await client.response()).status == 204


async def test_a_message_that_comes_while_the_session_opens_waits_for_that(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/s", gated(gate, events(OPEN, event("TEXT", "m:hi"))), events())
    async with await client_of(app) as first, await client_of(app) as second:
        await first.send_request("/s/0/b/xhr", method="POST", body=b"")
        assert (await backend.request()).body == OPEN
        await second.send_request("/s/0/b/xhr_send", method="POST", body=b'["early"]')
        await settle()
        assert second.pending() == b""
        assert (await client.fetch("/s/0/b/xhr_send", method="POST", body=b'["x"]')).body == b"Already sending\n"
        gate.set()
        assert (await second.response()).status == 204
        assert (await first.response()).body == b"o\n"
    assert (await backend.request()).body == event("TEXT", "early")


@pytest.mark.parametrize("leaves", [True, False])
async def test_one_for_a_session_that_does_not_open_is_not_taken(
    app: App, client: RawClient, backend: ScriptedBackend, leaves: bool
) -> None:
    gate = asyncio.Event()
    backend.answers("/s", gated(gate, text("no\n", status=403)))
    async with await client_of(app) as first:
        await first.send_request("/s/0/b/xhr", method="POST", body=b"")
        assert (await backend.request()).body == OPEN
        await client.send_request("/s/0/b/xhr_send", method="POST", body=b'["early"]')
        await settle()
        if leaves:
            first.close()
        else:
            gate.set()
        assert (await client.response()).status == 404
    gate.set()
