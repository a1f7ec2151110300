"""A SockJS client's poll: one answer, and what happens to its connection then."""

from __future__ import annotations

import pytest

from handlers.protocol.answers import AnswerForm
from handlers.protocol.sockjs import Wrapping
from handlers.protocol.ws_frames import CloseReason
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import FORM
from tests.handlers.sockjs.sockjs_room import SockJsRoom
from tests.support.turns import settle, until


async def test_the_first_frame_answers_it_and_the_connection_goes_on(room: SockJsRoom) -> None:
    session, _, link = room.open()
    client, poll = await room.sockjs_poll(session)
    link.say("x")
    answer = await client.response()
    assert (answer.status, answer.body) == (200, b'a["x"]\n')
    assert answer.values(b"content-type") == (b"text/plain",)
    assert room.door.taken == [(poll.transport, b"", False)]
    link.say("y")
    assert session.take() == b'a["y"]'


async def test_json_p(room: SockJsRoom) -> None:
    session, _, link = room.open()
    client, _ = await room.sockjs_poll(session, wrapping=Wrapping.JSONP, callback=b"f")
    link.say("x")
    assert (await client.response()).body == b'/**/f("a[\\"x\\"]");\n'


async def test_a_heartbeat_answers_it(room: SockJsRoom) -> None:
    session, _, _ = room.open()
    client, _ = await room.sockjs_poll(session)
    room.clock.advance(25 + TimerWheel.RESOLUTION)
    assert (await client.response()).body == b"h\n"


async def test_the_end_answers_it(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    client, poll = await room.sockjs_poll(session)
    socket.close(CloseReason(code=4000, reason="bye"))
    assert (await client.response()).body == b'c[4000,"bye"]\n'
    assert poll.tick == NOWHERE


async def test_one_that_is_the_last_of_its_connection_closes_it(room: SockJsRoom) -> None:
    session, _, link = room.open()
    form = AnswerForm(version=b"1.0", reusable=False, method=b"POST")
    client, _ = await room.sockjs_poll(session, form=form)
    link.say("x")
    assert (await client.until_closed()).endswith(b'\r\n\r\na["x"]\n')


@pytest.mark.parametrize("leaves", ["close", "reset", "half_close"])
async def test_a_client_that_leaves_ends_the_session(room: SockJsRoom, leaves: str) -> None:
    session, _, link = room.open()
    client, _ = await room.sockjs_poll(session)
    getattr(client, leaves)()
    await until(lambda: link.told == ["client_gone"])


async def test_one_that_leaves_behind_its_answer_does_not(room: SockJsRoom) -> None:
    session, _, link = room.open()
    form = AnswerForm(version=FORM.version, reusable=False, method=FORM.method)
    client, poll = await room.sockjs_poll(session, form=form)
    link.say("x")
    await client.until_closed()
    await room.until_closed(poll.transport)
    await settle()
    assert link.told == []


async def test_the_process_ends_it_by_its_session(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    client, poll = await room.sockjs_poll(session)
    poll.drain()
    socket.drain()
    assert (await client.response()).body == b'c[1001,""]\n'
