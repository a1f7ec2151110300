"""Frames both ways: as RFC 6455 draws them, in any pieces, up to any fault, and with the library at the other end."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame as LibraryFrame
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from handlers.protocol.ws_frames import (
    CloseReason,
    FrameError,
    FrameReader,
    Opcode,
    coded_close,
    encode_close,
    encode_close_payload,
    encode_frame,
    encode_masked,
    parse_close,
    sendable_close,
    split_frames,
)
from tests.handlers.protocol.ws_reading import (
    BINARY,
    CLOSE,
    CONT,
    FIN,
    MASK,
    PING,
    PONG,
    TEXT,
    Reading,
    Seen,
    bytewise,
    cut,
    read,
    read_on,
    wire,
)

# The examples of RFC 6455 section 5.7, less those of 256 bytes and 64 KiB.
EXAMPLES: list[tuple[str, bool, list[Seen]]] = [
    ("81 05 48 65 6c 6c 6f", False, [(TEXT, b"Hello", True)]),
    ("81 85 37 fa 21 3d 7f 9f 4d 51 58", True, [(TEXT, b"Hello", True)]),
    ("01 03 48 65 6c 80 02 6c 6f", False, [(TEXT, b"Hel", False), (CONT, b"lo", True)]),
    ("89 05 48 65 6c 6c 6f", False, [(PING, b"Hello", True)]),
    ("8a 85 37 fa 21 3d 7f 9f 4d 51 58", True, [(PONG, b"Hello", True)]),
]

SIZES = [0, 1, 125, 126, 127, 128, 256, 65535, 65536]

TAIL = wire(FIN | PING, b"tail")

# Of one frame: opcode, payload, FIN. Only what stands alone.
CONTROLS = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125), st.just(True))


@st.composite
def messages(draw: st.DrawFn) -> list[Seen]:
    """Make one message in fragments, with control frames between them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    whole = draw(st.text(max_size=200)).encode() if opcode is TEXT else draw(st.binary(max_size=200))
    pieces = cut(whole, draw(st.lists(st.integers(min_value=0), max_size=4)))
    frames: list[Seen] = []
    for index, piece in enumerate(pieces):
        if index:
            frames += draw(st.lists(CONTROLS, max_size=2))
        frames.append((CONT if index else opcode, piece, index == len(pieces) - 1))
    return frames


STREAMS = st.lists(st.one_of(messages(), CONTROLS.map(lambda frame: [frame])), max_size=5).map(
    lambda parts: [frame for part in parts for frame in part]
)


def encode(frames: list[Seen], *, masked: bool) -> bytes:
    encode_one = encode_masked if masked else encode_frame
    return b"".join(encode_one(opcode, data, fin=fin) for opcode, data, fin in frames)


# -- single frames ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("digits", "masked", "frames"), EXAMPLES)
def test_the_examples_of_the_standard_are_read(digits: str, masked: bool, frames: list[Seen]) -> None:
    stream = bytes.fromhex(digits)
    assert read([stream], masked=masked) == Reading(frames=tuple(frames))
    assert read(bytewise(stream), masked=masked) == Reading(frames=tuple(frames))


@pytest.mark.parametrize(("digits", "masked", "frames"), EXAMPLES)
def test_the_examples_of_the_standard_are_written(digits: str, masked: bool, frames: list[Seen]) -> None:
    stream = bytes.fromhex(digits)
    if masked:  # the mask is random, so only its place and the head can be compared
        assert encode(frames, masked=True)[:2] == stream[:2]
        assert len(encode(frames, masked=True)) == len(stream)
    else:
        assert encode(frames, masked=False) == stream


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_frame_of_any_size_is_read_and_written(opcode: Opcode, size: int) -> None:
    payload = b"a" * size
    seen = (opcode, payload, True)
    assert encode_frame(opcode, payload) == wire(FIN | opcode, payload, mask=None)
    assert read([encode_frame(opcode, payload)], masked=False) == Reading(frames=(seen,))
    assert read([encode_masked(opcode, payload)]) == Reading(frames=(seen,))
    assert read(bytewise(wire(FIN | opcode, payload))) == Reading(frames=(seen,))


