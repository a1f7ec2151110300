"""Items that come before the one they follow, and answers that a publication patches (reference 3.10, 6.3; rows H21,
H36 to H38)."""

from __future__ import annotations

import pytest

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_response, grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (f"* {backend.address}",)


async def open_behind_one(app: AppProcess, client: RawClient, backend: ScriptedBackend, channel: str) -> None:
    """Hold a stream that has had `q1`."""
    await open_stream(client, backend, f"/{channel}", grip_stream(channel, body=b"open "))
    assert await client.chunk() == b"open "
    await publish(app, stream_item(channel, "q1 ", id="1"))
    assert await client.chunk() == b"q1 "


async def test_h36_an_item_waits_for_the_one_before_it(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_behind_one(app, client, backend, "h36")
    await publish(app, stream_item("h36", "q3 ", **{"id": "3", "prev-id": "2"}))
    await app.advance(4.9)
    assert client.pending() == b""
    await publish(app, stream_item("h36", "q2 ", **{"id": "2", "prev-id": "1"}))
    assert [await client.chunk(), await client.chunk()] == [b"q2 ", b"q3 "]


async def test_h37_it_does_not_wait_for_ever(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    await open_behind_one(app, client, backend, "h37")
    await publish(app, stream_item("h37", "q3 ", **{"id": "3", "prev-id": "2"}))
    await app.advance(4.9)
    assert client.pending() == b""
    await app.advance(1.1)
    assert await client.chunk() == b"q3 "


async def test_h38_one_that_is_to_wait_for_none_does_not(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_behind_one(app, client, backend, "h38")
    await publish(app, stream_item("h38", "q3 ", **{"id": "3", "prev-id": "2", "no-seq": True}))
    assert await client.chunk() == b"q3 "


async def test_h21_a_patch_makes_the_answer_of_what_was_held(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/h21", grip_response("h21", body=b'{"b": [1, 2], "a": {"y": 1}}\n'))
    patch = [{"op": "add", "path": "/a/x", "value": 2}, {"op": "remove", "path": "/b/0"}]
    await publish(app, {"channel": "h21", "formats": {"http-response": {"body-patch": patch}}})
    assert (await client.response()).body == b'{"a":{"x":2,"y":1},"b":[2]}\n'
