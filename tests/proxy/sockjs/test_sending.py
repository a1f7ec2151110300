"""Requests with a client's messages: read within a bound, in whichever form."""

from __future__ import annotations

import pytest

from proxy.app import App
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.events import OPEN, event, events


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
