"""A transport that is not a socket, between whoever has the client and a session."""

from __future__ import annotations

from functools import partial

import pytest

from handlers.session import Session
from handlers.sockjs.transport import VirtualTransport
from tests.handlers.sockjs.sockjs_room import SockJsRoom
from tests.support.turns import settle


class Whole(VirtualTransport):
    """With what a session may ask of it besides, for nobody."""

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def abort(self) -> None:
        self.begin_end()


@pytest.fixture
def transport(room: SockJsRoom) -> Whole:
    transport = Whole()
    _, socket, _ = room.open()
    transport.set_protocol(socket)
    return transport


async def test_the_session_is_told_of_pressure_once(transport: Whole) -> None:
    socket = transport.get_protocol()
    assert isinstance(socket, Session)
    for is_too_much in (True, True, False, False, True):
        transport.press(is_too_much)
        assert socket.is_behind is is_too_much


async def test_reading_is_paused_and_goes_on(transport: Whole) -> None:
    told: list[int] = []
    assert (transport.is_reading(), transport.is_full) == (True, False)
    transport.pause_reading()
    assert (transport.is_reading(), transport.is_full) == (False, True)
    transport.when_room(lambda: told.append(1))
    transport.resume_reading()
    assert (transport.is_full, told) == (False, [1])


async def test_who_has_gone_is_not_told(transport: Whole) -> None:
    told: list[int] = []
    transport.pause_reading()
    transport.when_room(lambda: told.append(1))
    act = partial(told.append, 2)
    transport.when_room(act)
    transport.no_longer(act)
    transport.resume_reading()
    transport.no_longer(act)
    assert told == [1]


async def test_until_there_is_a_session_there_is_no_room(room: SockJsRoom) -> None:
    told: list[int] = []
    transport = Whole()
    transport.when_room(lambda: told.append(1))
    assert transport.is_full
    transport.set_protocol(room.open()[1])
    transport.begin()
    assert told == []
    await settle()
    assert (told, transport.is_full) == ([1], False)


async def test_whoever_waits_hears_of_the_end_and_nothing_more_is_heard(transport: Whole) -> None:
    told: list[int] = []
    transport.pause_reading()
    transport.when_room(lambda: told.append(1))
    transport.begin_end()
    assert (transport.is_closing(), transport.is_full, told) == (True, False, [1])
    await settle()
    transport.lose()
    transport.hear(b"nobody hears this")
    transport.press(True)
    assert transport.is_closing()
