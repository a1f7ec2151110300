"""permessage-deflate: what is agreed to, what goes to all clients at once, and what comes in, with its bounds."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame as LibraryFrame
from websockets.protocol import OPEN
from websockets.uri import parse_uri
from websockets.utils import accept_key

from handlers.protocol.ws_deflate import WINDOW_BITS, Deflate, deflate_frame, negotiate
from handlers.protocol.ws_frames import Frame, Opcode, encode_frame
from tests.handlers.protocol.ws_reading import (
    BINARY,
    CLOSE,
    CONT,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    Reading,
    Seen,
    bytewise,
    cut,
    read,
    wire,
)

RESPONSE = (
    b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"
)  # fmt: skip

# How a library's client can be told to make its offer: takeovers of server and client, windows of server and client.
OFFERS = [
    (False, False, None, True),
    (False, False, None, None),
    (False, False, None, 9),
    (False, False, 12, 15),
    (False, False, 15, True),
    (True, False, None, True),
    (False, True, None, True),
    (True, True, 13, 10),
]

# Autobahn's categories 12 (text and binary) and 13 (the same over several offers), with moderate sizes.
PAYLOAD_SIZES = [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072]

HELLO = "Hello, Hello, Hello, é, é, é, Hello!" * 3


def client_of(takeovers: tuple[bool, bool], windows: tuple[int | None, int | bool | None]) -> ClientProtocol:
    """Return an unmodified client, open, which has made its offer, got our answer, and taken it."""
    factory = ClientPerMessageDeflateFactory(*takeovers, *windows)
    client = ClientProtocol(parse_uri("ws://test/"), extensions=[factory], max_size=2**22)
    request = client.connect()
    deflate = negotiate(offer.encode() for offer in request.headers.get_all("Sec-WebSocket-Extensions"))
    assert deflate is not None
    client.receive_data(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Extensions: %b\r\n\r\n"
        % (accept_key(request.headers["Sec-WebSocket-Key"]).encode(), deflate.response)
    )
    assert client.handshake_exc is None
    assert client.state is OPEN
    client.events_received()
    return client


@pytest.fixture(params=OFFERS, ids=str)
def client(request: pytest.FixtureRequest) -> ClientProtocol:
    server_takeover, client_takeover, server_window, client_window = request.param
    return client_of((server_takeover, client_takeover), (server_window, client_window))


def received(client: ClientProtocol, data: bytes) -> list[Seen]:
    client.receive_data(data)
    assert client.parser_exc is None
    frames = [event for event in client.events_received() if isinstance(event, LibraryFrame)]
    return [(frame.opcode, bytes(frame.data), frame.fin) for frame in frames]


def inflated(stream: bytes | list[bytes], *, frame_limit: int = 2**20, message_limit: int | None = None) -> Reading:
    """Read what a client sends that has agreed to deflate."""
    pieces = [stream] if isinstance(stream, bytes) else stream
    extensions = [Deflate().extension]
    return read(pieces, frame_limit=frame_limit, message_limit=message_limit, extensions=extensions)


def deflated(data: bytes) -> bytes:
    """Compress as a client may: in the largest window."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


# -- negotiation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "offers",
    [
        [b"permessage-deflate"],
        [b"permessage-deflate; client_max_window_bits"],  # Chrome, Firefox, Safari
        [b"permessage-deflate;client_max_window_bits=15"],
        [b'  permessage-deflate ; client_max_window_bits = "9"\t'],
        [b"permessage-deflate; client_max_window_bits=8"],
        [b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
        [b"permessage-deflate; server_max_window_bits=12"],
        [b"permessage-deflate; server_max_window_bits=15"],
        [b"x-webkit-deflate-frame, permessage-deflate"],
        [b"permessage-deflate; server_max_window_bits=10, permessage-deflate"],
        [b"permessage-deflate; unknown, permessage-deflate; client_max_window_bits"],
        [b"permessage-deflate; server_max_window_bits=10", b"permessage-deflate"],
        [b"", b"permessage-deflate; =", b"\xff", b",,permessage-deflate,,"],
    ],
    ids=repr,
)
def test_every_offer_we_can_serve_gets_the_same_response(offers: list[bytes]) -> None:
    deflate = negotiate(offers)
    assert deflate is not None
    assert deflate.response == RESPONSE


