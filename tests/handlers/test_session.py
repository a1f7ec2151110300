"""What streams and long polls have in common on a real connection: early bytes, and every way to end."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest

from handlers.protocol.http1 import LAST_CHUNK
from handlers.session import Session
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import KEPT, Room
from tests.support.client import RawClient

kinds = pytest.mark.parametrize("kind", ["stream", "poll"])


async def held(room: Room, kind: str, *, kept: bytes = b"", is_slow: bool = False) -> tuple[RawClient, Session]:
    """Hold a client on channel `room`."""
    if kind == "stream":
        return await room.stream("room", kept=kept, is_slow=is_slow)
    return await room.poll("room", kept=kept, is_slow=is_slow)


def is_forgotten(room: Room, session: Session) -> bool:
    """Say whether neither the edge nor the wheel knows the session any more."""
    return session not in room.edge.sessions and session.tick == NOWHERE and session.deadline == math.inf


async def until_read(session: Session, data: bytes) -> None:
    """Wait until the session has been told of `data`."""
    while not session._kept.endswith(data):  # noqa: SLF001, ASYNC110  # it tells nobody until it ends
        await asyncio.sleep(0)


# -- bytes that come early ------------------------------------------------------------------------------------------


@kinds
async def test_bytes_that_come_while_held_go_back_with_the_connection(room: Room, kind: str) -> None:
    client, session = await held(room, kind, kept=b"GET /second")
    for piece in (b" HTTP/1.1\r\n", b"Host: a\r\n\r\n"):
        await client.send(piece)
        await until_read(session, piece)
    session.give_back()
    assert room.door.taken == [(session.transport, b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n", False)]


@kinds
async def test_a_client_that_sends_up_to_the_limit_is_kept(room: Room, kind: str) -> None:
    client, session = await held(room, kind, kept=b"x" * 400)
    await client.send(b"y" * (KEPT - 401) + b"!")
    await until_read(session, b"!")
    assert session in room.edge.sessions
    assert room.counters.kept_overflows == 0


@kinds
async def test_a_client_that_sends_more_is_cut_counted_and_logged(
    room: Room, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, session = await held(room, kind, kept=b"x" * 400)
    await client.send(b"y" * (KEPT - 399))
    assert await client.until_cut() == b""
    await room.until_closed(session.transport)
    assert is_forgotten(room, session)
    assert room.counters.kept_overflows == 1
    assert f"{session.label} closed: sent more than {KEPT} bytes while held" in caplog.messages


# -- ways to end ----------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("leaving", ["close", "reset", "half_close"])
async def test_a_client_that_leaves_is_forgotten(room: Room, kind: str, leaving: str) -> None:
    client, session = await held(room, kind)
    getattr(client, leaving)()
    await room.until_closed(session.transport)
    assert is_forgotten(room, session)
    assert room.door.closed == [session.transport]
    assert room.door.taken == []


@kinds
async def test_a_half_closed_client_is_off_its_channels_at_once(room: Room, kind: str) -> None:
    _, session = await held(room, kind)
    assert session.eof_received() is None
    assert is_forgotten(room, session)


@kinds
async def test_being_told_twice_of_the_end_is_harmless(room: Room, kind: str) -> None:
    _, session = await held(room, kind)
    session.transport.abort()
    await room.until_closed(session.transport)
    session.connection_lost(None)
    session.leave()
    assert is_forgotten(room, session)
    assert (room.counters.sessions_stream, room.counters.sessions_response) == (0, 0)


@kinds
async def test_the_end_is_logged_with_its_reason_for_those_who_debug(
    room: Room, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, session = await held(room, kind)
    with caplog.at_level(logging.DEBUG, "holdfast.session"):
        session.connection_lost(ConnectionResetError("reset by peer"))
    assert caplog.messages == [f"{session.label} ended: reset by peer"]


@kinds
async def test_a_cut_client_is_closed_at_once_and_logged(
    room: Room, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, session = await held(room, kind)
    session.cut("for a reason")
    assert is_forgotten(room, session)
    assert await client.until_cut() == b""
    assert caplog.messages == [f"{session.label} closed: for a reason"]


@kinds
async def test_a_connection_that_may_not_go_on_is_closed_instead_of_given_back(room: Room, kind: str) -> None:
    client, session = await held(room, kind)
    session.reusable = False
    session.give_back()
    assert await client.until_closed() == b""
    assert room.door.taken == []


@kinds
async def test_a_connection_that_is_closing_is_not_given_back(room: Room, kind: str) -> None:
    _, session = await held(room, kind)
    session.transport.close()
    session.give_back()
    assert room.door.taken == []


@kinds
async def test_draining_ends_a_session_in_good_order_and_closes(room: Room, kind: str) -> None:
    client, session = await held(room, kind)
    session.drain()
    assert is_forgotten(room, session)
    if kind == "stream":
        assert await client.until_closed() == LAST_CHUNK
    else:
        response = await client.response()
        assert (response.body, response.values(b"connection")) == (b"timeout\n", (b"close",))
        assert await client.until_closed() == b""
    await room.until_closed(session.transport)
    assert room.door.taken == []


# -- a client that is behind ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RuntimeError("closed"), AssertionError("no server")], ids=repr)
async def test_a_session_that_fails_when_its_time_has_come_is_closed_and_costs_no_other_its_turn(
    room: Room, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    held = [await room.poll("room", seconds=30) for _ in range(3)]
    room.door.fault = fault
    room.clock.advance(30 + TimerWheel.RESOLUTION)
    assert all(is_forgotten(room, session) for _, session in held)
    assert [session.transport.is_closing() for _, session in held].count(True) == 1
    assert len(room.door.taken) == 2
    assert str(fault) in caplog.text


@kinds
async def test_whether_the_client_is_behind_goes_back_with_the_connection(room: Room, kind: str) -> None:
    """The next owner of a paused transport will be told to resume, and has to know that it was paused."""
    client, session = await held(room, kind, is_slow=True)
    data = b"z" * (2 * room.settings.outbox_limit)
    session.transport.write(data)
    assert session.is_behind
    session.give_back()
    assert room.door.taken == [(session.transport, b"", True)]
    assert await client.read_exactly(len(data)) == data


@kinds
async def test_a_client_that_has_caught_up_is_not_behind_any_more(room: Room, kind: str) -> None:
    client, session = await held(room, kind, is_slow=True)
    data = b"z" * (2 * room.settings.outbox_limit)
    session.transport.write(data)
    assert await client.read_exactly(len(data)) == data
    assert not session.is_behind
    assert room.counters.slow_clients == 0
