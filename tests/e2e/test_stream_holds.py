"""Streams: one request, one answer that grows with every publication (reference 3.7; rows H01, H14, H15, H22, H34)."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.holding import open_stream
from tests.support.answers import answer, chunked, grip_instruct, grip_stream, head, to_eof
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.publisher import Publisher, close_item, publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_stream_gets_its_body_at_once_and_then_each_publication(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H01: chunked, the backend's own headers kept, Grip-* and the length gone."""
    script = grip_stream("h01", body=b"open\n", headers=[("X-Keep", "1")])
    answered = await open_stream(client, backend, "/h01", script)
    assert (answered.status, answered.reason) == (200, b"OK")
    assert answered.is_chunked()
    assert answered.values(b"content-type") == (b"text/plain",)
    assert answered.values(b"x-keep") == (b"1",)
    assert answered.values(b"content-length") == ()
    assert not [name for name in answered.names() if name.startswith(b"grip-")]
    assert await client.chunk() == b"open\n"
    for content in ("hello\n", "caf\u00e9 \u20ac\n", "x" * 70_000):
        await publish(app, stream_item("h01", content))
        assert await client.chunk() == content.encode()


async def test_several_publications_of_one_request_keep_their_order(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H01: items of one request, and requests sent without waiting, arrive in the order they were sent."""
    await open_stream(client, backend, "/order", grip_stream("order"))
    async with await Publisher.connect(app) as publisher:
        for start in range(0, 200, 4):
            await publisher.send(*(stream_item("order", f"{number},") for number in range(start, start + 4)))
        for _ in range(50):
            assert (await publisher.answer()).status == 200
    received = b""
    while not received.endswith(b"199,"):
        received += await client.chunk()
    assert received == "".join(f"{number}," for number in range(200)).encode()


async def test_nothing_published_after_the_head_is_missed(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H01, D23: the channel is subscribed before the first byte goes out, and what comes meanwhile follows the body."""
    gate = asyncio.Event()
    first = head(200, b"OK", [(b"Grip-Hold", b"stream"), (b"Grip-Channel", b"early"), (b"Content-Length", b"9")])
    await open_stream(client, backend, "/early", answer(first + b"begun ", gate, b"end"))
    assert await client.chunk() == b"begun "
    await publish(app, stream_item("early", "one "), stream_item("early", "two"))
    gate.set()
    assert await client.chunk() == b"end"
    assert await client.read_until(b"two\r\n") in (b"4\r\none \r\n3\r\ntwo\r\n", b"7\r\none two\r\n")


async def test_a_stream_that_is_closed_while_its_body_comes_still_gets_the_body(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H22: the close takes its turn behind the backend's body."""
    gate = asyncio.Event()
    first = head(200, b"OK", [(b"Grip-Hold", b"stream"), (b"Grip-Channel", b"shut"), (b"Content-Length", b"9")])
    await open_stream(client, backend, "/shut", answer(first + b"begun ", gate, b"end"))
    assert await client.chunk() == b"begun "
    await publish(app, stream_item("shut", "one"), close_item("shut"), stream_item("shut", "never"))
    gate.set()
    assert [await client.chunk() for _ in range(3)] == [b"end", b"one", b""]
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_an_empty_body_does_not_end_the_stream(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H01: the head goes out at once, without a chunk."""
    await open_stream(client, backend, "/empty", grip_stream("empty"))
    await publish(app, stream_item("empty", "first"))
    assert await client.chunk() == b"first"


@pytest.mark.parametrize("how", ["chunked", "to eof", "instruct"])
async def test_a_stream_opens_however_the_backend_delimits_its_body(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, how: str
) -> None:
    """H01, H13: by chunks, by closing, and in an `application/grip-instruct` body."""
    grip = [(b"Grip-Hold", b"stream"), (b"Grip-Channel", b"delimited")]
    script = {
        "chunked": chunked(b"bo", b"dy", headers=grip),
        "to eof": to_eof(b"bo", b"dy", headers=grip),
        "instruct": grip_instruct(
            {"hold": {"mode": "stream", "channels": [{"name": "delimited"}]}, "response": {"body": "body"}}
        ),
    }[how]
    await open_stream(client, backend, "/delimited", script)
    received = b""
    while received != b"body":
        received += await client.chunk()
    await publish(app, stream_item("delimited", "published"))
    assert await client.chunk() == b"published"


async def test_binary_content_arrives_as_its_bytes(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """P05: content-bin."""
    await open_stream(client, backend, "/binary", grip_stream("binary", body=bytes(range(256))))
    assert await client.chunk() == bytes(range(256))
    await publish(app, {"channel": "binary", "http-stream": {"content-bin": "AP+ADQo="}})
    assert await client.chunk() == b"\x00\xff\x80\r\n"


@pytest.mark.parametrize("named", [("a, b", "c"), ("a", "b", "c")], ids=["in a list", "in lines"])
async def test_every_named_channel_is_subscribed(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, named: tuple[str, ...]
) -> None:
    """H14: a comma list and repeated headers."""
    await open_stream(client, backend, "/h14", grip_stream(*named))
    for channel in ("a", "b", "c"):
        await publish(app, stream_item(channel, channel))
        assert await client.chunk() == channel.encode()


async def test_an_item_on_two_channels_of_a_stream_comes_once_for_each(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H14: a channel named twice is still one subscription; two channels are two."""
    await open_stream(client, backend, "/twice", grip_stream("twice", "twice", "other"))
    await publish(app, stream_item("twice", "1"), stream_item("other", "2"), stream_item("twice", "3"))
    received = b""
    while len(received) < 3:
        received += await client.chunk()
    assert received == b"123"


async def test_channels_beyond_the_limit_are_counted_and_logged(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H15: the first 20 are subscribed, `hold.subscription_limit`; the others are told of, not swallowed."""
    over = (await app.counters())["channels_over_limit"]
    await open_stream(client, backend, "/h15", grip_stream(*(f"many-{number}" for number in range(23))))
    items = [stream_item(f"many-{number}", f"{number} ") for number in (22, 21, 20, 0, 19)]
    await publish(app, *items)
    received = b""
    while not received.endswith(b"19 "):
        received += await client.chunk()
    assert received == b"0 19 "
    assert (await app.counters())["channels_over_limit"] == over + 3
    assert "many-20, many-21, many-22" in await app.log_line("subscription_limit")


async def test_a_closed_stream_ends_cleanly_and_its_connection_goes_on(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H22: the last chunk, then the next request on the same connection, held again."""
    for turn in range(3):
        await open_stream(client, backend, "/h22", grip_stream("h22", body=b"open"))
        assert await client.chunk() == b"open"
        await publish(app, stream_item("h22", f"turn {turn}"), close_item("h22"))
        assert await client.chunk() == f"turn {turn}".encode()
        assert await client.chunk() == b""
        assert (await client.fetch("/between")).body == b"hello\n"


@pytest.mark.parametrize("when", ["behind", "while held", "in halves"])
async def test_a_request_sent_early_is_answered_after_the_stream(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, when: str
) -> None:
    """H22: pipelined with the held one, sent while it is held, or begun before and finished after."""
    backend.answers("/pipelined", grip_stream("pipelined", body=b"open"))
    early = encode_request("/early-1", method="POST", body=b"x" * 1000) + encode_request("/early-2")
    await client.send(encode_request("/pipelined") + (early if when == "behind" else b""))
    await client.head()
    assert await client.chunk() == b"open"
    if when == "while held":
        await client.send(early)
    elif when == "in halves":
        await client.send(early[:700])
    await publish(app, close_item("pipelined"))
    assert await client.chunk() == b""
    if when == "in halves":
        await client.send(early[700:])
    assert [(await client.response()).body for _ in range(2)] == [b"hello\n"] * 2
    assert [request.target for request in backend.requests] == [b"/pipelined", b"/early-1", b"/early-2"]
    assert backend.requests[1].body == b"x" * 1000


async def test_an_http_1_0_client_streams_to_the_end_of_its_connection(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """R36, H01: no chunks; a close ends the connection."""
    backend.answers("/old", grip_stream("old", body=b"open\n"))
    await client.send(b"GET /old HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    answered = await client.head()
    assert answered.version == b"HTTP/1.0"
    assert not answered.is_chunked()
    await publish(app, stream_item("old", "one\n"), close_item("old"))
    assert await client.until_closed() == b"open\none\n"


@pytest.mark.parametrize("leaving", ["close", "reset", "half close"])
async def test_a_client_that_leaves_is_forgotten(app: AppProcess, backend: ScriptedBackend, leaving: str) -> None:
    """Its session and its subscriptions go, and the others on the channel never notice."""
    held = (await app.counters())["sessions_stream"]
    async with await RawClient.connect(app.proxy_address) as other:
        await open_stream(other, backend, "/left", grip_stream("left"))
        async with await RawClient.connect(app.proxy_address) as client:
            await open_stream(client, backend, "/left", grip_stream("left"))
            {"close": client.close, "reset": client.reset, "half close": client.half_close}[leaving]()
            await app.until(lambda counters: counters["sessions_stream"] == held + 1)
            await publish(app, stream_item("left", "still"))
            assert await other.chunk() == b"still"
    await app.until(lambda counters: counters["sessions_stream"] == held)


async def test_a_stream_of_10_mb_is_no_matter(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """H34: a stream's body is passed on, not kept, so it has no limit."""
    pieces = (bytes(65_536),) * 160
    grip = [(b"Grip-Hold", b"stream"), (b"Grip-Channel", b"h34")]
    await open_stream(client, backend, "/h34", chunked(*pieces, headers=grip))
    left = len(pieces) * 65_536
    while left:
        left -= len(await client.chunk())
    await publish(app, stream_item("h34", "after"))
    assert await client.chunk() == b"after"


async def test_a_stream_whose_backend_dies_in_its_body_is_cut(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """The client must not take half a body for the whole: no last chunk, the connection ends, nobody stays held."""
    held = (await app.counters())["sessions_stream"]
    first = head(200, b"OK", [(b"Grip-Hold", b"stream"), (b"Grip-Channel", b"dies"), (b"Content-Length", b"9")])
    gate = asyncio.Event()
    await open_stream(client, backend, "/dies", answer(first + b"begun", gate))
    assert await client.chunk() == b"begun"
    await backend.drop_connections()
    assert b"0\r\n\r\n" not in await client.until_cut()
    assert (await app.counters())["sessions_stream"] == held


async def test_a_chunk_is_written_for_each_item(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """H01: content that looks like chunk framing is only content."""
    await open_stream(client, backend, "/framing", grip_stream("framing"))
    await publish(app, stream_item("framing", "0\r\n\r\n"), stream_item("framing", "5\r\nhello\r\n"))
    received = b""
    while len(received) < 15:
        received += await client.chunk()
    assert received == b"0\r\n\r\n5\r\nhello\r\n"