@pytest.mark.parametrize(
    "offers",
    [
        [],
        [b""],
        [b","],
        [b"permessage"],
        [b"permessage-deflate-frame"],
        [b"permessage-bzip2; server_max_window_bits=12"],
        *([b"permessage-deflate; server_max_window_bits=%d" % bits] for bits in (0, 7, 8, 9, 10, 11, 16)),
        *([b"permessage-deflate; server_max_window_bits" + rest] for rest in (b"", b"=", b"=x", b"=012", b'="1 2"')),
        *([b"permessage-deflate; client_max_window_bits" + rest] for rest in (b"=7", b"=16", b"=x")),
        [b"permessage-deflate; client_no_context_takeover=1"],
        [b"permessage-deflate; server_no_context_takeover=true"],
        [b"permessage-deflate; unknown"],
        [b"permessage-deflate; client_no_context_takeover; client_no_context_takeover"],
        [b"permessage-deflate; client_max_window_bits; client_max_window_bits=9"],
        [b"permessage-deflate, ="],
        [b"permessage-deflate; \xe9"],
    ],
    ids=repr,
)
def test_any_other_offer_is_passed_over(offers: list[bytes]) -> None:
    assert negotiate(offers) is None


@given(st.lists(st.binary() | st.text('permsag-dflt;,="1 \t\\').map(str.encode)))
def test_no_offer_is_an_error(offers: list[bytes]) -> None:
    negotiate(offers)


# -- what we send -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_that_gets_shorter_is_one_compressed_frame(opcode: Opcode) -> None:
    encoded = deflate_frame(opcode, HELLO.encode())
    assert encoded[0] == FIN | RSV1 | opcode
    assert encoded[1] == len(encoded) - 2 < len(HELLO.encode())
    assert zlib.decompress(encoded[2:] + b"\x00\x00\xff\xff" + b"\x03\x00", wbits=-WINDOW_BITS) == HELLO.encode()


@pytest.mark.parametrize("data", [b"", b"a", b"Hello", random.Random(1).randbytes(5000)], ids=len)
def test_a_message_that_does_not_is_left_as_it_is(data: bytes) -> None:
    assert deflate_frame(BINARY, data) == encode_frame(BINARY, data)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_never_compressed(opcode: Opcode) -> None:
    data = b"\x03\xe8" + b"a" * 123
    assert deflate_frame(opcode, data) == encode_frame(opcode, data)
    assert Deflate().encode(Frame(opcode, data)) == encode_frame(opcode, data)


def test_nothing_refers_further_back_than_the_window() -> None:
    # Compressible only by looking 5000 bytes back, and the zeros, which make it worth compressing.
    noise = random.Random(2).randbytes(5000)
    encoded = deflate_frame(BINARY, noise + noise + bytes(5000))
    assert encoded[0] & RSV1
    assert zlib.decompressobj(wbits=-WINDOW_BITS).decompress(encoded[4:]) == noise + noise + bytes(5000)


def test_one_frame_serves_all_clients(client: ClientProtocol) -> None:
    shared = [deflate_frame(TEXT, text.encode()) for text in (HELLO, HELLO, "é", HELLO + "!")]
    seen = received(client, b"".join(shared))
    assert seen == [(TEXT, text.encode(), True) for text in (HELLO, HELLO, "é", HELLO + "!")]


@pytest.mark.parametrize("size", PAYLOAD_SIZES)
def test_a_message_of_any_size_reaches_the_client(client: ClientProtocol, size: int) -> None:
    text = sample(size)
    assert received(client, deflate_frame(TEXT, text)) == [(TEXT, text, True)]
    assert received(client, deflate_frame(BINARY, text)) == [(BINARY, text, True)]


def test_fragments_and_whole_messages_reach_the_client_as_they_are(client: ClientProtocol) -> None:
    deflate = Deflate()
    frames: list[Seen] = [
        (TEXT, b"Hello, ", False),
        (PING, b"between", True),
        (CONT, b"", False),
        (CONT, b"Hello! \xc3", False),
        (CONT, b"\xa9", True),
        (BINARY, b"", False),
        (CONT, b"", True),
        (TEXT, HELLO.encode(), True),
        (BINARY, bytes(70000), False),
        (CONT, bytes(70000), True),
    ]
    encoded = [deflate.encode(Frame(*frame)) for frame in frames]
    # RFC 7692 section 6.1: RSV1 is set on the first fragment alone.
    assert [bool(data[0] & RSV1) for data in encoded] == [
        True, False, False, False, False, True, False, True, True, False,
    ]  # fmt: skip
    assert received(client, b"".join(encoded)) == frames


