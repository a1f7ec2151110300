"""A WebSocket whose client, or whose backend, takes less than it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.frames import Frame, Opcode

from handlers.framed import RELAY_WATER
from handlers.open_ended import BEHIND_LIMIT
from handlers.protocol.ws_frames import CloseReason, encode_frame
from handlers.settings import HoldSettings
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import KEPT, OUTBOX, Room, fill, message_item
from tests.support.turns import settle, until

LATE = TimerWheel.RESOLUTION
CONTENT = b"x" * 4_000
FRAME = encode_frame(Opcode.TEXT, CONTENT)
ITEM = message_item("room", CONTENT)
DEEP = 16 * RELAY_WATER


@pytest_asyncio.fixture
async def deep() -> AsyncIterator[Room]:
    """A room whose clients may be further behind than the mark at which backends are told."""
    async with Room(HoldSettings(outbox_limit=DEEP, kept_limit=KEPT)) as room:
        yield room


async def test_a_client_that_does_not_catch_up_in_its_grace_is_cut_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    other, _, _ = await room.websocket("room")
    slow, session, link = await room.websocket("room", is_slow=True)
    count = fill(room, session, ITEM)
    room.clock.advance(room.settings.slow_grace - 0.001)
    assert session in room.edge.sessions
    room.clock.advance(0.001 + LATE)
    assert session not in room.edge.sessions
    room.edge.deliver(message_item("room", b"afterwards"))
    await room.until_closed(session.transport)
    assert room.counters.slow_clients == 1
    assert link.told == ["behind", "client_gone"]
    assert f"{session.label} closed: too slow, more than {OUTBOX} bytes behind" in caplog.messages
    everything = FRAME * count
    assert await other.read_exactly(len(everything)) == everything
    assert await other.heard() == "afterwards"
    got = await slow.until_cut()
    assert everything.startswith(got)
    assert len(got) < len(everything)


async def test_backends_are_told_long_before_a_client_is_slow(deep: Room) -> None:
    """At a mark below `outbox_limit`; what is published may go beyond it."""
    client, session, link = await deep.websocket("room", is_slow=True)
    for _ in range(3):
        count = fill(deep, session, ITEM)
        assert RELAY_WATER < session.transport.get_write_buffer_size() < DEEP
        assert link.told.pop() == "behind"
        deep.clock.advance(100)
        deep.edge.deliver(message_item("room", CONTENT))
        for _ in range(count + 1):
            assert await client.heard() == CONTENT.decode()
        await until(lambda: not session.is_behind)
        assert link.told.pop() == "caught up"
    assert link.told == []
    assert deep.counters.slow_clients == 0


async def test_a_client_handed_over_behind_is_so_for_its_link_too(room: Room) -> None:
    client, session, link = await room.websocket("room", is_attached=False, is_slow=True)
    session.transport.set_write_buffer_limits(high=1_000)
    session.transport.write(b"z" * (OUTBOX // 2))
    session.attach(b"", is_behind=True)
    assert link.told == ["behind"]
    await client.read_exactly(OUTBOX // 2)
    await until(lambda: not session.is_behind)
    assert link.told == ["behind", "caught up"]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.PING], ids=["message", "pings"])
async def test_a_backend_that_sends_on_to_a_slow_client_has_it_cut(room: Room, opcode: Opcode) -> None:
    slow, session, link = await room.websocket("room", is_slow=True)
    content = b"p" * 125 if opcode is Opcode.PING else CONTENT
    while not session.transport.is_closing():
        link.relay(Frame(opcode, content))
    assert room.counters.slow_clients == 1
    await slow.until_cut()


async def test_a_backend_that_sends_fragments_on_to_a_slow_client_has_it_cut(room: Room) -> None:
    slow, session, link = await room.websocket("room", is_slow=True)
    link.relay(Frame(Opcode.TEXT, b"begun", fin=False))
    room.edge.deliver(message_item("room", b"news"))
    while not session.transport.is_closing():
        link.relay(Frame(Opcode.CONT, CONTENT, fin=False))
    link.relay(Frame(Opcode.CONT, CONTENT))
    assert room.counters.slow_clients == 1
    await slow.until_cut()


async def test_a_last_fragment_that_has_the_client_cut_ends_it_and_no_more(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits for it is not written to what is closed already, which raises on uvloop."""
    slow, session, link = await room.websocket("room", is_slow=True)
    link.relay(Frame(Opcode.TEXT, b"begun", fin=False))
    room.edge.deliver(message_item("room", b"news"))
    link.relay(Frame(Opcode.CONT, b"y" * (BEHIND_LIMIT + 2) * OUTBOX))
    assert session.transport.is_closing()
    await slow.until_cut()
    assert session.tick == NOWHERE
    assert len(caplog.messages) == 1