def test_two_frames_have_different_masks() -> None:
    assert len({encode_masked(TEXT, b"Hello") for _ in range(20)}) > 1


def test_a_frame_comes_with_the_byte_that_completes_it() -> None:
    reader = FrameReader(masked=True, frame_limit=1000, message_limit=None)
    first, second = wire(FIN | TEXT, b"first"), wire(FIN | TEXT, b"second")
    assert read_on(reader, [first[:-1]]).frames == ()
    assert read_on(reader, [first[-1:] + second[:3]]).frames == ((TEXT, b"first", True),)
    assert read_on(reader, [b""]).frames == ()
    assert read_on(reader, [second[3:]]).frames == ((TEXT, b"second", True),)


def test_what_was_not_fetched_comes_with_the_next_call() -> None:
    reader = FrameReader(masked=True, frame_limit=1000, message_limit=None)
    first, second, third = (wire(FIN | PING, data) for data in (b"1", b"2", b"3"))
    assert next(reader.receive(first + second + third[:4])).data == b"1"
    assert read_on(reader, [third[4:]]).frames == ((PING, b"2", True), (PING, b"3", True))


def test_it_is_known_whether_a_message_is_under_way() -> None:
    reader = FrameReader(masked=True, frame_limit=1000, message_limit=None)
    states = []
    for piece in (wire(TEXT), wire(FIN | PING), wire(CONT), wire(FIN | CONT), wire(FIN | BINARY)):
        read_on(reader, [piece])
        states.append(reader.is_in_message)
    assert states == [True, True, True, False, False]


@pytest.mark.parametrize("ending", [wire(FIN | CLOSE), wire(FIN | CLOSE | 0x40)])
def test_nothing_is_read_after_the_end(ending: bytes) -> None:
    reader = FrameReader(masked=True, frame_limit=1000, message_limit=None)
    read_on(reader, [wire(TEXT, b"\xc3") + ending + TAIL])
    assert not reader.is_in_message
    assert read_on(reader, [TAIL, b"\xff" * 1000, b""]) == Reading(frames=())


# -- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [125, 126, 65535, 65536])
def test_a_frame_over_the_limit_is_refused_by_its_head(limit: int) -> None:
    assert read([wire(FIN | BINARY, bytes(limit))], frame_limit=limit).code is None
    fault = Reading(frames=(), code=1009, reason=f"frame is longer than {limit} bytes")
    head = wire(FIN | BINARY, bytes(limit + 1))[: -limit - 1 - len(MASK)]
    assert read([head], frame_limit=limit) == fault
    assert read([*bytewise(head), TAIL], frame_limit=limit) == fault


def test_a_length_with_the_highest_bit_set_is_too_much() -> None:
    # RFC 6455 section 5.2: "the most significant bit MUST be 0".
    assert read([b"\x82\xff" + b"\xff" * 8], frame_limit=2**62).code == 1009


@pytest.mark.parametrize(
    ("sizes", "limit", "is_refused"),
    [
        ([200], 200, False),
        ([201], 200, True),
        ([100, 100], 200, False),
        ([100, 101], 200, True),
        ([100, 100, 0, 0], 200, False),
        ([100, 100, 1], 200, True),
        ([1, 200], 200, True),
        ([1000, 1000], None, False),
    ],
)
def test_a_message_is_bounded_over_its_fragments(sizes: list[int], limit: int | None, is_refused: bool) -> None:
    frames = [(CONT if index else BINARY, bytes(size), False) for index, size in enumerate(sizes)]
    *before, (opcode, data, _) = frames
    stream = encode([*before, (PING, bytes(125), True), (opcode, data, True)], masked=True)
    reading = read([stream], message_limit=limit)
    assert reading.code == (1009 if is_refused else None)
    assert reading.reason == (f"message is longer than {limit} bytes" if is_refused else "")
    assert len(reading.frames) == len(sizes) + (not is_refused)


def test_the_count_begins_anew_with_each_message() -> None:
    stream = encode([(BINARY, bytes(60), False), (CONT, bytes(60), True)] * 5, masked=True)
    assert len(read([stream], message_limit=120).frames) == 10