def test_a_fragment_can_be_read_before_the_next_is_there() -> None:
    # Sections 7.2.1 and 7.2.3.3: fragments end on a byte, but need not be flushed. A relay's are.
    deflate = Deflate()
    client = client_of((False, False), (None, True))
    assert received(client, deflate.encode(Frame(TEXT, b"now", False))) == [(TEXT, b"now", False)]


# -- what we receive --------------------------------------------------------------------------------------------

# RFC 7692 section 7.2.3, less the one that needs the window of the message before it.
EXAMPLES: list[tuple[str, list[Seen]]] = [
    ("c1 07 f2 48 cd c9 c9 07 00", [(TEXT, b"Hello", True)]),
    ("41 03 f2 48 cd", [(TEXT, b"He", False)]),
    ("c1 0b 00 05 00 fa ff 48 65 6c 6c 6f 00", [(TEXT, b"Hello", True)]),
    ("c1 08 f3 48 cd c9 c9 07 00 00", [(TEXT, b"Hello", True)]),
    ("c1 0d f2 48 05 00 00 00 ff ff ca c9 c9 07 00", [(TEXT, b"Hello", True)]),
]


def unmasked(digits: str) -> Reading:
    return read([bytes.fromhex(digits)], masked=False, extensions=[Deflate().extension])


@pytest.mark.parametrize(("digits", "frames"), EXAMPLES)
def test_the_examples_of_the_standard_are_read(digits: str, frames: list[Seen]) -> None:
    assert unmasked(digits) == Reading(frames=tuple(frames))


def test_a_message_of_the_standard_in_two_fragments_is_read() -> None:
    reading = unmasked("41 03 f2 48 cd 80 04 c9 c9 07 00")
    assert b"".join(data for _, data, _ in reading.frames) == b"Hello"
    assert [(opcode, fin) for opcode, _, fin in reading.frames] == [(TEXT, False), (CONT, True)]


@pytest.mark.parametrize("size", PAYLOAD_SIZES)
def test_what_the_client_compresses_is_read(client: ClientProtocol, size: int) -> None:
    text = sample(size)
    frames: list[Seen] = [(TEXT, text, True), (BINARY, text, True), (TEXT, text, False), (CONT, text, True)]
    client.send_text(text)
    client.send_binary(text)
    client.send_text(text, fin=False)
    client.send_continuation(text, fin=True)
    client.send_ping(b"ping")
    sent = b"".join(client.data_to_send()).rpartition(b"\r\n\r\n")[2]
    reading = inflated(sent)
    assert joined(reading.frames) == joined([*frames, (PING, b"ping", True)])
    assert joined(inflated(bytewise(sent)).frames) == joined(reading.frames)


@given(st.lists(st.text(max_size=300), max_size=4), st.lists(st.integers(min_value=0)))
def test_text_comes_back_from_any_pieces_and_fragments(texts: list[str], places: list[int]) -> None:
    frames = list(fragmented(texts, places))
    deflate = Deflate()
    stream = b"".join(deflate.encode(Frame(*frame)) for frame in frames)
    reading = read(cut(stream, places), masked=False, extensions=[Deflate().extension])
    assert reading == Reading(frames=tuple(frames))


@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=130)), max_size=6), st.lists(st.integers(min_value=0))
)
def test_any_bytes_are_frames_or_one_fault(parts: list[tuple[int, bytes]], places: list[int]) -> None:
    stream = b"".join(wire(head, payload) for head, payload in parts)
    reading = inflated(cut(stream, places), frame_limit=200, message_limit=300)
    assert reading == inflated(stream, frame_limit=200, message_limit=300)
    assert reading.code in {None, 1002, 1007, 1009}
    assert all(len(data) <= 200 for _, data, _ in reading.frames)


@given(st.binary(max_size=100))
def test_any_compressed_payload_is_a_frame_or_a_fault(payload: bytes) -> None:
    assert inflated(wire(FIN | RSV1 | BINARY, payload), frame_limit=500).code in {None, 1002, 1009}


