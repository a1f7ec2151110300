"""What is under a SockJS path without a session: info, iframes, preflights (reference 8.1; row W38)."""

from __future__ import annotations

import json

import pytest

from tests.e2e.sockjs import ORIGIN
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.websocket import handshake

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = 'https://cdn.example/sockjs.js?a="b'


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (f"*,sockjs=/sjs/ {backend.address},over_http",)


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return (f"proxy.sockjs_url={SCRIPT}",)


async def test_info(client: RawClient) -> None:
    answers = [await client.fetch("/sjs/info?t=1", headers=[ORIGIN]) for _ in range(2)]
    first, second = (json.loads(answer.body) for answer in answers)
    assert first.pop("entropy") != second.pop("entropy")
    assert first == {"websocket": True, "origins": ["*:*"], "cookie_needed": False}
    assert answers[0].values(b"content-type") == (b"application/json; charset=UTF-8",)
    assert answers[0].values(b"access-control-allow-origin") == (b"http://page.example",)
    assert answers[0].values(b"access-control-allow-credentials") == (b"true",)
    assert answers[0].values(b"cache-control") == (b"no-store, no-cache, must-revalidate, max-age=0",)


@pytest.mark.parametrize("path", ["/sjs", "/sjs/"])
async def test_greeting(client: RawClient, path: str) -> None:
    answer = await client.fetch(path)
    assert (answer.status, answer.body) == (200, b"Welcome to SockJS!\n")


@pytest.mark.parametrize("path", ["/sjs/iframe.html", "/sjs/iframe-1.6.1.html", "/sjs/iframe.html?t=1"])
async def test_iframe(client: RawClient, path: str) -> None:
    answer = await client.fetch(path)
    assert answer.status == 200
    assert answer.values(b"content-type") == (b"text/html; charset=UTF-8",)
    assert answer.values(b"cache-control") == (b"public, max-age=31536000",)
    assert b'<script src="https://cdn.example/sockjs.js?a=&quot;b"></script>' in answer.body
    (etag,) = answer.values(b"etag")
    again = await client.fetch(path, headers=[("If-None-Match", etag.decode())])
    assert (again.status, again.body, again.values(b"content-type")) == (304, b"", ())
    other = await client.fetch(path, headers=[("If-None-Match", '"another"')])
    assert other.status == 200


async def test_without_a_script_there_is_no_iframe(backend: ScriptedBackend) -> None:
    async with (
        AppProcess(f"*,sockjs=/sjs {backend.address}") as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert (await client.fetch("/sjs/iframe.html")).status == 404


@pytest.mark.parametrize("path", ["/sjs/info", "/sjs/000/s/xhr", "/sjs/000/s/xhr_send"])
async def test_preflight(client: RawClient, path: str) -> None:
    asking = [
        ORIGIN,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type, x-a"),
    ]
    answer = await client.fetch(path, method="OPTIONS", headers=asking)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.values(b"access-control-allow-origin") == (b"http://page.example",)
    assert answer.values(b"access-control-allow-methods") == (b"OPTIONS, GET, POST",)
    assert answer.values(b"access-control-allow-headers") == (b"content-type, x-a",)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sjs/nope"),
        ("GET", "/sjs/000/s/xhr"),
        ("POST", "/sjs/000/s/eventsource"),
        ("POST", "/sjs/000/s/xhr_send"),
        ("POST", "/sjs/000/s/jsonp_send"),
        ("POST", "/sjs/0.0/s/xhr"),
        ("POST", "/sjs/000/s.t/xhr"),
        ("POST", "/sjs//s/xhr"),
        ("POST", "/sjs/000//xhr"),
        ("POST", "/sjs/000/s/xhr/"),
        ("POST", "/sjs/000/s/websocket"),
        ("GET", "/sjs/000/s/websocket"),
        ("GET", "/sjs/websocket"),
        ("POST", "/sjs/info"),
    ],
)
async def test_anything_else_is_not_there(client: RawClient, method: str, path: str) -> None:
    body = b'["x"]' if method == "POST" else None
    answer = await client.fetch(path, method=method, headers=[ORIGIN], body=body)
    assert (answer.status, answer.body) == (404, b"Not Found\n")
    assert answer.values(b"access-control-allow-origin") == (b"http://page.example",)


@pytest.mark.parametrize("path", ["/sjs/info", "/sjs/000/s/xhr"])
async def test_nor_is_another_websocket(client: RawClient, path: str) -> None:
    assert (await client.fetch(path, headers=handshake())).status == 404


async def test_what_is_beside_it_is_the_backends(client: RawClient, backend: ScriptedBackend) -> None:
    assert (await client.fetch("/sjsx")).body == b"hello\n"
    assert (await backend.request()).target == b"/sjsx"