def test_an_idle_reader_is_small() -> None:
    def make() -> FrameReader:
        reader = FrameReader(masked=True, frame_limit=2**16, message_limit=2**20)
        read_on(reader, [wire(FIN | TEXT, b"some message"), TAIL])
        return reader

    make()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        readers = [make() for _ in range(200)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(readers) < 300


# -- close ------------------------------------------------------------------------------------------------------

CLOSES = [
    (b"", CloseReason()),
    (b"\x03\xe8", CloseReason(code=1000)),
    (b"\x03\xe9bye", CloseReason(code=1001, reason="bye")),
    (b"\x0b\xb8\xc3\xa9", CloseReason(code=3000, reason="é")),
    (b"\x13\x87" + b"a" * 123, CloseReason(code=4999, reason="a" * 123)),
]


@pytest.mark.parametrize(("payload", "close"), CLOSES)
def test_a_close_payload_is_read_and_written(payload: bytes, close: CloseReason) -> None:
    assert parse_close(payload) == close
    assert encode_close_payload(close) == payload
    assert encode_close(close) == wire(FIN | CLOSE, payload, mask=None)
    assert sendable_close(close) == close


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"\x03", 1002, "close frame too short"),
        (b"\x03\xed", 1002, "invalid status code"),
        (b"\x03\xe8\xff", 1007, "close reason is not UTF-8"),
        (b"\x03\xe8\xc3", 1007, "close reason is not UTF-8"),
    ],
)
def test_an_unsound_close_payload_is_refused(payload: bytes, code: int, reason: str) -> None:
    with pytest.raises(FrameError) as caught:
        parse_close(payload)
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert str(caught.value) == f"{reason} ({code})"


def test_the_codes_that_may_be_sent_are_those_of_the_registry_and_the_free_ranges() -> None:
    allowed = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    codes = {code: read([wire(FIN | CLOSE, code.to_bytes(2, "big"))]).code for code in range(65536)}
    assert codes == {code: None if code in allowed else 1002 for code in range(65536)}


@pytest.mark.parametrize(
    ("close", "sent"),
    [
        (CloseReason(reason="lost"), CloseReason()),
        (CloseReason(code=0, reason="kept"), CloseReason(code=1000, reason="kept")),
        *((CloseReason(code=code), CloseReason(code=1000)) for code in (-1, 999, 1004, 1005, 1006, 1015, 5000, 2**20)),
        (CloseReason(code=1001, reason="a" * 124), CloseReason(code=1001, reason="a" * 123)),
        (CloseReason(code=1001, reason="é" * 62), CloseReason(code=1001, reason="é" * 61)),
        (CloseReason(code=1001, reason="aa" + "😀" * 31), CloseReason(code=1001, reason="aa" + "😀" * 30)),
        (CloseReason(code=1001, reason="\ud800!"), CloseReason(code=1001, reason="?!")),
    ],
)
def test_what_may_not_be_sent_is_made_sendable(close: CloseReason, sent: CloseReason) -> None:
    assert sendable_close(close) == sent
    assert parse_close(encode_close_payload(close)) == sent


@given(st.builds(CloseReason, code=st.none() | st.integers(), reason=st.text(st.characters(), max_size=200)))
def test_any_close_can_be_sent_and_is_read_as_what_was_sent(close: CloseReason) -> None:
    payload = encode_close_payload(close)
    assert len(payload) <= 125
    assert parse_close(payload) == sendable_close(close)


# -- any bytes, and the library at the other end ----------------------------------------------------------------


@given(STREAMS, st.lists(st.integers(min_value=0)), st.booleans())
def test_frames_come_back_from_any_pieces(frames: list[Seen], places: list[int], masked: bool) -> None:
    stream = encode(frames, masked=masked)
    assert read(cut(stream, places), masked=masked) == Reading(frames=tuple(frames))


