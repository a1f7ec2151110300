"""A held stream on a real connection: what waits, what is written, keep-alives, silence, and clients that are slow."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from handlers.protocol.instruct import KeepAlive, KeepAliveMode
from handlers.protocol.items import Action
from handlers.settings import HoldSettings
from handlers.stream import BEHIND_LIMIT, StreamSession
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import KEPT, OUTBOX, Room, Spectator, stream_item, subscriptions
from tests.support.client import RawClient

LATE = TimerWheel.RESOLUTION
BEAT = b"\n"
CONTENT = b"x" * 4_000
FRAME = encode_chunk(CONTENT)


# -- before the backend's body has been sent ------------------------------------------------------------------------


async def test_what_is_published_before_waits_and_comes_first_in_order(room: Room) -> None:
    client, session = await room.stream("room", is_attached=False)
    contents = [b"%d" % number for number in range(20)]
    for content in contents[:10]:
        room.edge.deliver(stream_item("room", content))
    session.transport.write(b"the backend's body;")
    assert await client.read_until(b";") == b"the backend's body;"
    assert client.pending() == b""
    session.attach(b"", is_behind=False)
    for content in contents[10:]:
        room.edge.deliver(stream_item("room", content))
    assert [await client.chunk() for _ in contents] == contents


async def test_a_stream_closed_before_ends_when_its_body_has_been_sent(room: Room) -> None:
    client, session = await room.stream("room", is_attached=False)
    room.edge.deliver(stream_item("room", b"last words"))
    room.edge.deliver(stream_item("room", action=Action.CLOSE))
    assert session not in room.edge.sessions
    assert not session.transport.is_closing()
    session.attach(b"GET /next", is_behind=False)
    assert await client.read_exactly(15 + len(LAST_CHUNK)) == encode_chunk(b"last words") + LAST_CHUNK
    assert room.door.taken == [(session.transport, b"GET /next", False)]
    assert session.tick == NOWHERE


async def test_a_stream_closed_before_and_drained_after_ends_once(room: Room) -> None:
    """A process that stops drains what is handed over late; by then this connection is somebody else's."""
    client, session = await room.stream("room", is_attached=False)
    room.edge.deliver(stream_item("room", action=Action.CLOSE))
    session.attach(b"", is_behind=False)
    session.drain()
    session.transport.write(b"HTTP/1.1 200 OK\r\n")
    assert await client.read_until(b"OK\r\n") == LAST_CHUNK + b"HTTP/1.1 200 OK\r\n"
    assert len(room.door.taken) == 1


async def test_more_than_may_wait_costs_the_connection(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, session = await room.stream("room", is_attached=False)
    other, _ = await room.stream("room")
    fitting = OUTBOX // len(FRAME)
    for _ in range(fitting):
        room.edge.deliver(stream_item("room", CONTENT))
    assert session in room.edge.sessions
    room.edge.deliver(stream_item("room", CONTENT))
    assert session not in room.edge.sessions
    assert session.transport.is_closing()
    assert room.counters.slow_clients == 1
    assert f"{session.label} closed: too slow, more than {OUTBOX} bytes behind" in caplog.messages
    assert await client.until_cut() == b""
    assert await other.read_exactly(len(FRAME) * (fitting + 1)) == FRAME * (fitting + 1)


async def test_a_stream_cut_before_is_forgotten_however_late_it_is_handed_over(room: Room) -> None:
    client, session = await room.stream("room", is_attached=False, keep_alive=KeepAlive(data=BEAT))
    session.cut("for a reason")
    session.attach(b"", is_behind=False)
    assert session.tick == NOWHERE
    await room.until_closed(session.transport)
    assert await client.until_cut() == b""


# -- the end --------------------------------------------------------------------------------------------------------


async def test_close_writes_the_last_chunk_once_and_gives_the_connection_back(room: Room) -> None:
    client, session = await room.stream("room", kept=b"GET /next")
    room.edge.deliver(stream_item("room", b"news"))
    for _ in range(2):
        room.edge.deliver(stream_item("room", action=Action.CLOSE))
        session.finish()
    assert await client.chunk() == b"news"
    assert await client.read_exactly(len(LAST_CHUNK)) == LAST_CHUNK
    assert room.door.taken == [(session.transport, b"GET /next", False)]
    room.clock.advance(10_000)
    assert client.pending() == b""


async def test_last_words_come_before_the_last_chunk(room: Room) -> None:
    client, session = await room.stream("room")
    session.finish(b"last words")
    assert [await client.chunk(), await client.chunk()] == [b"last words", b""]


async def test_an_http_1_0_stream_ends_with_its_connection(room: Room) -> None:
    client, session = await room.stream("room", chunked=False, reusable=False)
    room.edge.deliver(stream_item("room", b"news"))
    session.finish(b", and last words")
    assert await client.until_closed() == b"news, and last words"


# -- keep-alives and silence ----------------------------------------------------------------------------------------

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


# -- clients that are slow ------------------------------------------------------------------------------------------


def fill(room: Room, session: StreamSession) -> int:
    """Publish until `session` is behind; return how many items that took."""
    count = 0
    while not session.is_behind:
        room.edge.deliver(stream_item("room", CONTENT))
        count += 1
        assert count < 1_000
    return count


async def test_a_client_that_does_not_catch_up_in_its_grace_is_cut_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    other, _ = await room.stream("room")
    slow, session = await room.stream("room", is_slow=True)
    count = fill(room, session)
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
        count = fill(room, session)
        assert await client.read_exactly(count * len(FRAME)) == FRAME * count
        assert not session.is_behind
        room.clock.advance(10)
    assert session in room.edge.sessions
    assert room.counters.slow_clients == 0


async def test_a_client_that_falls_far_behind_is_cut_at_once(room: Room) -> None:
    slow, session = await room.stream("room", is_slow=True)
    fill(room, session)
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
    count = fill(room, session)
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
        fill(patient, session)
        patient.clock.advance(10)
        assert session.transport.is_closing()
        assert session.tick == NOWHERE, "the wheel must not keep what has ended"
        await slow.until_cut()


# -- what it costs --------------------------------------------------------------------------------------------------


async def test_a_thousand_streams_cost_little_memory(room: Room) -> None:
    """The session with its label and subscriptions, its place in the index, and its timer; not the transport."""
    _, transport = await room.connect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    held = list(thousand_streams(room, transport))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(held) < 2_500
    for session in held:
        session.leave()
    transport.set_protocol(Spectator())


def thousand_streams(room: Room, transport: object) -> Iterator[StreamSession]:
    """Hold a thousand streams, all on one transport: transports are the loop's to count."""
    for index in range(1_000):
        session = StreamSession(
            site=room.site,
            transport=transport,  # type: ignore[arg-type]
            subscriptions=subscriptions((f"room {index % 10}",)),
            reusable=True,
            label=f"http://example.com/stream/{index}",
            chunked=True,
            debug=False,
            keep_alive=KeepAlive(data=BEAT),
        )
        room.edge.join(session)
        session.attach(b"", is_behind=False)
        yield session
