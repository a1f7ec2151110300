"""What a backend has sent to its client later or again: keep-alives in both modes, delayed messages (row W37 too)."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from handlers.protocol.instruct import KeepAliveMode
from handlers.protocol.ws_frames import CloseReason
from handlers.settings import HoldSettings
from handlers.timers import TimerWheel
from tests.handlers.recording import RecordingLink
from tests.handlers.room import Room, message_item
from tests.handlers.test_websocket_control import control
from tests.support.turns import until
from tests.support.websocket import WsClient

LATE = TimerWheel.RESOLUTION
BEGUN = Frame(Opcode.TEXT, b"begun ", fin=False)
ENDED = Frame(Opcode.CONT, b"ended")
BARRIER = Frame(Opcode.PONG, b"barrier")


async def heard(client: WsClient, link: RecordingLink) -> list[str | Frame]:
    """Return what the client has been sent, whole texts as such; a pong is the barrier."""
    link.relay(BARRIER)
    found: list[str | Frame] = []
    while (frame := await client.frame()) != BARRIER:
        found.append(bytes(frame.data).decode() if (frame.opcode, frame.fin) == (Opcode.TEXT, True) else frame)
    return found


# -- keep-alives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", KeepAliveMode)
async def test_a_keep_alive_is_sent_again_and_again(room: Room, mode: KeepAliveMode) -> None:
    """W22. Up to a second early (reference 5.3)."""
    client, _, link = await room.websocket("room", grip=b"m:")
    link.relay(control("keep-alive", content="beat", timeout=10, mode=mode.value))
    room.clock.advance(8.9)
    assert await heard(client, link) == []
    for _ in range(3):
        room.clock.advance(10)
        assert await client.heard() == "beat"
    assert await heard(client, link) == []


@pytest.mark.parametrize(("mode", "beats"), [(KeepAliveMode.IDLE, 0), (KeepAliveMode.INTERVAL, 3)])
@pytest.mark.parametrize("source", ["published", "relayed", "relayed fragments", "filtered", "delayed"])
async def test_what_goes_to_the_client_puts_off_idle_beats_and_no_others(
    room: Room, mode: KeepAliveMode, beats: int, source: str
) -> None:
    filters = ("var-subst",) if source == "filtered" else ()
    client, _, link = await room.websocket("room", grip=b"m:", filters=filters)
    link.relay(control("keep-alive", content="beat", timeout=10, mode=mode.value))
    for _ in range(6):
        room.clock.advance(5.5)
        match source:
            case "relayed":
                link.say("m:news")
            case "relayed fragments":
                link.relay(Frame(Opcode.TEXT, b"m:", fin=False), Frame(Opcode.CONT, b"news"))
            case "delayed":
                link.relay(control("send-delayed", content="news", timeout=30), control("flush-delayed"))
            case _:
                room.edge.deliver(message_item("room", b"news"))
    assert (await heard(client, link)).count("beat") == beats


async def test_what_comes_from_the_client_puts_no_beat_off(room: Room) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    link.relay(control("keep-alive", content="beat", timeout=10))
    room.clock.advance(8)
    await client.say("hello")
    await until(lambda: link.frames)
    room.clock.advance(2)
    assert await client.heard() == "beat"
    assert session in room.edge.sessions


async def test_a_keep_alive_may_be_changed_and_turned_off(room: Room) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    link.relay(control("keep-alive", content="slow", timeout=1_000))
    link.relay(control("keep-alive", content_bin="/w==", message_type="binary", timeout=10))
    room.clock.advance(10)
    assert await client.frame() == Frame(Opcode.BINARY, b"\xff")
    link.relay(control("keep-alive", content="", message_type="ping", timeout=20))
    room.clock.advance(18)
    assert await heard(client, link) == []
    room.clock.advance(2)
    room.clock.advance(20)
    assert Frame(Opcode.PING, b"") in await heard(client, link)
    link.relay(control("keep-alive"))
    room.clock.advance(1_000)
    assert await heard(client, link) == []
    assert session in room.edge.sessions


@pytest.mark.parametrize("is_deflated", [False, True])
async def test_beats_and_delayed_messages_have_the_form_that_was_agreed_on(room: Room, is_deflated: bool) -> None:
    client, _, link = await room.websocket("room", grip=b"m:", is_deflated=is_deflated)
    text = "again and " * 20
    link.relay(control("keep-alive", content=text, timeout=10), control("send-delayed", content=text))
    room.clock.advance(1 + LATE)
    assert await client.heard() == text
    room.clock.advance(10)
    assert await client.heard() == text


async def test_beats_keep_a_websocket_from_being_closed_as_idle() -> None:
    async with Room(HoldSettings(idle_timeout=100)) as room:
        _, session, link = await room.websocket("room", grip=b"m:")
        link.relay(control("keep-alive", content="beat", timeout=99))
        room.clock.advance(1_000)
        assert session in room.edge.sessions


async def test_a_beat_waits_for_the_end_of_a_relayed_message(room: Room) -> None:
    client, _, link = await room.websocket("room", grip=b"")
    link.relay(control("keep-alive", content="beat", timeout=10), BEGUN)
    room.clock.advance(10)
    link.relay(ENDED)
    assert await heard(client, link) == [BEGUN, ENDED, "beat"]


async def test_a_detached_client_still_gets_its_beats(room: Room) -> None:
    client, _, link = await room.websocket("room", grip=b"m:")
    link.relay(control("keep-alive", content="beat", timeout=10), control("send-delayed", content="late"))
    link.relay(control("detach"))
    room.clock.advance(11)
    assert [await client.heard(), await client.heard()] == ["late", "beat"]


# -- delayed messages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "seconds"), [({}, 1), ({"timeout": 0}, 1), ({"timeout": 30}, 30)])
async def test_a_delayed_message_comes_once_at_its_time(room: Room, fields: dict[str, int], seconds: int) -> None:
    """W23."""
    client, _, link = await room.websocket("room", grip=b"m:")
    link.relay(control("send-delayed", content="late", **fields))
    room.clock.advance(seconds - 0.001)
    assert await heard(client, link) == []
    room.clock.advance(0.001 + LATE)
    assert await heard(client, link) == ["late"]
    link.relay(control("flush-delayed"))
    room.clock.advance(1_000)
    assert await heard(client, link) == []


async def test_a_delayed_message_comes_at_once_when_it_is_flushed(room: Room) -> None:
    client, _, link = await room.websocket("room", grip=b"m:")
    link.relay(control("send-delayed", content_bin="/w==", message_type="binary", timeout=30), control("flush-delayed"))
    assert await heard(client, link) == [Frame(Opcode.BINARY, b"\xff")]
    room.clock.advance(100)
    assert await heard(client, link) == []


async def test_a_new_delayed_message_flushes_the_one_before(room: Room) -> None:
    client, _, link = await room.websocket("room", grip=b"m:")
    link.relay(control("send-delayed", content="first", timeout=5), control("send-delayed", content="second"))
    assert await heard(client, link) == ["first"]
    room.clock.advance(1 + LATE)
    assert await heard(client, link) == ["second"]
    room.clock.advance(100)
    assert await heard(client, link) == []


@pytest.mark.parametrize("how", ["its time", "flushed", "another"])
async def test_a_delayed_message_behind_a_fragmented_one_comes_exactly_once(room: Room, how: str) -> None:
    """W37 and D1: Pushpin sends it with each fragment, and dies of it."""
    client, session, link = await room.websocket("room", grip=b"")
    link.relay(control("send-delayed", content="late", timeout=1))
    if how == "its time":
        link.relay(BEGUN)
        room.clock.advance(1 + LATE)
    elif how == "flushed":
        link.relay(control("flush-delayed"), BEGUN)
    else:
        link.relay(control("send-delayed", content="later", timeout=2), BEGUN)
    fragments = [Frame(Opcode.CONT, b"%d" % number, fin=False) for number in range(20)]
    for fragment in fragments:
        link.relay(fragment)
        room.clock.advance(0.2)
    link.relay(ENDED)
    room.clock.advance(100)
    link.say("and on")
    whole = [each for each in await heard(client, link) if isinstance(each, str)]
    assert whole == ["late", "later", "and on"] if how == "another" else ["late", "and on"]
    assert session in room.edge.sessions


async def test_a_delayed_message_is_no_reason_to_keep_a_connection(room: Room) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    link.relay(control("send-delayed", content="late", timeout=5))
    session.close(CloseReason(code=4001))
    room.clock.advance(5 + LATE)
    assert (await client.closed()).code == 4001
    await client.put_close(4001)
    assert await client.until_closed() == b""
