"""A WebSocket over HTTP goes on: messages both ways, one request at a time (reference 4.3; rows W02 to W09, W17)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from websockets.frames import Frame, Opcode

from tests.e2e.conversing import connected, message_item, told
from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import Answer, close_without_answer, grip_response, grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, echo, event, events, message, parsed
from tests.support.http import Request
from tests.support.publisher import publish
from tests.support.websocket import WsClient

WHEEL = 0.15
"""Seconds that the timer wheel may be late."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (f"* {backend.address},over_http", f"*,path_beg=/one {backend.address},over_http,one_event")


@pytest.mark.parametrize(
    ("frame", "body"),
    [
        (Frame(Opcode.TEXT, b"hello"), b"TEXT 5\r\nhello\r\n"),
        (Frame(Opcode.TEXT, "caf\u00e9".encode()), b"TEXT 5\r\ncaf\xc3\xa9\r\n"),
        (Frame(Opcode.TEXT, b""), b"TEXT\r\n"),
        (Frame(Opcode.BINARY, b"\x00\r\n\xff"), b"BINARY 4\r\n\x00\r\n\xff\r\n"),
        (Frame(Opcode.TEXT, b"x" * 70_000), b"TEXT 11170\r\n" + b"x" * 70_000 + b"\r\n"),
    ],
    ids=["text", "utf-8", "empty", "binary", "long"],
)
async def test_a_message_goes_to_the_backend_and_its_answer_to_the_client(
    app: AppProcess, backend: ScriptedBackend, frame: Frame, body: bytes
) -> None:
    """W02, W03, W04."""
    path = f"/w02/{len(body)}{body[-5:].hex()}"
    async with connected(app, backend, path, echo) as client:
        await client.put(frame)
        assert (await told(backend, path)).body == body
        assert await client.frame() == frame


async def test_pings_and_pongs_are_the_backends(app: AppProcess, backend: ScriptedBackend) -> None:
    """W03: with their content, both ways."""
    said = events(OPEN, event("PING"), event("PING", "m:x"), event("PONG", "y"))
    async with connected(app, backend, "/w03", said, echo) as client:
        frames = [await client.frame() for _ in range(3)]
        assert [(frame.opcode, frame.data) for frame in frames] == [
            (Opcode.PING, b""), (Opcode.PING, b"m:x"), (Opcode.PONG, b"y"),
        ]  # fmt: skip
        await client.put(Frame(Opcode.PING, b"abc"))
        assert (await told(backend, "/w03")).body == b"PING 3\r\nabc\r\n"
        assert await client.frame() == Frame(Opcode.PONG, b"abc")
        await client.put(Frame(Opcode.PONG, b""))
        assert (await told(backend, "/w03")).body == b"PONG\r\n"


async def test_a_message_in_fragments_reaches_the_backend_whole(app: AppProcess, backend: ScriptedBackend) -> None:
    """A ping between the fragments does not wait for them."""
    async with connected(app, backend, "/fragments", echo) as client:
        await client.put(Frame(Opcode.TEXT, b"one ", fin=False), Frame(Opcode.CONT, b"two ", fin=False))
        await client.put(Frame(Opcode.PING, b"p"))
        assert (await told(backend, "/fragments")).body == b"PING 1\r\np\r\n"
        await client.put(Frame(Opcode.CONT, b"three"))
        assert (await told(backend, "/fragments")).body == b"TEXT d\r\none two three\r\n"
        assert [(await client.frame()).opcode, await client.heard()] == [Opcode.PONG, "one two three"]


async def test_messages_that_come_meanwhile_go_together(app: AppProcess, backend: ScriptedBackend) -> None:
    """W05."""
    gate = asyncio.Event()
    before = (await app.counters())["websocket_messages"]
    answers = (events(OPEN), Answer(steps=(gate, *events(message("1")).steps)), events(message("rest")))
    async with connected(app, backend, "/w05", *answers) as client:
        await client.say("first")
        assert (await told(backend, "/w05")).body == event("TEXT", "first")
        await client.say("second")
        await client.say("third")
        await app.until(lambda counters: counters["websocket_messages"] == before + 3)
        gate.set()
        assert (await told(backend, "/w05")).body == event("TEXT", "second") + event("TEXT", "third")
        assert [await client.heard(), await client.heard()] == ["1", "rest"]


