"""A SockJS session between its receivers and the WebSocket session on it (reference 8.1)."""

from __future__ import annotations

import asyncio
import logging

import pytest
from websockets.frames import Frame, Opcode

from handlers.protocol.items import Action
from handlers.protocol.ws_frames import CloseReason
from handlers.sockjs.session import SockJsSession
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import message_item
from tests.handlers.sockjs.sockjs_room import KEY, Ear, SockJsRoom, frames_of
from tests.support.turns import settle

LATE = TimerWheel.RESOLUTION
INTERRUPTED = b'c[1002,"Connection interrupted"]'


# -- to the client --------------------------------------------------------------------------------------------------


async def test_a_receiver_gets_what_waits_and_what_comes(room: SockJsRoom) -> None:
    session, _, link = room.open("room", is_told=False)
    link.say("first")
    room.edge.deliver(message_item("room", b"second"))
    ear = Ear()
    session.receive_by(ear)
    assert await frames_of(ear) == [b"o", b'a["first","second"]']
    room.edge.deliver(message_item("room", b"third"))
    assert await frames_of(ear) == [b"o", b'a["first","second"]', b'a["third"]']


async def test_one_that_has_had_enough_gets_no_more_and_nothing_is_lost(room: SockJsRoom) -> None:
    session, _, link = room.open()
    ear = Ear(1)
    session.receive_by(ear)
    link.say("1")
    link.say("2")
    assert await frames_of(ear) == [b'a["1","2"]']
    assert not session.is_taken
    link.say("3")
    assert session.take() == b'a["3"]'
    assert session.take() is None


async def test_one_whose_client_is_gone_takes_nothing(room: SockJsRoom) -> None:
    session, _, link = room.open()
    ear = Ear()
    session.receive_by(ear)
    ear.is_gone = True
    link.say("1")
    assert await frames_of(ear) == []
    session.dropped(ear)
    assert session.take() == INTERRUPTED
    assert room.counters.sockjs_lost == 1


async def test_a_message_in_fragments_is_put_together(room: SockJsRoom) -> None:
    session, _, link = room.open()
    link.relay(Frame(Opcode.TEXT, b"a", fin=False), Frame(Opcode.PING, b"p"), Frame(Opcode.CONT, b"b"))
    assert session.take() == b'a["ab"]'
    await settle()
    assert link.frames == [(Opcode.PONG, b"p", True)]


async def test_what_is_no_text_is_not_sent_but_counted_and_logged(
    room: SockJsRoom, caplog: pytest.LogCaptureFixture
) -> None:
    session, _, link = room.open()
    with caplog.at_level(logging.INFO, "holdfast.sockjs"):
        link.relay(Frame(Opcode.BINARY, b"\xff"), Frame(Opcode.BINARY, b"ok"))
        link.relay(Frame(Opcode.TEXT, b"x" * 501, fin=False), Frame(Opcode.CONT, b""))
        link.relay(Frame(Opcode.PONG, b""))
    assert session.take() == b'a["ok"]'
    assert room.counters.sockjs_unsendable == 2
    assert caplog.messages == ["/sockjs a message is not sent: SockJS has text only, of at most 500 bytes"] * 2


# -- from the client ------------------------------------------------------------------------------------------------


async def test_the_clients_messages_are_frames_to_the_link(room: SockJsRoom) -> None:
    session, _, link = room.open()
    session.say((b"1", "é".encode()))
    session.say(())
    assert link.frames == [(Opcode.TEXT, b"1", True), (Opcode.TEXT, "é".encode(), True)]
    assert room.counters.websocket_messages == 2


