"""Requests of routes with `aco`: what the flow goes on with. End to end: tests/e2e/test_cross_origin, test_jsonp."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import jwt
import pytest

from proxy.app import App
from proxy.cross_origin import SCRIPT_LIMIT
from tests.proxy.in_process import client_of, clock_of, running
from tests.support.answers import chunked, text
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient

KEY = "an upstream key that is long enough"


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(
        f"*,aco {backend.address}",
        f"*,path_beg=/old/,replace_beg=/new/,as_host=as.example,mercure_link,aco {backend.address}",
        settings=[f"proxy.upstream_key={KEY}"],
    ) as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await client_of(app) as client:
        yield client


async def test_the_route_changes_the_request_that_is_meant(client: RawClient, backend: ScriptedBackend) -> None:
    found = await client.fetch("/old/a?callback=cb&_method=PUT&x=1")
    assert b'"Link":"<' in found.body
    request = await backend.request()
    assert (request.method, request.target, request.values(b"host")) == (b"PUT", b"/new/a?x=1", (b"as.example",))


async def test_requests_of_one_connection_do_not_get_each_others(client: RawClient, backend: ScriptedBackend) -> None:
    for query, method in (("callback=cb&_method=PUT", b"PUT"), ("a=b", b"GET"), ("callback=cb", b"GET")):
        found = await client.fetch(f"/?{query}")
        assert (await backend.request()).method == method
        assert found.body.startswith(b"/**/cb(") is query.startswith("callback")


async def test_an_answer_without_a_length_is_read_to_the_limit(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/", chunked(b"x" * SCRIPT_LIMIT), chunked(b"x" * SCRIPT_LIMIT, b"x"))
    assert b'"code": 200' in (await client.fetch("/?callback=cb")).body[:30]
    assert b'"code": 502' in (await client.fetch("/?callback=cb")).body[:30]


async def test_a_proxy_in_front_gets_answers_as_they_are(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    """R34: it does what is to be done for its clients, this too."""
    backend.default = text(b"as it is", headers=[(b"Grip-Hold", b"stream")])
    token = jwt.encode({"iss": "front", "exp": int(clock_of(app).wall()) + 60}, KEY, algorithm="HS256")
    found = await client.fetch("/?callback=cb", headers=[("Grip-Sig", token)])
    assert (found.body, found.values(b"grip-hold")) == (b"as it is", (b"stream",))
    assert (await backend.request()).target == b"/?callback=cb"
    assert found.values(b"access-control-allow-origin") == (b"*",)


async def test_a_websocket_is_opened_to_nobody(client: RawClient, backend: ScriptedBackend) -> None:
    backend.default = text(b"no", status=403)
    shake = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ]
    found = await client.fetch("/?callback=cb", headers=[*shake, ("Connection", "Upgrade")])
    assert (found.status, found.values(b"access-control-allow-origin")) == (403, ())
