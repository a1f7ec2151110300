"""Sessions on their way back to the backend: a batch at a time, each once, and none that has ended."""

from __future__ import annotations

from handlers.recovery import BATCH, FEW, PAUSE, Recovery
from handlers.timers import TimerWheel
from tests.handlers.room import Room

TURN = PAUSE + TimerWheel.RESOLUTION


def recovery_of(room: Room) -> Recovery:
    return Recovery(clock=room.clock, wheel=room.wheel, counters=room.counters)


async def test_a_long_poll_is_sent_back_after_a_moment(room: Room) -> None:
    recovery = recovery_of(room)
    _, session = await room.poll("room")
    recovery.ask((session,))
    assert room.door.retried == []
    room.clock.advance(TURN)
    assert [retry[0] for retry in room.door.retried] == [session.transport]
    assert (len(recovery), room.counters.recoveries, room.counters.retries) == (0, 1, 1)


async def test_asking_twice_is_asking_once(room: Room) -> None:
    recovery = recovery_of(room)
    _, session = await room.poll("room")
    recovery.ask((session, session))
    recovery.ask((session,))
    room.clock.advance(5)
    assert len(room.door.retried) == 1


async def test_a_crowd_goes_in_batches(room: Room) -> None:
    recovery = recovery_of(room)
    sessions = [(await room.poll("room"))[1] for _ in range(BATCH + 20)]
    recovery.ask(sessions)
    room.clock.advance(TURN)
    assert len(room.door.retried) == BATCH
    room.clock.advance(TURN)
    assert [retry[0] for retry in room.door.retried] == [session.transport for session in sessions]


async def test_a_few_need_not_wait_but_a_crowd_does(room: Room) -> None:
    recovery = recovery_of(room)
    sessions = [(await room.poll("room"))[1] for _ in range(FEW + 5)]
    for session in sessions:
        recovery.hurry(session)
    assert (len(room.door.retried), len(recovery), room.counters.recoveries) == (FEW, 5, FEW)
    room.clock.advance(TURN)
    assert [retry[0] for retry in room.door.retried] == [session.transport for session in sessions]
    _, another = await room.poll("room")
    recovery.hurry(another)
    assert len(room.door.retried) == FEW + 6


async def test_who_has_ended_is_not_sent_back(room: Room) -> None:
    recovery = recovery_of(room)
    _, first = await room.poll("room")
    _, second = await room.poll("room")
    recovery.ask((first, second))
    recovery.forget(first)
    recovery.forget(first)
    room.clock.advance(TURN)
    assert [retry[0] for retry in room.door.retried] == [second.transport]


async def test_a_session_without_a_way_to_ask_goes_on(room: Room) -> None:
    recovery = recovery_of(room)
    client, session, _ = await room.websocket("room")
    recovery.ask((session,))
    room.clock.advance(TURN)
    session.write(b"\x89\x00")
    assert (await client.frame()).data == b""
    assert session in room.edge.sessions
