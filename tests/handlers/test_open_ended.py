"""An open-ended session, here a stream, whose client is slow: it has a grace, then is cut, and nobody else notices."""

from __future__ import annotations

import pytest

from handlers.open_ended import BEHIND_LIMIT
from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from handlers.protocol.instruct import KeepAlive, KeepAliveMode
from handlers.protocol.items import Action
from handlers.settings import HoldSettings
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import KEPT, OUTBOX, Room, fill, stream_item

LATE = TimerWheel.RESOLUTION
CONTENT = b"x" * 4_000
FRAME = encode_chunk(CONTENT)
ITEM = stream_item("room", CONTENT)


async def test_a_client_that_does_not_catch_up_in_its_grace_is_cut_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    other, _ = await room.stream("room")
    slow, session = await room.stream("room", is_slow=True)
    count = fill(room, session, ITEM)
    room.clock.advance(room.settings.slow_grace - 0.001)
    assert session in room.edge.sessions
    room.edge.deliver(stream_item("room", CONTENT))
    room.clock.advance(0.001 + LATE)
    assert session not in room.edge.sessions
    assert room.counters.slow_clients == 1
    assert f"{session.label} closed: too slow, more than {OUTBOX} bytes behind" in caplog.messages
    room.edge.deliver(stream_item("room", b"afterwards"))
    everything = FRAME * (count + 1)
    assert await other.read_exactly(len(everything)) == everything
    assert await other.chunk() == b"afterwards"
    got = await slow.until_cut()
    assert everything.startswith(got)
    assert len(got) < len(everything)


async def test_a_client_that_catches_up_in_its_grace_misses_nothing(room: Room) -> None:
    client, session = await room.stream("room", is_slow=True)
    for _ in range(3):
        count = fill(room, session, ITEM)
        assert await client.read_exactly(count * len(FRAME)) == FRAME * count
        assert not session.is_behind
        room.clock.advance(10)
    assert session in room.edge.sessions
    assert room.counters.slow_clients == 0


async def test_each_time_a_client_is_too_far_behind_it_has_its_whole_grace(room: Room) -> None:
    """It was within bounds again when the first was over, though not so far that writing was resumed."""
    client, session = await room.stream("room", is_slow=True)
    count = fill(room, session, ITEM)
    while session.transport.get_write_buffer_size() > OUTBOX:
        await client.read_exactly(len(FRAME))
        count -= 1
    assert session.is_behind
    room.clock.advance(room.settings.slow_grace + LATE)
    room.clock.advance(0.7 * room.settings.slow_grace)
    for _ in range(20):
        room.edge.deliver(stream_item("room", CONTENT))
    assert session.transport.get_write_buffer_size() > OUTBOX
    room.clock.advance(room.settings.slow_grace - 0.001)
    assert session in room.edge.sessions
    room.clock.advance(0.001 + LATE)
    assert session not in room.edge.sessions
    await client.until_cut()


async def test_a_client_that_falls_far_behind_is_cut_at_once(room: Room) -> None:
    slow, session = await room.stream("room", is_slow=True)
    fill(room, session, ITEM)
    content = b"y" * (BEHIND_LIMIT * OUTBOX)
    room.edge.deliver(stream_item("room", content))
    assert session not in room.edge.sessions
    assert session.transport.is_closing()
    assert room.counters.slow_clients == 1
    await slow.until_cut()


async def test_a_client_within_its_outbox_may_take_its_time(room: Room) -> None:
    """It was behind when it was handed over, by less than a held client may be for as long as it likes."""
    client, session = await room.stream("room", is_attached=False, is_slow=True)
    session.transport.set_write_buffer_limits(high=1_000)
    data = b"z" * (OUTBOX // 2)
    session.transport.write(data)
    session.attach(b"", is_behind=True)
    room.clock.advance(100)
    assert session in room.edge.sessions
    assert await client.read_exactly(len(data)) == data
    room.edge.deliver(stream_item("room", b"news"))
    assert await client.chunk() == b"news"


async def test_a_client_handed_over_behind_has_bounds_too(room: Room) -> None:
    """The transport has told of its pause before, and does not say so again."""
    slow, session = await room.stream("room", is_attached=False, is_slow=True)
    session.transport.set_write_buffer_limits(high=1_000)
    session.transport.write(b"z" * (OUTBOX // 2))
    session.attach(b"", is_behind=True)
    for _ in range(OUTBOX // len(CONTENT)):
        room.edge.deliver(stream_item("room", CONTENT))
    room.clock.advance(room.settings.slow_grace + LATE)
    assert session not in room.edge.sessions
    assert room.counters.slow_clients == 1
    await slow.until_cut()


async def test_a_stream_that_ends_while_behind_is_given_back_and_left_alone(room: Room) -> None:
    """Its grace ends with it: the connection is another's when the time would be up."""
    client, session = await room.stream("room", is_slow=True)
    count = fill(room, session, ITEM)
    room.edge.deliver(stream_item("room", action=Action.CLOSE))
    assert room.door.taken == [(session.transport, b"", True)]
    room.clock.advance(100)
    assert not session.transport.is_closing()
    expected = FRAME * count + LAST_CHUNK
    assert await client.read_exactly(len(expected)) == expected
    assert room.counters.slow_clients == 0


async def test_a_stream_that_falls_behind_with_its_last_words_is_left_alone_too(room: Room) -> None:
    client, session = await room.stream("room", is_slow=True)
    words = b"w" * (2 * OUTBOX)
    session.finish(words)
    assert session.tick == NOWHERE
    room.clock.advance(100)
    assert [await client.chunk(), await client.chunk()] == [words, b""]


async def test_a_beat_that_cuts_a_client_is_its_last(room: Room) -> None:
    beat = KeepAlive(data=b"b" * (BEHIND_LIMIT * OUTBOX), timeout=10, mode=KeepAliveMode.INTERVAL)
    settings = HoldSettings(outbox_limit=OUTBOX, kept_limit=KEPT, slow_grace=1_000)
    async with Room(settings) as patient:
        slow, session = await patient.stream("room", keep_alive=beat, is_slow=True)
        fill(patient, session, ITEM)
        patient.clock.advance(10)
        assert session.transport.is_closing()
        assert session.tick == NOWHERE, "the wheel must not keep what has ended"
        await slow.until_cut()
