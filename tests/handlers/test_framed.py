"""A WebSocket's frames on a real connection: what the client's are held to, and in which order it gets its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from handlers.protocol.ws_frames import CloseReason, FrameReader
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.protocol.ws_reading import CLOSE, CONT, FIN, PING, RSV1, RSV2, TEXT, wire
from tests.handlers.recording import RecordingLink
from tests.handlers.room import Room, message_item
from tests.support.turns import settle, until
from tests.support.websocket import WsClient

LATE = TimerWheel.RESOLUTION
BAD = FIN | TEXT, b"caf\xe9"
PLAIN_OR_DEFLATED = pytest.mark.parametrize("is_deflated", [False, True], ids=["plain", "deflated"])


# -- what the client sends ------------------------------------------------------------------------------------------


async def test_frames_that_came_behind_the_handshake_are_taken(room: Room) -> None:
    _, _, link = await room.websocket("room", kept=wire(FIN | TEXT, b"early") + wire(TEXT, b"begun "))
    assert link.frames == [(Opcode.TEXT, b"early", True), (Opcode.TEXT, b"begun ", False)]


@PLAIN_OR_DEFLATED
async def test_fragments_are_handed_on_as_they_come_and_control_frames_between_them(
    room: Room, is_deflated: bool
) -> None:
    client, _, link = await room.websocket("room", is_deflated=is_deflated)
    sent = [
        Frame(Opcode.TEXT, b"one ", fin=False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.CONT, b"", fin=False),
        Frame(Opcode.CONT, b"two"),
        Frame(Opcode.BINARY, b"\xff"),
        Frame(Opcode.PONG, b""),
    ]
    for number, frame in enumerate(sent, 1):
        await client.put(frame)
        await until(lambda number=number: len(link.frames) == number)  # type: ignore[misc]
    assert link.frames == [(frame.opcode, frame.data, frame.fin) for frame in sent]
    assert room.counters.websocket_messages == 2


FAULTS = {
    "unmasked": (wire(FIN | TEXT, b"hello", mask=None), 1002),
    "reserved opcode": (wire(FIN | 0x3), 1002),
    "reserved control opcode": (wire(FIN | 0xB), 1002),
    "compressed without agreement": (wire(FIN | RSV1 | TEXT, b"hello"), 1002),
    "reserved bit": (wire(FIN | RSV2 | TEXT, b"hello"), 1002),
    "ping in fragments": (wire(PING, b"p"), 1002),
    "long ping": (wire(FIN | PING, b"p" * 126), 1002),
    "continuation of nothing": (wire(FIN | CONT, b"hello"), 1002),
    "message in a message": (wire(TEXT, b"hello") + wire(FIN | TEXT, b"hello"), 1002),
    "text that is not UTF-8": (wire(*BAD), 1007),
    "text that ends within a character": (wire(TEXT, b"caf\xc3") + wire(FIN | CONT), 1007),
    "close with half a code": (wire(FIN | CLOSE, b"\x03"), 1002),
    "close with a code nobody may send": (wire(FIN | CLOSE, b"\x03\xed"), 1002),
    "close with a reason that is not UTF-8": (wire(FIN | CLOSE, b"\x03\xe8\xff"), 1007),
    "frame too long": (bytes((FIN | 0x2, 0xFF)) + (1_000_001).to_bytes(8, "big"), 1009),
    "frame of negative length": (bytes((FIN | 0x2, 0xFF)) + b"\xff" * 8, 1009),
    "message too long": (wire(0x2, b"x" * 600) + wire(FIN | CONT, b"x" * 401), 1009),
    "http": (b"GET / HTTP/1.1\r\n\r\n", 1002),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_gets_its_close_frame_before_the_end_of_our_half(
    room: Room, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, code = FAULTS[fault]
    client, session, link = await room.websocket("room", message_limit=1_000)
    await client.send(data)
    closed = await client.closed()
    assert closed.code == code
    assert await client.until_closed() == b""
    assert session not in room.edge.sessions
    assert link.told == ["client_gone"]
    assert room.counters.websocket_client_faults == 1
    assert caplog.messages == [f"{session.label} closed with {code}: {closed.reason}"]


async def test_data_that_does_not_inflate_is_a_fault(room: Room) -> None:
    client, _, _ = await room.websocket("room", is_deflated=True)
    await client.send(wire(FIN | RSV1 | TEXT, b"\xff\xff\xff"))
    assert (await client.closed()).code == 1002


async def test_what_inflates_beyond_the_limit_is_a_fault(room: Room) -> None:
    """A bomb: 1,000 bytes become a million."""
    client, _, link = await room.websocket("room", is_deflated=True, message_limit=1_000)
    deflated = PerMessageDeflate(True, True, 12, 15).encode(Frame(Opcode.TEXT, b"0" * 1_000_000))
    assert len(deflated.data) < 1_100
    await client.send(wire(FIN | RSV1 | TEXT, bytes(deflated.data)[:1_000]))
    assert (await client.closed()).code == 1009
    assert link.frames == []


async def test_what_came_before_a_fault_is_taken_and_what_comes_after_is_not(room: Room) -> None:
    client, session, link = await room.websocket("room")
    await client.send(wire(FIN | TEXT, b"before") + wire(*BAD) + wire(FIN | TEXT, b"after"))
    assert (await client.closed()).code == 1007
    await client.send(wire(FIN | TEXT, b"x" * 100_000) + wire(FIN | PING) + wire(*BAD) + wire(FIN | CLOSE))
    client.half_close()
    await room.until_closed(session.transport)
    assert link.frames == [(Opcode.TEXT, b"before", True)]
    assert link.told == ["client_gone"]
    assert await client.until_closed() == b"", "nothing is answered any more"
    assert room.counters.websocket_client_faults == 1
    assert session.tick == NOWHERE


async def test_a_client_at_fault_that_does_not_close_is_cut_in_the_end(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    client, session, link = await room.websocket("room")
    await client.send(wire(*BAD))
    assert (await client.closed()).code == 1007
    room.clock.advance(room.websockets.settings.close_timeout - 0.001)
    assert not session.transport.is_closing()
    room.clock.advance(0.001 + LATE)
    assert session.transport.is_closing()
    await room.until_closed(session.transport)
    assert link.told == ["client_gone"]
    assert room.counters.websocket_close_timeouts == 1
    assert caplog.messages[1:] == [f"{session.label} closed: no answer to the close"]


async def test_a_fault_behind_the_handshake_ends_the_connection_too(room: Room) -> None:
    client, session, _ = await room.websocket("room", kept=b"no frame, but HTTP")
    assert (await client.closed()).code == 1002
    assert await client.until_closed() == b""
    assert session not in room.edge.sessions


async def test_a_fault_after_our_close_frame_brings_no_second_one(room: Room) -> None:
    client, session, _ = await room.websocket("room")
    session.close(CloseReason(code=4000))
    await client.send(wire(*BAD))
    assert (await client.closed()).code == 4000
    assert await client.until_closed() == b""


# -- what the client gets -------------------------------------------------------------------------------------------


@PLAIN_OR_DEFLATED
async def test_what_is_published_during_a_relayed_message_waits_for_its_end_in_order(
    room: Room, is_deflated: bool
) -> None:
    """D12: Pushpin drops it. Pings and pongs of the backend's do not wait."""
    client, _, link = await room.websocket("room", is_deflated=is_deflated)
    link.relay(Frame(Opcode.TEXT, b"one " * 20, fin=False))
    room.edge.deliver(message_item("room", b"first" * 20))
    link.relay(Frame(Opcode.PING, b"p"), Frame(Opcode.CONT, b"two " * 20, fin=False), Frame(Opcode.PONG, b"q"))
    room.edge.deliver(message_item("room", b"second"))
    for frame in (
        Frame(Opcode.TEXT, b"one " * 20, fin=False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.CONT, b"two " * 20, fin=False),
        Frame(Opcode.PONG, b"q"),
    ):
        assert await client.frame() == frame, "nothing of it waits for the end"
    assert client.pending() == b""
    link.relay(Frame(Opcode.CONT, b"three"), Frame(Opcode.BINARY, b"whole"))
    room.edge.deliver(message_item("room", b"third"))
    assert [await client.frame() for _ in range(5)] == [
        Frame(Opcode.CONT, b"three"),
        Frame(Opcode.TEXT, b"first" * 20),
        Frame(Opcode.TEXT, b"second"),
        Frame(Opcode.BINARY, b"whole"),
        Frame(Opcode.TEXT, b"third"),
    ]


