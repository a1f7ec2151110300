"""How a backend's answer becomes an instruct, or 502 (reference 3.2 to 3.5; rows H06, H08, H12, H13, H41, H46)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_instruct, grip_response, grip_stream, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import publish, response_item, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILURE = b"Error while proxying to origin.\n"
CONTENT_FILTERED = "filtered; filter=build-id; filter=var-subst"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast with a plain and a debug route."""
    async with AppProcess(f"* {backend.address}", f"debug.test,debug {backend.address}") as app:
        yield app


async def test_only_exposed_headers_reach_the_client(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H06: for a stream, a long poll and an answer that is not held."""
    shown = [("X-One", "1"), ("X-Two", "2"), ("X-Three", "3"), ("Grip-Expose-Headers", "x-one, X-Three")]
    answered = await open_stream(client, backend, "/h06", grip_stream("h06", headers=shown))
    assert answered.names() == (b"x-one", b"x-three", b"connection", b"transfer-encoding")
    async with await RawClient.connect(app.proxy_address) as poll:
        await open_poll(app, poll, backend, "/h06-poll", grip_response("h06", headers=shown))
        await publish(app, response_item("h06", "body"))
        assert (await poll.response()).head.names() == (b"x-one", b"x-three", b"content-length")
        backend.answers("/h06-plain", text(headers=[(name.encode(), value.encode()) for name, value in shown]))
        assert (await poll.fetch("/h06-plain")).head.names() == (b"x-one", b"x-three", b"content-length")


@pytest.mark.parametrize(
    ("value", "status", "reason"), [("404 Nope", 404, b"Nope"), ("201", 201, b"Created"), ("299", 299, None)]
)
async def test_grip_status_replaces_the_status(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, value: str, status: int, reason: bytes | None
) -> None:
    """H08: with and without a hold; a missing reason is the standard one."""
    given = [("Grip-Status", value)]
    plain = text(b"plain\n", headers=[(b"Grip-Status", value.encode())])
    backend.answers("/h08-plain", plain)
    response = await client.fetch("/h08-plain")
    assert (response.status, response.body) == (status, b"plain\n")
    assert reason is None or response.reason == reason
    await open_poll(app, client, backend, "/h08-poll", grip_response("h08", headers=given, body=b"late\n"))
    await app.advance(56)
    response = await client.response()
    assert (response.status, response.body) == (status, b"late\n")
    answered = await open_stream(client, backend, "/h08", grip_stream("h08", headers=given))
    assert answered.status == status
    assert reason is None or answered.reason == reason


BAD_HEADERS = {
    "a hold that does not exist": [("Grip-Hold", "maybe")],
    "a timeout that is no number": [("Grip-Hold", "response"), ("Grip-Channel", "c"), ("Grip-Timeout", "soon")],
    "a negative timeout": [("Grip-Hold", "response"), ("Grip-Channel", "c"), ("Grip-Timeout", "-1")],
    "too many filters": [("Grip-Hold", "stream"), ("Grip-Channel", "c" + "; filter=skip-self" * 6)],
    "an empty keep-alive": [("Grip-Hold", "stream"), ("Grip-Channel", "c"), ("Grip-Keep-Alive", "; timeout=5")],
    "a keep-alive of bad base64": [("Grip-Hold", "stream"), ("Grip-Keep-Alive", "%%%; format=base64")],
    "a keep-alive of bad cstring": [("Grip-Hold", "stream"), ("Grip-Keep-Alive", "\\xZZ; format=cstring")],
    "a keep-alive of unknown format": [("Grip-Hold", "stream"), ("Grip-Keep-Alive", "x; format=runes")],
    "a keep-alive of negative timeout": [("Grip-Hold", "stream"), ("Grip-Keep-Alive", "x; timeout=-5")],
    "a keep-alive of unknown mode": [("Grip-Hold", "stream"), ("Grip-Keep-Alive", "x; mode=often")],
    "a status that is no number": [("Grip-Status", "great")],
    "a status out of range": [("Grip-Status", "1000")],
}


@pytest.mark.parametrize("headers", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
async def test_an_instruct_that_cannot_be_obeyed_is_502(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, headers: list[tuple[str, str]]
) -> None:
    """H12: without the reason for a client, with it on a debug route; the connection goes on."""
    refused = (await app.counters())["instructs_refused"]
    backend.answers("/h12", text(b"x", headers=[(name.encode(), value.encode()) for name, value in headers]))
    response = await client.fetch("/h12")
    assert (response.status, response.body) == (502, FAILURE)
    response = await client.fetch("/h12", host="debug.test")
    assert response.status == 502
    assert response.body.startswith(b"Failed to parse accept instructions: ")
    assert len(response.body) > len(b"Failed to parse accept instructions: \n")
    assert (await app.counters())["instructs_refused"] == refused + 2


BAD_BODIES: dict[str, object] = {
    "no object": [],
    "a hold that is no object": {"hold": 5},
    "a mode that does not exist": {"hold": {"mode": "maybe", "channels": []}},
    "a hold without channels": {"hold": {"mode": "stream"}},
    "a channel without a name": {"hold": {"mode": "stream", "channels": [{"prev-id": "1"}]}},
    "a channel that is a string": {"hold": {"mode": "stream", "channels": ["c"]}},
    "too many filters": {"hold": {"mode": "stream", "channels": [{"name": "c", "filters": ["skip-self"] * 6}]}},
    "a timeout of text": {"hold": {"mode": "response", "channels": [], "timeout": "soon"}},
    "a negative timeout": {"hold": {"mode": "response", "channels": [], "timeout": -1}},
    "bad base64": {"response": {"body-bin": "%%%"}},
    "a code out of range": {"response": {"code": 1000}},
    "a header with a line break": {"response": {"headers": [["X-A", "1\r\nX-B: 2"]]}},
    "headers of the wrong shape": {"response": {"headers": [["X-A"]]}},
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_body_that_cannot_be_obeyed_is_502(client: RawClient, backend: ScriptedBackend, body: object) -> None:
    """H12, H13."""
    backend.answers("/h13-bad", grip_instruct(body))
    response = await client.fetch("/h13-bad")
    assert (response.status, response.body) == (502, FAILURE)
    response = await client.fetch("/h13-bad", host="debug.test")
    assert response.body.startswith(b"Failed to parse accept instructions: ")


async def test_an_instruct_body_must_be_json_and_come_with_200(client: RawClient, backend: ScriptedBackend) -> None:
    """H13, reference 3.4."""
    kind = [(b"Content-Type", b"application/grip-instruct")]
    backend.answers("/h13-json", text(b"{not json", headers=kind))
    assert (await client.fetch("/h13-json")).status == 502
    backend.answers("/h13-201", grip_instruct({"response": {"body": "x"}}, status=201))
    response = await client.fetch("/h13-201", host="debug.test")
    assert response.status == 502
    assert b"response code for application/grip-instruct content must be 200" in response.body


async def test_every_field_of_an_instruct_body_counts(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H13: mode, channels, timeout, keep-alive, meta; code, reason, headers, body."""
    instruct = {
        "hold": {
            "mode": "stream",
            "channels": [{"name": "h13"}, {"name": "h13-b", "filters": ["skip-self"]}],
            "timeout": 20,
            "keep-alive": {"content": "beat\n", "timeout": 10},
            "meta": {"user": "alice"},
        },
        "response": {
            "code": 206,
            "reason": "Mine",
            "headers": {"X-A": "1", "Content-Type": "text/x"},
            "body": "open\n",
        },
    }
    script = grip_instruct(instruct, headers=[("X-Dropped", "1"), ("Grip-Channel", "h13-header")])
    answered = await open_stream(client, backend, "/h13", script)
    assert (answered.status, answered.reason) == (206, b"Mine")
    assert sorted(answered.names()) == [b"connection", b"content-type", b"transfer-encoding", b"x-a"]
    assert await client.chunk() == b"open\n"
    for channel in ("h13", "h13-b", "h13-header"):
        await publish(app, stream_item(channel, channel))
        assert await client.chunk() == channel.encode()
    await app.advance(10.2)
    assert await client.chunk() == b"beat\n"


async def test_an_instruct_body_can_hold_a_poll(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """H13: `response` is the default mode; header pairs and body-bin."""
    instruct = {
        "hold": {"channels": [{"name": "h13-poll"}], "timeout": 7},
        "response": {"headers": [["X-A", "1"], ["X-A", "2"]], "body-bin": "AAH/"},
    }
    await open_poll(app, client, backend, "/h13-poll", grip_instruct(instruct))
    await app.advance(7.2)
    response = await client.response()
    assert (response.status, response.body) == (200, b"\x00\x01\xff")
    assert response.values(b"x-a") == (b"1", b"2")


async def test_an_instruct_body_without_a_hold_is_an_answer(client: RawClient, backend: ScriptedBackend) -> None:
    """H13."""
    backend.answers("/h13-plain", grip_instruct({"response": {"code": 418, "body": "tea\n"}}))
    response = await client.fetch("/h13-plain")
    assert (response.status, response.body) == (418, b"tea\n")


async def test_content_filters_must_equal_the_subscriptions(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H41: the item is for those sessions alone whose content filters are the very list it names."""
    await open_stream(client, backend, "/h41", grip_stream("filtered"))
    async with await RawClient.connect(app.proxy_address) as filtering:
        await open_stream(
            filtering, backend, "/h41-f", grip_stream(CONTENT_FILTERED, headers=[("Grip-Set-Meta", "id_format=x")])
        )
        await publish(
            app,
            {"channel": "filtered", "http-stream": {"content": "both", "content-filters": ["build-id", "var-subst"]}},
            {"channel": "filtered", "http-stream": {"content": "none", "content-filters": []}},
        )
        assert await filtering.chunk() == b"both"
        assert await client.chunk() == b"none"


@pytest.mark.parametrize("code", [204, 304])
async def test_a_stream_that_cannot_have_a_body_is_not_held(
    client: RawClient, backend: ScriptedBackend, code: int
) -> None:
    """H46: 204 and 304 end with their head, and the connection goes on."""
    backend.answers("/h46", grip_stream("h46", headers=[("Grip-Status", str(code))]))
    response = await client.fetch("/h46")
    assert (response.status, response.body) == (code, b"")
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_head_request_is_told_of_the_stream_and_not_held(client: RawClient, backend: ScriptedBackend) -> None:
    """H46."""
    backend.answers("/h46-head", grip_stream("h46-head", body=b""))
    response = await client.fetch("/h46-head", method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert (await client.fetch("/next")).body == b"hello\n"