async def test_while_the_backend_has_enough_to_do_it_is_full(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    told: list[str] = []
    socket.pause_reading()
    session.when_room(lambda: told.append("room"))
    assert (session.is_full, told) == (True, [])
    socket.resume_reading()
    assert (session.is_full, told) == (False, ["room"])
    socket.resume_reading()
    assert told == ["room"]


async def test_at_its_end_nobody_waits_for_room(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    told: list[str] = []
    socket.pause_reading()
    session.when_room(lambda: told.append("room"))
    socket.cut("why not")
    assert (session.is_full, told) == (False, ["room"])


async def test_many_messages_go_on_in_turns_and_a_close_behind_them(room: SockJsRoom) -> None:
    session, _, link = room.open()
    messages = [b"%d" % number for number in range(200)]
    session.say(messages)
    assert len(link.frames) == 64
    assert session.is_full
    session.client_closed(CloseReason(code=4005))
    await settle()
    assert [content for _, content, _ in link.frames] == [*messages, b"\x0f\xa5"]
    assert not session.is_full


async def test_those_that_come_too_late_are_counted(room: SockJsRoom, caplog: pytest.LogCaptureFixture) -> None:
    session, socket, link = room.open()
    session.say([b"x"] * 100)
    with caplog.at_level(logging.INFO, "holdfast.sockjs"):
        socket.cut("why not")
        await settle()
    assert (len(link.frames), room.counters.websocket_discarded) == (64, 36)
    assert caplog.messages[-1:] == ["/sockjs 36 messages of the client came too late: the session is over"]
    session.say([b"y"])
    assert session.is_over
    assert len(link.frames) == 64


# -- pressure -------------------------------------------------------------------------------------------------------


async def test_while_much_waits_the_backend_is_held_back(room: SockJsRoom) -> None:
    session, _, link = room.open("room")
    room.edge.deliver(message_item("room", b"x" * 1_100))
    assert link.told == ["behind"]
    assert session.take() is not None
    assert link.told == ["behind", "caught up"]


async def test_a_receiver_that_is_behind_holds_it_back_too(room: SockJsRoom) -> None:
    session, _, link = room.open()
    ear = Ear()
    session.receive_by(ear)
    session.behind(True)
    session.behind(True)
    assert link.told == ["behind"]
    session.behind(False)
    assert link.told == ["behind", "caught up"]


async def test_what_is_too_much_may_wait_for_a_moment(room: SockJsRoom) -> None:
    session, _, _ = room.open("room")
    room.edge.deliver(message_item("room", b"x" * 2_000))
    room.clock.advance(0.8)
    assert session.take() is not None
    room.clock.advance(1)
    assert room.counters.slow_clients == 0


async def test_a_client_that_does_not_come_for_it_is_cut(room: SockJsRoom) -> None:
    session, _, link = room.open("room")
    room.edge.deliver(message_item("room", b"x" * 2_000))
    room.clock.advance(1 + LATE)
    await settle()
    assert (room.counters.slow_clients, room.counters.sockjs_lost) == (1, 1)
    assert link.told == ["behind", "client_gone"]
    assert session.take() == INTERRUPTED
    assert not room.edge.sessions


async def test_a_flood_is_not_kept(room: SockJsRoom) -> None:
    _, _, link = room.open("room")
    for _ in range(5):
        room.edge.deliver(message_item("room", b"x" * 1_000))
    await settle()
    assert room.counters.slow_clients == 1
    assert link.told == ["behind", "client_gone"]


async def test_a_burst_goes_to_who_is_there(room: SockJsRoom) -> None:
    session, _, _ = room.open("room")
    ear = Ear()
    session.receive_by(ear)
    for _ in range(20):
        room.edge.deliver(message_item("room", b"x" * 1_000))
    assert sum(frame.count(b"x" * 1_000) for frame in await frames_of(ear)) == 20
    assert room.counters.slow_clients == 0


# -- time -----------------------------------------------------------------------------------------------------------


async def test_who_stays_away_has_left(room: SockJsRoom) -> None:
    session, _, link = room.open()
    link.say("lost")
    room.clock.advance(5 + LATE)
    assert link.told == ["client_gone"]
    assert (room.counters.sockjs_abandoned, room.counters.sockjs_lost) == (1, 1)
    assert room.is_empty(session)


async def test_a_poll_puts_that_off(room: SockJsRoom) -> None:
    session, _, link = room.open()
    for _ in range(5):
        room.clock.advance(4)
        link.say("x")
        assert session.take() == b'a["x"]'
    assert room.shared.sessions == {KEY: session}
    assert link.told == []


async def test_heartbeats_keep_a_silent_session(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    ear = Ear()
    session.receive_by(ear)
    for _ in range(100):
        room.clock.advance(25 + LATE)
    assert set(ear.frames) == {b"h"}
    assert len(ear.frames) == 100
    assert not socket.transport.is_closing(), "hold.idle_timeout is half an hour"


async def test_a_poll_is_answered_by_a_heartbeat(room: SockJsRoom) -> None:
    session, _, _ = room.open()
    session.receive_by(Ear(1))
    room.clock.advance(25 + LATE)
    assert not session.is_taken
    room.clock.advance(5 + LATE)
    assert room.is_empty(session)


# -- ends -----------------------------------------------------------------------------------------------------------


async def test_a_close_of_the_backends_is_the_last_frame(room: SockJsRoom) -> None:
    session, socket, link = room.open()
    ear = Ear()
    session.receive_by(ear)
    link.say("last words")
    socket.close(CloseReason(code=4000, reason="bye"))
    assert await frames_of(ear) == [b'a["last words"]', b'c[4000,"bye"]']
    assert ear.reason == CloseReason(code=4000, reason="bye")
    assert link.frames == [(Opcode.CLOSE, b"\x0f\xa0bye", True)], "as every client answers it"
    assert session.is_closing()
    assert not room.edge.sessions
    assert session.take() == b'c[4000,"bye"]'
    room.clock.advance(5 + LATE)
    assert room.is_empty(session)


async def test_a_close_waits_for_who_is_away(room: SockJsRoom) -> None:
    session, socket, link = room.open()
    link.say("last words")
    socket.close(CloseReason(code=4000, reason="bye"))
    await settle()
    assert [session.take() for _ in range(3)] == [b'a["last words"]', b'c[4000,"bye"]', b'c[4000,"bye"]']


async def test_who_asks_again_and_again_does_not_keep_a_session_that_has_ended(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    socket.close(CloseReason(code=4000, reason="bye"))
    await settle()
    for _ in range(2):
        assert session.take() == b'c[4000,"bye"]'
        ear = Ear(1)
        session.receive_by(ear)
        assert await frames_of(ear) == [b'c[4000,"bye"]']
        room.clock.advance(2)
    room.clock.advance(1 + LATE)
    assert room.is_empty(session)


async def test_a_close_that_nobody_comes_for_is_forgotten(room: SockJsRoom) -> None:
    session, socket, link = room.open()
    link.say("lost")
    socket.close(CloseReason(code=4000))
    await settle()
    room.clock.advance(5 + LATE)
    assert (room.counters.sockjs_lost, room.counters.sockjs_abandoned) == (1, 0)
    assert room.is_empty(session)


async def test_a_published_close(room: SockJsRoom) -> None:
    session, _, link = room.open("room")
    room.edge.deliver(message_item("room", action=Action.CLOSE, code=4001, reason="published"))
    await settle()
    assert session.take() == b'c[4001,"published"]'
    assert link.told == ["close_by_us"]


async def test_the_clients_own_close_is_the_backends_to_answer(room: SockJsRoom) -> None:
    session, socket, link = room.open()
    ear = Ear()
    session.receive_by(ear)
    session.client_closed(CloseReason(code=4005, reason="me"))
    assert link.frames == [(Opcode.CLOSE, b"\x0f\xa5me", True)]
    socket.echo()
    assert await frames_of(ear) == [b'c[4005,"me"]']
    assert link.told == []


async def test_a_client_that_drops_a_receiver_has_left(room: SockJsRoom) -> None:
    session, _, link = room.open()
    ear = Ear()
    session.receive_by(ear)
    session.dropped(Ear())
    assert link.told == [], "not the one that it has"
    session.dropped(ear)
    assert link.told == ["client_gone"]
    assert room.counters.sockjs_abandoned == 1
    assert session.take() == INTERRUPTED
    room.clock.advance(5 + LATE)
    assert room.is_empty(session)


async def test_a_fault_of_the_backends(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    ear = Ear()
    session.receive_by(ear)
    socket.fail("no answer")
    assert await frames_of(ear) == [b'c[1011,"backend failed"]']


async def test_draining(room: SockJsRoom) -> None:
    session, socket, link = room.open()
    ear = Ear()
    session.receive_by(ear)
    socket.drain()
    assert await frames_of(ear) == [b'c[1001,""]']
    assert link.told == ["close_by_us"]


async def test_nothing_is_left_of_one_that_never_opened(room: SockJsRoom) -> None:
    session = SockJsSession(shared=room.shared, key=KEY, label="/sockjs")
    assert session.is_taken
    assert room.shared.sessions == {KEY: session}
    session.discard()
    await settle()
    assert room.is_empty(session)
    assert room.counters.sockjs_opened == 0


async def test_one_that_is_not_found_again_does_not_wait(room: SockJsRoom) -> None:
    session, socket, link = room.open(key=None)
    ear = Ear()
    session.receive_by(ear)
    assert room.shared.sessions == {}
    session.dropped(ear)
    assert link.told == ["client_gone"]
    assert session.tick == NOWHERE
    assert not room.edge.sessions
    assert socket.transport.is_closing()


async def test_it_is_a_transport(room: SockJsRoom) -> None:
    session, socket, _ = room.open()
    assert isinstance(session, asyncio.Transport)
    assert session.get_protocol() is socket
    assert session.is_reading()
    assert not session.can_write_eof()
    assert session.get_extra_info("peername") is None
    assert session.get_write_buffer_size() == 0
    session.close()
    session.close()
    session.write(b"\x81\x01x")
    await settle()
    assert session.take() == b'c[3000,""]', "closed without a word"