async def test_messages_that_gain_by_it_are_compressed(room: Room) -> None:
    client, _, link = await room.websocket("room", is_deflated=True)
    text = b"again and " * 100
    room.edge.deliver(message_item("room", text))
    link.relay(Frame(Opcode.TEXT, text), Frame(Opcode.TEXT, text, fin=False), Frame(Opcode.CONT, text))
    await settle()
    size = len(client.pending())
    assert [bytes((await client.frame()).data) for _ in range(4)] == [text] * 4
    assert size < len(text)


STEPS = ("open", "whole", "fragment", "last", "ping", "publish")


@given(is_deflated=st.booleans(), steps=st.lists(st.sampled_from(STEPS), max_size=30))
@settings(max_examples=60)
async def test_whatever_comes_together_the_client_gets_sound_frames_and_every_message_once(
    is_deflated: bool, steps: list[str]
) -> None:
    async with Room() as room:
        client, session, link = await room.websocket("room", is_deflated=is_deflated)
        published, relayed = play(room, link, steps)
        session.close(CloseReason(code=1000))
        frames = await until_close_frame(client)
        reader = FrameReader(masked=False, frame_limit=10_000, message_limit=None)
        sound = list(reader.receive(b"".join(frame.serialize(mask=False) for frame in frames)))
        assert sound == [*frames]
        whole = messages(frames)
        assert [content for content in whole if content.startswith(b"published")] == published
        assert [content for content in whole if content.startswith(b"relayed")] == relayed