@given(st.binary(), st.lists(st.integers(min_value=0)), st.booleans())
def test_any_bytes_are_frames_or_one_fault_whatever_the_pieces(data: bytes, places: list[int], masked: bool) -> None:
    reading = read(cut(data, places), masked=masked, frame_limit=200, message_limit=300)
    assert reading == read([data], masked=masked, frame_limit=200, message_limit=300)
    assert reading.code in {None, 1002, 1007, 1009}
    assert len(reading.reason.encode()) <= 123


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=130)), max_size=6), st.binary(max_size=20))
def test_any_heads_and_payloads_are_frames_or_one_fault(parts: list[tuple[int, bytes]], rest: bytes) -> None:
    stream = b"".join(wire(head, payload) for head, payload in parts) + rest
    reading = read([stream], frame_limit=200, message_limit=300)
    assert reading == read(bytewise(stream), frame_limit=200, message_limit=300)
    assert reading.code in {None, 1002, 1007, 1009}


@given(STREAMS)
def test_the_library_reads_what_we_send_as_a_server(frames: list[Seen]) -> None:
    client = ClientProtocol(parse_uri("ws://test/"), state=OPEN)
    client.receive_data(encode(frames, masked=False) + encode_close(CloseReason(code=1001, reason="bye")))
    assert received(client) == [*frames, (CLOSE, b"\x03\xe9bye", True)]
    client.receive_eof()
    assert (client.close_code, client.close_reason) == (1001, "bye")


@given(STREAMS)
def test_the_library_reads_what_we_send_as_a_client(frames: list[Seen]) -> None:
    server = ServerProtocol(state=OPEN)
    server.receive_data(encode(frames, masked=True))
    assert received(server) == frames


@given(STREAMS, st.lists(st.integers(min_value=0)))
def test_we_read_what_the_library_sends_as_a_client(frames: list[Seen], places: list[int]) -> None:
    sent = sent_by(ClientProtocol(parse_uri("ws://test/"), state=OPEN), frames)
    assert read(cut(sent, places)).frames == (*frames, (CLOSE, b"\x03\xe8done", True))


@given(STREAMS, st.lists(st.integers(min_value=0)))
def test_we_read_what_the_library_sends_as_a_server(frames: list[Seen], places: list[int]) -> None:
    sent = sent_by(ServerProtocol(state=OPEN), frames)
    assert read(cut(sent, places), masked=False).frames == (*frames, (CLOSE, b"\x03\xe8done", True))


def received(protocol: Protocol) -> list[Seen]:
    """Return the frames `protocol` has read, which it must not have failed over."""
    assert protocol.parser_exc is None
    frames = [event for event in protocol.events_received() if isinstance(event, LibraryFrame)]
    return [(frame.opcode, bytes(frame.data), frame.fin) for frame in frames]


def sent_by(protocol: Protocol, frames: list[Seen]) -> bytes:
    """Let `protocol` send `frames` and close."""
    for opcode, data, fin in frames:
        match opcode:
            case Opcode.TEXT:
                protocol.send_text(data, fin)
            case Opcode.BINARY:
                protocol.send_binary(data, fin)
            case Opcode.CONT:
                protocol.send_continuation(data, fin)
            case Opcode.PING:
                protocol.send_ping(data)
            case Opcode.PONG:
                protocol.send_pong(data)
            case Opcode.CLOSE:
                raise AssertionError("closing comes last")
    protocol.send_close(1000, "done")
    return b"".join(protocol.data_to_send())


@pytest.mark.parametrize(
    ("close", "told"),
    [
        (CloseReason(), CloseReason(code=1000)),
        (CloseReason(reason="no code"), CloseReason(code=1000)),
        (CloseReason(code=4001, reason="bye"), CloseReason(code=4001, reason="bye")),
    ],
)
def test_a_close_without_a_code_is_a_normal_one_to_the_other_side(close: CloseReason, told: CloseReason) -> None:
    assert coded_close(close) == told


def test_frames_of_our_own_are_split_again() -> None:
    frames = (
        LibraryFrame(Opcode.TEXT, b"x" * 70_000),
        LibraryFrame(Opcode.PING, b""),
        LibraryFrame(Opcode.TEXT, b"y", fin=False),
    )
    data = b"".join(encode_frame(frame.opcode, bytes(frame.data), fin=frame.fin) for frame in frames)
    assert split_frames(data) == frames
    assert split_frames(b"") == ()
    with pytest.raises(ValueError, match="incomplete"):
        split_frames(data[:-1])
