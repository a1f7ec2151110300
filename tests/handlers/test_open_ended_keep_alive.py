"""A held stream and time: keep-alives come within the second before they are due, and silence ends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import encode_chunk
from handlers.protocol.instruct import KeepAlive, KeepAliveMode
from handlers.settings import HoldSettings
from handlers.stream import StreamSession
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import Room, stream_item
from tests.support.client import RawClient

LATE = TimerWheel.RESOLUTION
BEAT = b"\n"


MODES = pytest.mark.parametrize("mode", KeepAliveMode)


def beats(client: RawClient, data: bytes = encode_chunk(BEAT)) -> int:
    """Count the keep-alives that have come, and expect nothing else."""
    pending = client.pending()
    count = len(pending) // len(data)
    assert pending == data * count
    return count


@MODES
@pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
@pytest.mark.parametrize("seconds", [1, 2, 10, 55])
async def test_a_silent_stream_gets_a_beat_within_the_second_before_its_time(
    room: Room, mode: KeepAliveMode, jitter: float, seconds: int
) -> None:
    room.jitter = jitter
    keep_alive = KeepAlive(data=BEAT, timeout=seconds, mode=mode)
    client, session = await room.stream("room", keep_alive=keep_alive)
    begin = room.clock.now()
    for _ in range(3):
        while session.touched == begin:
            due = room.clock.next_due()
            assert due is not None
            room.clock.advance_to(due)
        assert begin + seconds - 1 <= session.touched <= begin + seconds
        assert await client.chunk() == BEAT
        begin = session.touched


async def test_beats_of_an_http_1_0_stream_are_bare(room: Room) -> None:
    client, _ = await room.stream("room", chunked=False, keep_alive=KeepAlive(data=BEAT, timeout=10))
    room.clock.advance(10)
    assert await client.read_exactly(1) == BEAT


async def test_the_time_before_the_first_beat_begins_when_the_body_has_been_sent(room: Room) -> None:
    client, session = await room.stream("room", is_attached=False, keep_alive=KeepAlive(data=BEAT, timeout=10))
    room.clock.advance(100)
    session.attach(b"", is_behind=False)
    room.clock.advance(8.9)
    assert client.pending() == b""
    room.clock.advance(1.1)
    assert await client.chunk() == BEAT


@given(
    jitters=st.lists(st.floats(min_value=0, max_value=1, exclude_max=True), min_size=1, max_size=8),
    pauses=st.lists(st.floats(min_value=0.01, max_value=25), max_size=30),
    seconds=st.integers(min_value=2, max_value=20),
    mode=st.sampled_from(KeepAliveMode),
)
async def test_beats_keep_their_distance_whatever_is_published(
    jitters: list[float], pauses: list[float], seconds: int, mode: KeepAliveMode
) -> None:
    """Idle: N-1 to N seconds after the last bytes of any kind. Interval: after the last beat, whatever came between."""
    async with Room() as room:
        _, session = await room.stream("room", keep_alive=KeepAlive(data=BEAT, timeout=seconds, mode=mode))
        written = recorded(room, session)
        last = room.clock.now()
        for number, pause in enumerate([*pauses, 2.5 * seconds]):
            room.jitter = jitters[number % len(jitters)]
            room.clock.advance(pause)
            room.edge.deliver(stream_item("room", b"news"))
        for when, frame in written:
            if frame == encode_chunk(BEAT):
                assert last + seconds - 1 <= when <= last + seconds
                last = when
            elif mode is KeepAliveMode.IDLE:
                assert when <= last + seconds
                last = when
        assert room.clock.now() <= last + seconds, "none is missing at the end"


def recorded(room: Room, session: StreamSession) -> list[tuple[float, bytes]]:
    """Note what is written to the session from now on, and when."""
    written: list[tuple[float, bytes]] = []
    write = session.write

    def note_and_write(frame: bytes) -> None:
        written.append((room.clock.now(), frame))
        write(frame)

    session.write = note_and_write
    return written


@pytest.mark.parametrize("keep_alive", [None, KeepAlive(data=BEAT, timeout=5_000)])
async def test_a_stream_without_a_byte_for_the_idle_timeout_is_cut_counted_and_logged(
    room: Room, keep_alive: KeepAlive | None, caplog: pytest.LogCaptureFixture
) -> None:
    client, session = await room.stream("room", keep_alive=keep_alive)
    room.clock.advance(1_000)
    room.edge.deliver(stream_item("room", b"news"))
    room.clock.advance(1_800 - 0.001)
    assert session in room.edge.sessions
    room.clock.advance(0.001 + LATE)
    assert session not in room.edge.sessions
    assert room.counters.idle_closed == 1
    assert caplog.messages == [f"{session.label} closed: no bytes for 1800 seconds"]
    assert await client.until_cut() == encode_chunk(b"news")


async def test_beats_keep_a_stream_from_being_cut(room: Room) -> None:
    client, session = await room.stream("room", keep_alive=KeepAlive(data=BEAT, timeout=60))
    room.clock.advance(7_200 + 1)
    assert session in room.edge.sessions
    assert beats(client) >= 120


async def test_without_an_idle_timeout_silence_is_no_reason() -> None:
    async with Room(HoldSettings(idle_timeout=0)) as room:
        _, session = await room.stream("room")
        room.clock.advance(10_000_000)
        assert session in room.edge.sessions
        assert session.tick == NOWHERE


async def test_a_beat_to_a_client_that_is_gone_is_not_written(room: Room) -> None:
    _, session = await room.stream("room", keep_alive=KeepAlive(data=BEAT, timeout=10))
    session.transport.abort()
    touched = session.touched
    room.clock.advance(100)
    assert session.touched == touched