async def test_with_one_event_each_goes_alone(app: AppProcess, backend: ScriptedBackend) -> None:
    """W06, D5: those without content too."""
    async with connected(app, backend, "/one", echo) as client:
        await client.put(*(Frame(Opcode.TEXT, content) for content in (b"a", b"", b"", b"b")))
        for content in ("a", "", "", "b"):
            assert (await told(backend, "/one")).body == event("TEXT", content)
            assert await client.heard() == content


async def test_meta_that_the_backend_sets_comes_back_with_each_request(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """W07."""
    answers = (
        events(OPEN, headers=[("Set-Meta-User", "alice"), ("Set-Meta-Room", "r1")]),
        events(headers=[("Set-Meta-Room", "")]),
        events(),
    )
    async with connected(app, backend, "/w07", *answers) as client:
        await client.say("a")
        request = await told(backend, "/w07")
        assert (request.values(b"meta-user"), request.values(b"meta-room")) == ((b"alice",), (b"r1",))
        await app.until(lambda counters: counters["websocket_requests"] >= 2)
        await client.say("b")
        request = await told(backend, "/w07")
        assert (request.values(b"meta-user"), request.values(b"meta-room")) == ((b"alice",), ())


async def test_with_a_keep_alive_interval_the_backend_is_asked_when_idle(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """W08: 20 seconds at least, though 5 were asked for."""
    answers = (events(OPEN, headers=[("Keep-Alive-Interval", "5")]), events(message("polled")), events())
    async with connected(app, backend, "/w08", *answers) as client:
        await app.advance(19)
        assert not backend.requests_for("/w08")[1:]
        await app.advance(2)
        assert (await told(backend, "/w08")).body == b""
        assert await client.heard() == "polled"
        await app.advance(21)
        assert (await told(backend, "/w08")).body == b""


async def test_what_the_backend_does_not_accept_comes_again(app: AppProcess, backend: ScriptedBackend) -> None:
    """W09: with the next message, and said to be a repetition."""
    answers = (events(OPEN), events(headers=[("Content-Bytes-Accepted", "2")]), events(message("done")))
    async with connected(app, backend, "/w09", *answers) as client:
        await client.say("hold me")
        first = await told(backend, "/w09")
        assert first.values(b"content-bytes-replayed") == ()
        await app.advance(0)
        await client.say("more")
        request = await told(backend, "/w09")
        assert request.body == event("TEXT", "ld me") + event("TEXT", "more")
        assert request.values(b"content-bytes-replayed") == (b"5",)
        assert await client.heard() == "done"


async def test_a_backend_that_restarts_gets_what_was_sent_meanwhile(app: AppProcess, backend: ScriptedBackend) -> None:
    """W17: asked again after 1, 2, 4, 8 and 16 seconds."""
    async with connected(app, backend, "/w17", echo) as client:
        await backend.refuse()
        await client.say("while you were away")
        for seconds in (1, 2, 4, 8):
            await app.log_line("Unable to connect")
            await app.advance(seconds + WHEEL)
        await app.log_line("Unable to connect")
        await backend.listen()
        await client.say("more")
        await app.advance(16 + WHEEL)
        assert (await told(backend, "/w17")).body == event("TEXT", "while you were away"), "the identical request"
        assert [await client.heard(), await client.heard()] == ["while you were away", "more"]


async def test_a_backend_that_does_not_come_back_ends_the_connection(app: AppProcess, backend: ScriptedBackend) -> None:
    async with connected(app, backend, "/away", echo) as client:
        await backend.refuse()
        try:
            await client.say("x")
            for seconds in (1, 2, 4, 8, 16, 0):
                await app.log_line("ws://example.com/away: Unable to connect")
                await app.advance(seconds + WHEEL)
            assert (await client.closed()).code == 1011
            await app.log_line("ws://example.com/away: Unable to connect")
        finally:
            await backend.listen()
        await app.advance(1 + WHEEL)
        assert (await told(backend, "/away")).body == b"DISCONNECT\r\n", "it is told, too"


async def test_a_kept_connection_that_turns_out_dead_costs_nothing(app: AppProcess, backend: ScriptedBackend) -> None:
    async with connected(app, backend, "/stale", events(OPEN), close_without_answer(), echo) as client:
        await client.say("x")
        assert await client.heard() == "x"
    assert [request.body for request in backend.requests_for("/stale")][1:3] == [event("TEXT", "x")] * 2


async def test_a_client_that_sends_faster_than_its_backend_answers_is_not_read(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    taken: list[bytes] = []
    before = (await app.counters())["websocket_messages"]

    def count(request: Request) -> Answer:
        taken.extend(content for name, content in parsed(request.body) if name == "TEXT")
        return events()

    answers = (events(OPEN), Answer(steps=(gate, *events().steps)), count)
    async with connected(app, backend, "/flood", *answers) as client:
        await client.say("first")
        assert (await told(backend, "/flood")).body == event("TEXT", "first")
        flood = asyncio.create_task(client.put(*(Frame(Opcode.TEXT, b"%06d" % n + b"x" * 99_994) for n in range(100))))
        await app.until(lambda counters: counters["websocket_messages"] > before + 1)
        assert not flood.done()
        gate.set()
        await flood
        while len(taken) < 100:
            await told(backend, "/flood")
    assert [int(content[:6]) for content in taken] == list(range(100))


async def test_a_message_over_the_limit_ends_the_connection(app: AppProcess, backend: ScriptedBackend) -> None:
    """W35: with the close code that says why, and the backend hears of it."""
    async with connected(app, backend, "/w35", echo) as client:
        await client.say("x" * 200_000)
        assert len(await client.heard()) == 200_000
        await told(backend, "/w35")
        await client.send_as_far_as_taken(Frame(Opcode.TEXT, b"x" * 200_001).serialize(mask=True))
        assert (await client.closed()).code == 1009
        assert (await told(backend, "/w35")).body == b"DISCONNECT\r\n"
    await app.log_line(r"ws://example\.com/w35 closed with 1009: ")


async def test_three_formats_of_one_item_reach_a_stream_a_long_poll_and_a_websocket(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    subscribed = events(OPEN, control("subscribe", channel="three"))
    async with (
        connected(app, backend, "/three", subscribed) as socket,
        await RawClient.connect(app.proxy_address) as stream,
        await RawClient.connect(app.proxy_address) as poll,
    ):
        await open_stream(stream, backend, "/three/stream", grip_stream("three"))
        await open_poll(app, poll, backend, "/three/poll", grip_response("three"))
        item = message_item("three", "to sockets")
        item["formats"] |= {"http-stream": {"content": "to streams"}, "http-response": {"body": "to polls"}}
        await publish(app, item)
        assert await socket.heard() == "to sockets"
        assert await stream.chunk() == b"to streams"
        assert (await poll.response()).body == b"to polls"
    await app.log_line("publish channel=three (receivers=3|workers=2)$")


async def test_a_message_is_sent_twice_at_most(app: AppProcess, backend: ScriptedBackend) -> None:
    """However many kept connections are dead: the repetition goes out on a new one."""
    async with AsyncExitStack() as stack:
        gate = asyncio.Event()
        backend.answers("/pool", Answer(steps=(gate, *events(OPEN).steps)))
        clients = [await stack.enter_async_context(await WsClient.connect(app.proxy_address)) for _ in range(5)]
        opening = [asyncio.create_task(client.open("/pool")) for client in clients]
        for _ in clients:
            await told(backend, "/pool")
        gate.set()
        await asyncio.gather(*opening)
        async with connected(app, backend, "/twice", events(OPEN), close_without_answer()) as client:
            await client.say("pay")
            assert (await client.closed()).code == 1011
        sent = [request for request in backend.requests_for("/twice") if request.body == event("TEXT", "pay")]
        assert len(sent) == 2


async def test_a_flood_of_small_frames_keeps_nobody_else_waiting(app: AppProcess, backend: ScriptedBackend) -> None:
    """Megabytes come in one turn of the loop; the publish port answers between them."""
    flood = Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=True)
    flood += Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 300_000
    async with connected(app, backend, "/small") as client, connected(app, backend, "/other", echo) as other:
        sending = asyncio.create_task(client.send(flood + Frame(Opcode.CONT, b"z").serialize(mask=True)))
        for _ in range(5):
            await other.say("still there?")
            assert await other.heard() == "still there?"
        await sending
        assert (await told(backend, "/small")).body == event("TEXT", "az")
