"""The closing handshake of a WebSocket on a real connection: whoever begins, whoever does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.frames import Close, Frame, Opcode

from handlers.protocol.items import Action
from handlers.protocol.ws_frames import CloseReason, encode_frame
from handlers.session import Session
from handlers.settings import HoldSettings, WebSocketSettings
from handlers.timers import NOWHERE, TimerWheel
from handlers.websocket import WebSocketSession
from tests.handlers.protocol.ws_reading import FIN, TEXT, wire
from tests.handlers.recording import RecordingLink, Seen
from tests.handlers.room import KEPT, OUTBOX, Room, message_item
from tests.support.turns import settle, until

LATE = TimerWheel.RESOLUTION
CLOSE_TIMEOUT = WebSocketSettings().close_timeout
BEGUN = Frame(Opcode.TEXT, b"begun ", fin=False)
ENDED = Frame(Opcode.CONT, b"ended")


@pytest_asyncio.fixture
async def deep() -> AsyncIterator[Room]:
    """A room whose clients may be far behind for long."""
    async with Room(HoldSettings(outbox_limit=100 * OUTBOX, kept_limit=KEPT)) as room:
        yield room


def is_forgotten(room: Room, session: Session) -> bool:
    """Say whether neither the edge nor the wheel knows the session any more."""
    return session not in room.edge.sessions and session.tick == NOWHERE


def close_of(code: int, reason: str = "") -> Seen:
    """A close frame as the link is handed it."""
    return Opcode.CLOSE, Close(code, reason).serialize(), True


# -- the client begins ----------------------------------------------------------------------------------------------


async def test_a_clients_close_is_answered_when_the_backend_has_answered(room: Room) -> None:
    client, session, link = await room.websocket("room")
    await client.put_close(4001, "bye")
    await until(lambda: link.frames)
    assert link.frames == [close_of(4001, "bye")]
    assert client.pending() == b""
    session.close(CloseReason(code=4002, reason="so long"))
    assert await client.closed() == Close(4002, "so long")
    assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    assert is_forgotten(room, session)
    assert link.told == [], "it knows of the end"
    assert room.counters.websocket_close_timeouts == 0


@pytest.mark.parametrize(("code", "echoed"), [(4001, 4001), (1000, 1000), (None, 1000)])
async def test_an_echo_has_the_clients_code_or_1000(room: Room, code: int | None, echoed: int) -> None:
    """Reference 5.1."""
    client, session, link = await room.websocket("room")
    await client.put_close(code)
    await until(lambda: link.frames)
    session.echo()
    assert await client.closed() == Close(echoed, "")
    assert await client.until_closed() == b""


async def test_a_close_that_the_backend_does_not_answer_is_echoed_in_the_end(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    client, session, link = await room.websocket("room")
    await client.put_close(4001, "bye")
    await until(lambda: link.frames)
    room.clock.advance(CLOSE_TIMEOUT - 0.001)
    room.edge.deliver(message_item("room", b"news"))
    room.clock.advance(0.001 + LATE)
    assert await client.heard() == "news"
    assert await client.closed() == Close(4001, "bye")
    assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    assert is_forgotten(room, session)
    assert link.told == []
    assert room.counters.websocket_close_timeouts == 1
    assert caplog.messages == [f"{session.label} closed without waiting any longer for the backend"]


async def test_what_the_backend_says_before_it_answers_a_close_still_comes(room: Room) -> None:
    client, session, link = await room.websocket("room")
    link.relay(BEGUN)
    room.edge.deliver(message_item("room", b"news"))
    await client.put_close(1000)
    await until(lambda: link.frames)
    link.relay(ENDED)
    session.close(CloseReason(code=1000))
    assert [await client.frame() for _ in range(3)] == [BEGUN, ENDED, Frame(Opcode.TEXT, b"news")]
    assert await client.closed() == Close(1000, "")


async def test_nothing_that_a_client_sends_behind_its_close_is_read(room: Room) -> None:
    client, session, link = await room.websocket("room")
    await client.put(Frame(Opcode.CLOSE, b""), Frame(Opcode.TEXT, b"after"))
    await client.send(b"\xff" * 100)
    await until(lambda: link.frames)
    await settle()
    session.echo()
    assert await client.closed() == Close(1000, "")
    assert link.frames == [(Opcode.CLOSE, b"", True)]
    assert room.counters.websocket_client_faults == 0


@pytest.mark.parametrize("leaving", ["close", "reset", "half_close"])
async def test_a_client_that_leaves_without_a_close_is_told_of_to_the_link_once(room: Room, leaving: str) -> None:
    client, session, link = await room.websocket("room")
    await client.say("hello")
    await until(lambda: link.frames)
    getattr(client, leaving)()
    await room.until_closed(session.transport)
    session.connection_lost(None)
    assert is_forgotten(room, session)
    assert link.told == ["client_gone"]


async def test_a_client_that_does_not_wait_for_the_answer_to_its_close_is_gone(room: Room) -> None:
    client, session, link = await room.websocket("room")
    await client.put_close(1000)
    client.close()
    await room.until_closed(session.transport)
    assert link.frames == [close_of(1000)]
    assert link.told == ["client_gone"]


# -- we begin -------------------------------------------------------------------------------------------------------


async def test_a_backends_close_ends_when_the_client_has_answered(room: Room) -> None:
    client, session, link = await room.websocket("room")
    session.close(CloseReason(code=4001, reason="bye"))
    assert session not in room.edge.sessions, "nothing comes behind a close (reference 6.5)"
    session.close(CloseReason(code=4002))
    assert await client.closed() == Close(4001, "bye")
    await client.say("late")
    await client.put_close(4003)
    assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    assert link.frames == [(Opcode.TEXT, b"late", True), close_of(4003)]
    assert link.told == []
    assert is_forgotten(room, session)


async def test_a_client_that_does_not_answer_a_close_is_cut(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, session, link = await room.websocket("room")
    session.close(CloseReason(code=4001))
    await client.say("still here")
    await until(lambda: link.frames)
    room.clock.advance(CLOSE_TIMEOUT - 0.001)
    assert not session.transport.is_closing()
    room.clock.advance(0.001 + LATE)
    await room.until_closed(session.transport)
    assert await client.closed() == Close(4001, "")
    assert await client.until_cut() == b""
    assert link.told == ["client_gone"]
    assert is_forgotten(room, session)
    assert room.counters.websocket_close_timeouts == 1
    assert caplog.messages == [f"{session.label} closed: no answer to the close"]


async def test_without_a_close_timeout_nobody_waits() -> None:
    async with Room(websocket=WebSocketSettings(close_timeout=0)) as room:
        client, session, link = await room.websocket("room")
        other, closing, _ = await room.websocket("room")
        await client.put_close(4001)
        await until(lambda: link.frames)
        closing.close(CloseReason(code=4002))
        room.clock.advance(LATE)
        assert await client.closed() == Close(4001, "")
        assert await client.until_closed() == b""
        assert (await other.closed()).code == 4002
        assert await other.until_cut() == b""
        assert is_forgotten(room, session)
        assert is_forgotten(room, closing)


async def test_closes_that_cross_end_the_connection_at_once(room: Room) -> None:
    client, session, link = await room.websocket("room")
    await client.put_close(4001)
    session.close(CloseReason(code=4002))
    assert await client.closed() == Close(4002, "")
    assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    session.close(CloseReason(code=4001))
    assert link.frames == [close_of(4001)]
    assert link.told == []
    assert room.counters.websocket_close_timeouts == 0


CODES = {
    None: 1000, 0: 1000, 999: 1000, 1000: 1000, 1001: 1001, 1005: 1000, 1006: 1000, 1011: 1011, 1015: 1000, 2999: 1000,
    3000: 3000, 4999: 4999, 5000: 1000, 65_535: 1000,
}  # fmt: skip


@pytest.mark.parametrize(("code", "sent"), CODES.items())
async def test_a_code_that_may_not_be_sent_becomes_1000(room: Room, code: int | None, sent: int) -> None:
    client, session, _ = await room.websocket("room")
    session.close(CloseReason(code=code, reason="caf\xe9" * 50))
    closed = await client.closed()
    assert closed.code == sent
    assert closed.reason == ("" if code is None else ("caf\xe9" * 50).encode()[:123].decode(errors="ignore"))


# -- within a message of the backend's ------------------------------------------------------------------------------


async def test_a_published_close_lets_a_message_end_when_others_wait_for_it(room: Room) -> None:
    client, session, link = await room.websocket("room")
    link.relay(BEGUN)
    assert room.edge.deliver(message_item("room", b"news")) == 1
    assert room.edge.deliver(message_item("room", action=Action.CLOSE, code=4001, reason="bye")) == 1
    assert room.edge.deliver(message_item("room", b"too late")) == 0
    assert link.told == [], "its backend is to say the rest"
    session.close_by_us(CloseReason(code=4002))
    link.relay(ENDED, Frame(Opcode.TEXT, b"too late"))
    assert [await client.frame() for _ in range(3)] == [BEGUN, ENDED, Frame(Opcode.TEXT, b"news")]
    assert await client.closed() == Close(4001, "bye")
    assert link.told == ["close_by_us"]
    await client.put_close(4001)
    assert await client.until_closed() == b""
    assert room.counters.websocket_unsent == room.counters.websocket_close_timeouts == 0


async def test_a_message_that_does_not_end_puts_a_published_close_off_for_close_timeout(room: Room) -> None:
    client, session, link = await room.websocket("room")
    link.relay(BEGUN)
    for _ in range(3):
        room.edge.deliver(message_item("room", b"news"))
    room.edge.deliver(message_item("room", action=Action.CLOSE, code=4001))
    room.clock.advance(CLOSE_TIMEOUT - 0.001)
    assert link.told == []
    room.clock.advance(0.001 + LATE)
    assert await client.frame() == BEGUN
    assert await client.closed() == Close(4001, "")
    assert link.told == ["close_by_us"]
    assert room.counters.websocket_unsent == 3
    link.relay(ENDED)
    room.clock.advance(CLOSE_TIMEOUT + LATE)
    assert await client.until_cut() == b""
    assert is_forgotten(room, session)


async def test_a_published_close_for_which_nothing_waits_does_not_wait(room: Room) -> None:
    client, _, link = await room.websocket("room")
    link.relay(BEGUN)
    room.edge.deliver(message_item("room", action=Action.CLOSE))
    link.relay(ENDED)
    assert await client.frame() == BEGUN
    assert await client.closed() == Close(1000, "")
    assert link.told == ["close_by_us"]


@pytest.mark.parametrize("is_put_off", [False, True])
async def test_a_backend_that_ends_within_its_message_is_not_waited_for(room: Room, is_put_off: bool) -> None:
    """What waits is lost with it, and counted. A close that was published before is the first one, which counts."""
    client, session, link = await room.websocket("room")
    failing, failed, _ = await room.websocket("room")
    for each in (session, failed):
        each.relay(BEGUN)
    room.edge.deliver(message_item("room", b"news"))
    if is_put_off:
        room.edge.deliver(message_item("room", action=Action.CLOSE, code=4002))
    session.close(CloseReason(code=4001))
    failed.fail("connection lost")
    assert [await client.frame(), (await client.closed()).code] == [BEGUN, 4002 if is_put_off else 4001]
    assert [await failing.frame(), (await failing.closed()).code] == [BEGUN, 4002 if is_put_off else 1011]
    assert room.counters.websocket_unsent == 2
    assert link.told == (["close_by_us"] if is_put_off else [])


async def test_a_fault_of_the_clients_within_a_relayed_message_is_closed_at_once(room: Room) -> None:
    client, _, link = await room.websocket("room")
    link.relay(BEGUN)
    room.edge.deliver(message_item("room", b"news"))
    await client.send(b"HTTP")
    assert [await client.frame(), (await client.closed()).code] == [BEGUN, 1002]
    assert room.counters.websocket_unsent == 1
    assert link.told == ["client_gone"]


# -- before the connection is handed over, and after its end --------------------------------------------------------


@pytest.mark.parametrize("is_published", [False, True])
async def test_a_close_before_the_connection_is_handed_over_comes_behind_what_waits(
    room: Room, is_published: bool
) -> None:
    client, session, link = await room.websocket("room", is_attached=False)
    room.edge.deliver(message_item("room", b"news"))
    if is_published:
        room.edge.deliver(message_item("room", action=Action.CLOSE, code=4001))
    else:
        session.close(CloseReason(code=4001))
    room.edge.deliver(message_item("room", b"too late"))
    session.close(CloseReason(code=4002))
    await settle()
    room.clock.advance(100)
    assert client.pending() == b""
    session.attach(wire(FIN | TEXT, b"early"), is_behind=False)
    assert await client.heard() == "news"
    assert (await client.closed()).code == 4001
    await client.put_close(4001)
    assert await client.until_closed() == b""
    assert link.told.count("close_by_us") == 1
    assert room.counters.websocket_close_timeouts == 0


async def test_a_session_cut_before_is_forgotten_however_late_it_is_handed_over(room: Room) -> None:
    client, session, link = await room.websocket("room", is_attached=False)
    room.edge.deliver(message_item("room", b"news"))
    session.cut("for a reason")
    session.attach(wire(FIN | TEXT, b"early"), is_behind=False)
    await room.until_closed(session.transport)
    assert await client.until_cut() == b""
    assert is_forgotten(room, session)
    assert (link.frames, link.told) == ([], ["client_gone"])


@pytest.mark.parametrize("is_answered", [False, True])
async def test_nothing_comes_behind_a_close_frame_whoever_writes(deep: Room, is_answered: bool) -> None:
    """Not even once the client, which was behind, has caught up."""
    client, session, link = await deep.websocket("room", grip=b"", is_slow=True)
    link.relay(Frame(Opcode.TEXT, b'c:{"type": "send-delayed", "content": "delayed", "timeout": 5}'))
    while not session.is_behind:
        link.say("x" * 4_000)
    session.close(CloseReason(code=4001))
    write_everything(deep, session, link)
    while (frame := await client.frame()).opcode is not Opcode.CLOSE:
        assert frame.data == b"x" * 4_000
    await until(lambda: not session.is_behind)
    write_everything(deep, session, link)
    deep.clock.advance(6)
    if is_answered:
        await client.put_close(4001)
        assert await client.until_closed() == b""
    else:
        deep.clock.advance(CLOSE_TIMEOUT)
        assert await client.until_cut() == b""
    await deep.until_closed(session.transport)
    write_everything(deep, session, link)
    assert is_forgotten(deep, session)


def write_everything(room: Room, session: WebSocketSession, link: RecordingLink) -> None:
    """Write in each way there is."""
    link.relay(ENDED, Frame(Opcode.PING, b"late"), Frame(Opcode.TEXT, b"late"), BEGUN)
    link.relay(Frame(Opcode.TEXT, b'c:{"type": "flush-delayed"}'))
    room.edge.deliver(message_item("room", b"late"))
    session.send(Opcode.TEXT, b"late")
    session.send_delayed()
    session.write(encode_frame(Opcode.TEXT, b"late"))


async def test_a_clients_answer_is_read_though_its_reading_was_stopped(room: Room) -> None:
    """By a backend that was behind, and has no more say."""
    for end in (WebSocketSession.drain, WebSocketSession.detach, fail):
        client, session, link = await room.websocket("room")
        session.pause_reading()
        await client.say("meanwhile")
        end(session)
        session.close(CloseReason(code=4001))
        await client.closed()
        await client.put_close(4001)
        assert await client.until_closed() == b""
        assert link.frames == []


def fail(session: WebSocketSession) -> None:
    """The backend is at fault."""
    session.fail("no answer")
