"""Requests for a session's frames: answered at once where something waits, held where nothing does."""

from __future__ import annotations

from proxy.app import App
from tests.proxy.in_process import advance, client_of
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.events import OPEN, events, message
from tests.support.turns import settle


async def test_what_waits_is_answered_without_a_hold(app: App, client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/s", events(OPEN, message("1"), message("2")), events())
    bodies = [(await client.fetch("/s/0/a/xhr", method="POST", body=b"")).body for _ in range(2)]
    assert bodies == [b"o\n", b'a["1","2"]\n']


async def test_an_old_client_gets_its_answer_and_the_end(client: RawClient) -> None:
    await client.send(encode_request("/s/0/a/xhr", method="POST", body=b"", version="1.0"))
    assert (await client.until_closed()).endswith(b"\r\n\r\no\n")


async def test_a_held_poll_gives_its_connection_back(app: App, client: RawClient) -> None:
    await client.fetch("/s/0/a/xhr", method="POST", body=b"")
    await client.send_request("/s/0/a/xhr", method="POST", body=b"")
    await settle()
    await client.send_request("/s/info")
    await advance(app, 25.2)
    assert (await client.response()).body == b"h\n"
    assert b"entropy" in (await client.response()).body


async def test_a_second_one_is_counted_and_told(app: App, client: RawClient) -> None:
    await client.fetch("/s/0/a/xhr", method="POST", body=b"")
    await client.send_request("/s/0/a/xhr", method="POST", body=b"")
    async with await client_of(app) as other:
        for transport, method in (("xhr", "POST"), ("eventsource", "GET")):
            answer = await other.fetch(f"/s/0/a/{transport}", method=method, body=b"" if method == "POST" else None)
            assert b'c[2010,"Another connection still open"]' in answer.body
    assert app.counters.sockjs_polls_refused == 2


async def test_a_head_has_no_body(client: RawClient) -> None:
    assert (await client.fetch("/s/info", method="HEAD")).status == 404


async def test_a_body_that_comes_late_is_not_the_next_request(
    app: App, client: RawClient, backend: ScriptedBackend
) -> None:
    """Behind a proxy that shares its connections it would be somebody else's."""
    await client.fetch("/s/0/a/xhr", method="POST", body=b"")
    inner = encode_request("/smuggled")
    await client.send_request("/s/0/a/xhr", method="POST", headers=[("Content-Length", f"{len(inner)}")])
    await settle()
    await client.send(inner)
    await client.send_request("/s/info")
    await settle()
    await advance(app, 25.2)
    assert (await client.response()).body == b"h\n"
    assert b"entropy" in (await client.response()).body
    assert [request.target for request in backend.requests] == [b"/s"]


async def test_one_that_is_too_long_is_refused(client: RawClient) -> None:
    answer = await client.fetch("/s/0/a/xhr", method="POST", body=b" " * 1_048_577)
    assert (answer.status, answer.body) == (400, b"Request too large.\n")
