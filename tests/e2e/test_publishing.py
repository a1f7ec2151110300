"""What the sequence of publications does to delivery (reference 3.11; rows H38, H39, P03, P04)."""

from __future__ import annotations

import pytest

from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import Publisher, publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_id_seen_within_a_minute_is_delivered_once(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H39: per channel, counted, also when nobody was there the first time; after id_cache_ttl it is new again."""
    await publish(app, stream_item("h39", "before", id="0"))
    await open_stream(client, backend, "/h39", grip_stream("h39", "h39-other"))
    duplicates = (await app.counters())["publications_duplicate"]
    await publish(
        app,
        stream_item("h39", "before again", id="0"),
        stream_item("h39", "one", id="1"),
        stream_item("h39", "again", id="1"),
        stream_item("h39-other", "two", id="1"),
    )
    await publish(app, stream_item("h39", "and again", id="1"), stream_item("h39", "three"))
    assert await client.read_until(b"three\r\n") == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n"
    assert (await app.counters())["publications_duplicate"] == duplicates + 3
    await app.advance(61)
    await publish(app, stream_item("h39", "new", id="1"))
    assert await client.chunk() == b"new"


async def test_an_item_with_no_seq_is_delivered_at_once(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H38: whatever its prev-id."""
    await open_stream(client, backend, "/h38", grip_stream("h38"))
    await publish(app, stream_item("h38", "one", id="1"))
    await publish(app, stream_item("h38", "nine", id="9", **{"prev-id": "8", "no-seq": True}))
    assert await client.chunk() == b"one"
    assert await client.chunk() == b"nine"


async def test_one_bad_item_means_that_none_is_delivered(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """P03: 400 with the reason."""
    await open_stream(client, backend, "/p03", grip_stream("p03"))
    async with await Publisher.connect(app) as publisher:
        response = await publisher.publish(stream_item("p03", "good"), {"channel": "p03"})
        assert response.status == 400
        assert response.body.startswith(b"Invalid format: ")
    await publish(app, stream_item("p03", "barrier"))
    assert await client.chunk() == b"barrier"


async def test_formats_may_stand_in_the_item_itself(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """P04: and a bare item, without `items`, is accepted."""
    await open_stream(client, backend, "/p04", grip_stream("p04"))
    await publish(app, {"channel": "p04", "http-stream": {"content": "flat"}})
    assert await client.chunk() == b"flat"
    async with await Publisher.connect(app) as publisher:
        await publisher.send_body(b'{"channel": "p04", "http-stream": {"content": "bare"}}')
        assert (await publisher.answer()).body == b"Published\n"
    assert await client.chunk() == b"bare"