async def test_more_waiting_for_the_end_of_a_message_than_a_client_may_be_behind_costs_the_connection(
    room: Room,
) -> None:
    client, session, link = await room.websocket("room")
    link.relay(Frame(Opcode.TEXT, b"begun", fin=False))
    for _ in range(OUTBOX // len(FRAME)):
        room.edge.deliver(message_item("room", CONTENT))
    assert session in room.edge.sessions
    room.edge.deliver(message_item("room", CONTENT))
    assert session not in room.edge.sessions
    assert session.transport.is_closing()
    assert room.counters.slow_clients == 1
    link.relay(Frame(Opcode.CONT, b"ended"))
    await client.until_cut()


async def test_what_has_waited_once_is_not_counted_the_next_time(room: Room) -> None:
    client, session, link = await room.websocket("room")
    for _ in range(3 * OUTBOX // len(FRAME)):
        link.relay(Frame(Opcode.TEXT, b"begun", fin=False))
        room.edge.deliver(message_item("room", CONTENT))
        link.relay(Frame(Opcode.CONT, b"ended"))
        assert [bytes((await client.frame()).data) for _ in range(3)] == [b"begun", b"ended", CONTENT]
    assert session in room.edge.sessions


@pytest.mark.parametrize("has_caught_up", [False, True])
async def test_a_client_that_falls_behind_within_a_message_gets_all_of_it_in_order(
    deep: Room, has_caught_up: bool
) -> None:
    client, session, link = await deep.websocket("room", is_slow=True)
    link.relay(Frame(Opcode.TEXT, b"begun", fin=False))
    count = 1
    while not session.is_behind:
        link.relay(Frame(Opcode.CONT, CONTENT, fin=False))
        count += 1
    deep.edge.deliver(message_item("room", b"news"))
    if has_caught_up:
        for _ in range(count):
            await client.frame()
        await until(lambda: not session.is_behind)
        count = 0
    deep.edge.deliver(message_item("room", b"more"))
    link.relay(Frame(Opcode.CONT, b"ended"))
    for _ in range(count):
        await client.frame()
    assert await client.frame() == Frame(Opcode.CONT, b"ended")
    assert [await client.heard(), await client.heard()] == ["news", "more"]


async def test_a_client_that_is_closed_while_behind_is_cut_by_the_time_for_its_answer_alone(deep: Room) -> None:
    client, session, link = await deep.websocket("room", is_slow=True)
    count = fill(deep, session, ITEM)
    session.close_by_us(CloseReason(code=4001))
    assert link.told == ["behind", "caught up", "close_by_us"], "the backend's answer is to be read"
    deep.clock.advance(deep.websockets.settings.close_timeout - 0.001)
    assert not session.transport.is_closing()
    for _ in range(count):
        assert await client.heard() == CONTENT.decode()
    assert (await client.closed()).code == 4001
    await client.put_close(4001)
    assert await client.until_closed() == b""
    assert link.told == ["behind", "caught up", "close_by_us"]
    assert deep.counters.slow_clients == 0


async def test_a_client_is_not_read_while_its_link_has_enough(room: Room) -> None:
    client, session, link = await room.websocket("room")
    other, _, read = await room.websocket("room")
    session.pause_reading()
    session.pause_reading()
    await client.say("first")
    await other.say("barrier")
    await until(lambda: read.frames)
    await settle()
    assert link.frames == []
    session.resume_reading()
    session.resume_reading()
    await until(lambda: link.frames)
    assert link.frames == [(Opcode.TEXT, b"first", True)]


async def test_reading_may_be_stopped_and_gone_on_with_whatever_has_become_of_the_connection(room: Room) -> None:
    client, session, _ = await room.websocket("room")
    client.reset()
    await room.until_closed(session.transport)
    session.pause_reading()
    session.resume_reading()
    assert session.transport.is_closing()
