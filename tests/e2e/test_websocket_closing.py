"""A WebSocket over HTTP ends: who closes, who hears of it, and with which code (reference 4.4; W12 to W16, W26)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.frames import Close, Frame, Opcode

from tests.e2e.conversing import connected, message_item, told
from tests.support.answers import Answer, Ending, Script, answer, close_without_answer, head, never, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, TYPE, control, echo, event, events, message
from tests.support.publisher import publish

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLOSE_TIMEOUT = 10


@pytest.mark.parametrize(
    ("code", "reason", "content", "echoed"),
    [
        (1000, "done", b"\x03\xe8done", Close(1000, "done")),
        (4001, "", b"\x0f\xa1", Close(4001, "")),
        (None, "", b"", Close(1000, "")),
    ],
)
async def test_the_backend_answers_the_clients_close(
    app: AppProcess, backend: ScriptedBackend, code: int | None, reason: str, content: bytes, echoed: Close
) -> None:
    """W13."""
    path = f"/w13/{code}"
    async with connected(app, backend, path, echo) as client:
        await client.put_close(code, reason)
        assert (await told(backend, path)).body == event("CLOSE", content)
        assert await client.closed() == echoed
        assert await client.until_closed() == b""
    assert len(backend.requests_for(path)) == 2, "nothing more to tell"


async def test_messages_in_front_of_a_close_arrive(app: AppProcess, backend: ScriptedBackend) -> None:
    async with connected(app, backend, "/last", echo) as client:
        await client.put(Frame(Opcode.TEXT, b"last words"), Frame(Opcode.CLOSE, b"\x03\xe8"))
        assert await client.heard() == "last words"
        assert (await client.closed()).code == 1000
    assert b"".join(request.body for request in backend.requests_for("/last")[1:]) == (
        event("TEXT", "last words") + event("CLOSE", b"\x03\xe8")
    )


async def test_a_close_that_the_backend_leaves_unanswered_is_echoed(app: AppProcess, backend: ScriptedBackend) -> None:
    """W13: Pushpin cuts the connection."""
    async with connected(app, backend, "/noecho") as client:
        await client.put_close(1001, "bye")
        assert await client.closed() == Close(1001, "bye")
        assert await client.until_closed() == b""


async def test_a_client_does_not_wait_for_ever_for_a_backend_to_answer_its_close(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    async with connected(app, backend, "/slow-close", events(OPEN), never()) as client:
        await client.put_close(1000)
        await told(backend, "/slow-close")
        await app.advance(CLOSE_TIMEOUT + 1)
        assert (await client.closed()).code == 1000
    await backend.drop_connections()


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset, RawClient.half_close])
async def test_a_client_that_vanishes_is_told_of(app: AppProcess, backend: ScriptedBackend, leave: object) -> None:
    """W14."""
    path = f"/w14/{leave.__name__}"  # type: ignore[attr-defined]
    async with connected(app, backend, path) as client:
        leave(client)  # type: ignore[operator]
        assert (await told(backend, path)).body == b"DISCONNECT\r\n"


async def test_a_client_that_vanishes_while_a_request_runs_is_told_of_after_it(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    async with connected(app, backend, "/meanwhile", events(OPEN), Answer(steps=(gate, *events().steps))) as client:
        await client.say("first")
        await told(backend, "/meanwhile")
        await client.say("second")
        client.close()
        await app.until(lambda counters: counters["sessions_websocket"] == 0)
        gate.set()
        assert (await told(backend, "/meanwhile")).body == event("TEXT", "second") + b"DISCONNECT\r\n"


async def test_news_of_an_end_are_kept_for_a_backend_that_restarts(app: AppProcess, backend: ScriptedBackend) -> None:
    async with connected(app, backend, "/restarts") as client:
        await backend.refuse()
        client.close()
        await app.log_line("ws://example.com/restarts: Unable to connect")
        await backend.listen()
        await app.advance(1.2)
        assert (await told(backend, "/restarts")).body == b"DISCONNECT\r\n"


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"\x0f\xa1over", Close(4001, "over")),
        (b"", Close(1000, "")),
        (b"\x00\x00", Close(1000, "")),
        (b"\x03\xed", Close(1000, "")),
        (b"\x03\xe8\xff", Close(1000, "\N{REPLACEMENT CHARACTER}")),
        (b"\x03\xe8" + b"x" * 200, Close(1000, "x" * 123)),
    ],
    ids=["code", "empty", "zero", "1005", "not utf-8", "too long"],
)
async def test_the_backend_closes(app: AppProcess, backend: ScriptedBackend, content: bytes, seen: Close) -> None:
    """W15: with a code that may be sent; gripcontrol sends 0 when it is given none."""
    path = f"/w15/{len(content)}{content[:2].hex()}{content[2:3].hex()}"
    async with connected(
        app, backend, path, events(OPEN), events(message("bye"), event("CLOSE", content)), echo
    ) as client:
        await client.say("x")
        await told(backend, path)
        assert await client.heard() == "bye"
        assert await client.closed() == seen
        await client.put_close(4002)
        assert (await told(backend, path)).body == event("CLOSE", b"\x0f\xa2"), "its answer goes in a last request"
        assert await client.until_closed() == b""


async def test_a_client_that_does_not_answer_the_backends_close_is_cut(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    closing = events(OPEN, event("CLOSE", b"\x03\xe8"))
    async with connected(app, backend, "/deaf", closing, events()) as client:
        assert (await client.closed()).code == 1000
        await app.advance(CLOSE_TIMEOUT + 1)
        assert await client.until_cut() == b""
        assert (await told(backend, "/deaf")).body == b"DISCONNECT\r\n"


async def test_a_backend_that_disconnects_cuts_the_client(app: AppProcess, backend: ScriptedBackend) -> None:
    """W16: that is what it asked for."""
    async with connected(app, backend, "/w16", events(OPEN), events(b"DISCONNECT\r\n")) as client:
        await client.say("x")
        assert await client.until_cut() == b""
    await app.log_line(r"ws://example\.com/w16 closed: the backend disconnected")
    assert len(backend.requests_for("/w16")) == 2, "it knows"


@pytest.mark.parametrize(
    "fault",
    [
        text(b"boom\n", status=500),
        text(b"hello\n"),
        events(b"TEXT zz\r\nab\r\n"),
        events(b"TEXT 5\r\nm:a"),
        events(OPEN),
        events(event("TEXT", b"m:\xff")),
        events(event("PING", b"x" * 126)),
        events(headers=[("Content-Bytes-Accepted", "99")]),
        answer(head(200, b"OK", [(b"Content-Type", TYPE.encode()), (b"Content-Length", b"9")]) + b"OP", Ending.CLOSE),
    ],
    ids=["500", "type", "size", "short", "open again", "not utf-8", "long ping", "too much accepted", "cut"],
)
async def test_a_fault_of_the_backends_is_told_to_the_client_by_1011_and_to_the_backend(
    app: AppProcess, backend: ScriptedBackend, fault: Answer, request: pytest.FixtureRequest
) -> None:
    """W12: Pushpin cuts the client without a close frame, and tells the backend nothing."""
    path = f"/w12/{request.node.callspec.id.replace(' ', '-')}"
    async with connected(app, backend, path, events(OPEN), fault, events()) as client:
        await client.say("x")
        assert (await told(backend, path)).body == event("TEXT", "x")
        assert (await client.closed()).code == 1011
        await client.put_close(1011)
        assert await client.until_closed() == b""
        assert (await told(backend, path)).body == b"DISCONNECT\r\n"


async def test_a_request_that_may_have_arrived_is_not_sent_again(app: AppProcess, backend: ScriptedBackend) -> None:
    """But for the one time that a kept connection may turn out to be dead."""
    scripts: tuple[Script, ...] = (events(OPEN), close_without_answer(), close_without_answer(), events())
    async with connected(app, backend, "/once", *scripts) as client:
        await client.say("x")
        assert (await client.closed()).code == 1011
        bodies = [(await told(backend, "/once")).body for _ in range(3)]
    assert bodies == [event("TEXT", "x"), event("TEXT", "x"), b"DISCONNECT\r\n"]


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"action": "close"}, Close(1000, "")),
        ({"action": "close", "code": 4002, "reason": "enough"}, Close(4002, "enough")),
        ({"action": "close", "code": 1006}, Close(1000, "")),
    ],
    ids=["no code", "code", "a code that may not be sent"],
)
async def test_a_publisher_closes(
    app: AppProcess, backend: ScriptedBackend, fields: dict[str, Any], seen: Close
) -> None:
    """W26: the backend hears a CLOSE without a code."""
    path = f"/w26/{fields.get('code')}"
    async with connected(app, backend, path, events(OPEN, control("subscribe", channel=path)), echo) as client:
        await publish(app, message_item(path, "last"), message_item(path, **fields), message_item(path, "too late"))
        assert await client.heard() == "last"
        assert await client.closed() == seen
        assert (await told(backend, path)).body == b"CLOSE\r\n"
        await client.put_close(seen.code)
        assert await client.until_closed() == b""
    assert len(backend.requests_for(path)) == 2


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\xc1\x80\x00\x00\x00\x00", 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\x81\x04bare", 1002),
        (b"\x80\x80\x00\x00\x00\x00", 1002),
        (b"\x09\x80\x00\x00\x00\x00", 1002),
        (b"\x89\xfe\x00\xc8\x00\x00\x00\x00" + b"x" * 200, 1002),
        (b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),
        (b"\x01\x81\x00\x00\x00\x00\xe2\x80\x81\x00\x00\x00\x00A", 1007),
        (b"\x88\x81\x00\x00\x00\x00x", 1002),
        (b"\x88\x82\x00\x00\x00\x00\x03\xed", 1002),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009),
    ],
    ids=[
        "reserved bit", "opcode", "unmasked", "continuation", "fragmented ping", "long ping", "not utf-8",
        "not utf-8 across fragments", "half a code", "code 1005", "size",
    ],
)  # fmt: skip
async def test_a_client_that_breaks_the_rules_is_told_why_and_its_backend_that_it_is_gone(
    app: AppProcess, backend: ScriptedBackend, sent: bytes, code: int, request: pytest.FixtureRequest
) -> None:
    """RFC 6455 section 7.4.1. Pushpin cuts, or lets it pass."""
    path = f"/rules/{request.node.callspec.id.replace(' ', '-')}"
    async with connected(app, backend, path) as client:
        await client.send(sent)
        assert (await client.closed()).code == code
        assert await client.until_closed() == b""
        assert (await told(backend, path)).body == b"DISCONNECT\r\n"


async def test_a_client_that_goes_on_after_its_fault_is_cut_in_the_end(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    async with connected(app, backend, "/goes-on") as client:
        await client.send(b"\xff\xff")
        assert (await client.closed()).code == 1002
        await client.send(b"x" * 100_000)
        await app.advance(CLOSE_TIMEOUT + 1)
        assert await client.until_cut() == b""
    await app.until(lambda counters: counters["sessions_websocket"] == 0)


async def test_what_crosses_the_backends_close_is_not_lost(app: AppProcess, backend: ScriptedBackend) -> None:
    closing = events(OPEN, event("CLOSE", b"\x03\xe8"))
    async with connected(app, backend, "/crossing", closing, events()) as client:
        await client.say("on its way")
        assert (await client.closed()).code == 1000
        await client.put_close(1000)
        assert (await told(backend, "/crossing")).body == event("TEXT", "on its way") + event("CLOSE", b"\x03\xe8")


async def test_meta_without_end_is_a_fault_of_the_backends(app: AppProcess, backend: ScriptedBackend) -> None:
    many = events(headers=[(f"Set-Meta-{n}", "x" * 1000) for n in range(40)])
    async with connected(app, backend, "/meta", events(OPEN), many, events()) as client:
        await client.say("x")
        assert (await client.closed()).code == 1011