@pytest.mark.parametrize(
    ("sent", "before", "code"),
    [
        (wire(FIN | RSV1 | TEXT, b"\xff\xff\xff"), 0, 1002),
        # Section 7.2.3.2: sound only for those who kept the window of the message before it.
        (wire(FIN | RSV1 | TEXT, deflated(b"Hello")) + wire(FIN | RSV1 | TEXT, b"\xf2\x00\x11\x00\x00"), 1, 1002),
        # Section 6.1: "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first
        # fragments of a data message."
        (wire(RSV1 | TEXT, deflated(b"Hello")) + wire(FIN | RSV1 | CONT, b""), 1, 1002),
        (wire(TEXT, b"Hello") + wire(FIN | RSV1 | CONT, b""), 1, 1002),
        (wire(FIN | RSV1 | CONT, deflated(b"Hello")), 0, 1002),
        (wire(FIN | RSV1 | PING, b""), 0, 1002),
        (wire(FIN | RSV1 | CLOSE, b""), 0, 1002),
        (wire(RSV1 | TEXT, deflated(b"a")) + wire(FIN | RSV1 | TEXT, deflated(b"b")), 1, 1002),
        (wire(FIN | RSV1 | TEXT, deflated(b"\xff")), 0, 1007),
        (wire(FIN | RSV1 | TEXT, deflated(b"\xc3")), 0, 1007),
        (wire(FIN | RSV1 | TEXT, deflated(b"a" * 1001)), 0, 1009),
    ],
)
def test_unsound_compression_is_a_fault(sent: bytes, before: int, code: int) -> None:
    reading = inflated(sent, frame_limit=1000)
    assert (len(reading.frames), reading.code) == (before, code)
    assert inflated(bytewise(sent + wire(FIN | PING)), frame_limit=1000) == reading


def test_compressed_frames_are_a_fault_where_nothing_was_agreed() -> None:
    assert read([wire(FIN | RSV1 | TEXT, deflated(b"Hello"))]).code == 1002


def test_text_in_compressed_fragments_is_checked_inflated() -> None:
    compressor = zlib.compressobj(wbits=-15)
    pieces = [
        compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH) for data in (b"\xc3", b"\xa9\xed", b"\xa0")
    ]
    heads = [RSV1 | TEXT, CONT, CONT]
    reading = inflated(b"".join(wire(head, piece) for head, piece in zip(heads, pieces, strict=True)))
    assert reading.frames == ((TEXT, b"\xc3", False), (CONT, b"\xa9\xed", False))
    assert reading.code == 1007


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 1258, 2**24])
def test_the_limit_is_on_inflated_bytes(size: int) -> None:
    bomb = wire(FIN | RSV1 | BINARY, deflated(bytes(size)))
    assert inflated(bomb, frame_limit=1000) == (
        Reading(frames=((BINARY, bytes(size), True),))
        if size <= 1000
        else Reading(frames=(), code=1009, reason="frame is longer than 1000 bytes")
    )


def test_a_bomb_is_not_inflated_to_be_measured() -> None:
    bomb = wire(FIN | RSV1 | BINARY, deflated(bytes(2**24)))
    tracemalloc.start()
    try:
        assert inflated(bomb, frame_limit=2**16).code == 1009
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_bomb_in_fragments_is_bounded_by_the_message_limit() -> None:
    compressor = zlib.compressobj(wbits=-15)
    pieces = [compressor.compress(bytes(1000)) + compressor.flush(zlib.Z_SYNC_FLUSH) for _ in range(4)]
    stream = b"".join(wire(CONT if index else RSV1 | BINARY, piece) for index, piece in enumerate(pieces))
    reading = inflated(stream, frame_limit=1000, message_limit=3000)
    assert (len(reading.frames), reading.code) == (3, 1009)


def fragmented(texts: list[str], places: list[int]) -> Iterator[Seen]:
    for text in texts:
        pieces = cut(text.encode(), places[:3])
        for index, piece in enumerate(pieces):
            yield CONT if index else TEXT, piece, index == len(pieces) - 1


def joined(frames: list[Seen] | tuple[Seen, ...]) -> list[tuple[Opcode, bytes]]:
    """Put messages together: a compressor may hold a fragment's last bytes back until the next."""
    messages: list[tuple[Opcode, bytes]] = []
    for opcode, data, _ in frames:
        if opcode is CONT:
            start, before = messages.pop()
            messages.append((start, before + data))
        else:
            messages.append((opcode, data))
    return messages


def sample(size: int) -> bytes:
    """Return JSON-like text of `size` bytes: as compressible as what is published, and never twice the same."""
    numbers = random.Random(size)
    words = [b'{"id": %d, "price": %d, "name": "item"}' % (numbers.randrange(10**6), n) for n in range(size // 30 + 1)]
    return b", ".join(words)[:size].ljust(size, b".")