def play(room: Room, link: RecordingLink, steps: list[str]) -> tuple[list[bytes], list[bytes]]:
    """Do the steps that are lawful for a backend; return what must arrive of each origin, in order."""
    published: list[bytes] = []
    waiting: list[bytes] = []
    relayed: list[bytes] = []
    begun: bytes | None = None
    for number, step in enumerate(steps):
        text = b"%d;" % number
        match step:
            case "whole" if begun is None:
                link.relay(Frame(Opcode.TEXT, b"relayed" + text))
                relayed.append(b"relayed" + text)
            case "open" if begun is None:
                begun = b"relayed" + text
                link.relay(Frame(Opcode.TEXT, begun, fin=False))
            case "fragment" | "last" if begun is not None:
                begun += text
                link.relay(Frame(Opcode.CONT, text, fin=step == "last"))
                if step == "last":
                    relayed.append(begun)
                    published += waiting
                    waiting, begun = [], None
            case "ping":
                link.relay(Frame(Opcode.PING, text))
            case "publish":
                room.edge.deliver(message_item("room", b"published" + text))
                (published if begun is None else waiting).append(b"published" + text)
            case _:
                pass
    return published, relayed


async def until_close_frame(client: WsClient) -> list[Frame]:
    """Read up to the close frame, after which nothing must come."""
    frames = [await client.frame()]
    while frames[-1].opcode is not Opcode.CLOSE:
        frames.append(await client.frame())
    await client.put_close(1000)
    assert await client.until_closed() == b""
    return frames


def messages(frames: list[Frame]) -> list[bytes]:
    """Return the messages that are whole, put together."""
    whole: list[bytes] = []
    begun = b""
    for frame in frames:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            begun += bytes(frame.data)
            if frame.fin:
                whole.append(begun)
                begun = b""
    return whole
