"""The cases of the Autobahn test suite that are about frames, under its numbers: categories 1 to 7, 9 and 10.

Left out is what is about answering (echoes, pongs, the close handshake: 7.1), which is not done here, and the
compressed cases (12 and 13), which are in test_ws_deflate. Each case is read whole and byte by byte, with a tail and
without.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from handlers.protocol.ws_frames import FrameError, FrameReader, Opcode
from tests.handlers.protocol.ws_reading import (
    BINARY,
    CLOSE,
    CONT,
    FIN,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    Seen,
    bytewise,
    read,
    wire,
)

TAIL = wire(FIN | PING, b"tail")
KAPPA = bytes.fromhex("cebae1bdb9cf83cebcceb5")  # of 6.2: kosme, in Greek


def whole(opcode: Opcode, data: bytes = b"") -> Seen:
    return opcode, data, True


def start(opcode: Opcode, data: bytes = b"") -> Seen:
    return opcode, data, False


def more(data: bytes = b"") -> Seen:
    return CONT, data, False


def last(data: bytes = b"") -> Seen:
    return CONT, data, True


def fragments(opcode: Opcode, pieces: Iterable[bytes]) -> list[Seen]:
    """Return the frames of one message."""
    first, *between, end = pieces
    return [start(opcode, first), *map(more, between), last(end)]


def stream_of(frames: Iterable[Seen]) -> bytes:
    return b"".join(wire((FIN if fin else 0) | opcode, data) for opcode, data, fin in frames)


SOUND: dict[str, list[Seen]] = {
    **{
        f"1.1.{case}": [whole(TEXT, b"*" * size)]
        for case, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), start=1)
    },
    **{
        f"1.2.{case}": [whole(BINARY, b"\xfe" * size)]
        for case, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), start=1)
    },
    "2.1": [whole(PING)],
    "2.2": [whole(PING, b"Hello, world!")],
    "2.3": [whole(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
    "2.4": [whole(PING, b"\xfe" * 125)],
    "2.7": [whole(PONG)],
    "2.8": [whole(PONG, b"unsolicited pong payload")],
    "2.9": [whole(PONG, b"unsolicited pong payload"), whole(PING, b"ping payload")],
    "2.10": [whole(PING, b"payload-%d" % number) for number in range(10)],
    "5.3": fragments(TEXT, [b"fragment1", b"fragment2"]),
    "5.6": [start(TEXT, b"fragment1"), whole(PING, b"ping payload"), last(b"fragment2")],
    "5.19": [
        start(TEXT, b"fragment1"),
        more(b"fragment2"),
        whole(PING, b"pongme 1!"),
        more(b"fragment3"),
        more(b"fragment4"),
        whole(PING, b"pongme 2!"),
        last(b"fragment5"),
    ],
    "6.1.1": [whole(TEXT)],
    "6.1.2": fragments(TEXT, [b"", b"", b""]),
    "6.1.3": fragments(TEXT, [b"", b"middle frame payload", b""]),
    "6.2.1": [whole(TEXT, "Hello-µ@ßöäüàá-UTF-8!!".encode())],
    "6.2.2": fragments(TEXT, ["Hello-µ@ßöä".encode(), "üàá-UTF-8!!".encode()]),
    "6.2.3": fragments(TEXT, bytewise("Hello-µ@ßöäüàá-UTF-8!!".encode())),
    "6.2.4": fragments(TEXT, bytewise(KAPPA)),
    "7.3.1": [whole(CLOSE)],
    "7.3.3": [whole(CLOSE, b"\x03\xe8")],
    "7.3.4": [whole(CLOSE, b"\x03\xe8Hello World!")],
    "7.3.5": [whole(CLOSE, b"\x03\xe8" + b"*" * 123)],
    **{
        f"7.7.{case}": [whole(CLOSE, code.to_bytes(2, "big"))]
        for case, code in enumerate(
            (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), start=1
        )
    },
    "9.1.1": [whole(TEXT, b"*" * 2**16)],
    "9.1.2": [whole(TEXT, b"*" * 2**18)],
    "9.2.2": [whole(BINARY, b"\x00\xfe" * 2**17)],
    "9.3.1": fragments(TEXT, [b"*" * 64] * 2**8),
    "9.3.3": fragments(TEXT, [b"*" * 1024] * 2**7),
    "9.4.3": fragments(BINARY, [b"\xfe" * 1024] * 2**7),
    "10.1.1": fragments(TEXT, [b"*" * 1300] * 50),
}

# Case: what is sent, how many of its frames come before the fault, and the code it is closed with.
UNSOUND: dict[str, tuple[bytes, int, int]] = {
    "2.5": (wire(FIN | PING, b"\xfe" * 126), 0, 1002),
    "2.6": (wire(FIN | CLOSE, b"\x03\xe8" + b"a" * 124), 0, 1002),
    **{
        f"3.{case}": (wire(FIN | TEXT, b"first") + wire(FIN | opcode | bits, b"Hello"), 1, 1002)
        for case, (opcode, bits) in enumerate(
            [
                (TEXT, RSV3),
                (TEXT, RSV2),
                (TEXT, RSV2 | RSV3),
                (TEXT, RSV1),
                (BINARY, RSV1 | RSV3),
                (PING, RSV1 | RSV2),
                (CLOSE, RSV1 | RSV2 | RSV3),
            ],
            start=1,
        )
    },
    **{f"4.1.{code - 2}": (wire(FIN | TEXT, b"first") + wire(FIN | code), 1, 1002) for code in range(3, 8)},
    **{f"4.2.{code - 10}": (wire(FIN | TEXT, b"first") + wire(FIN | code, b"x"), 1, 1002) for code in range(11, 16)},
    "5.1": (wire(PING, b"fragment1") + wire(FIN | CONT, b"fragment2"), 0, 1002),
    "5.2": (wire(PONG, b"fragment1") + wire(FIN | CONT, b"fragment2"), 0, 1002),
    "5.9": (wire(FIN | CONT, b"non-continuation payload") + wire(FIN | TEXT, b"Hello, world!"), 0, 1002),
    "5.12": (wire(CONT, b"non-continuation payload") + wire(FIN | TEXT, b"Hello, world!"), 0, 1002),
    "5.15": (stream_of([*fragments(TEXT, [b"1", b"2"]), more(b"3"), whole(TEXT, b"4")]), 2, 1002),
    "5.18": (stream_of([start(TEXT, b"fragment1"), whole(TEXT, b"fragment2")]), 1, 1002),
    "5.18 binary": (stream_of([start(TEXT, b"fragment1"), start(BINARY, b"fragment2")]), 1, 1002),
    "5.20 close": (wire(TEXT, b"fragment1") + wire(CLOSE), 1, 1002),
    "6.3.1": (wire(FIN | TEXT, KAPPA + b"\xed\xa0\x80edited"), 0, 1007),
    "6.3.2": (stream_of(fragments(TEXT, bytewise(KAPPA + b"\xed\xa0\x80edited"))), len(KAPPA) + 1, 1007),
    "6.4.1": (stream_of(fragments(TEXT, [KAPPA, b"\xf4\x90\x80\x80", b"edited"])), 1, 1007),
    "6.4.2": (stream_of(fragments(TEXT, [KAPPA + b"\xf4", b"\x90", b"\x80\x80edited"])), 1, 1007),
    "7.3.2": (wire(FIN | CLOSE, b"\x03"), 0, 1002),
    "7.3.6": (wire(FIN | CLOSE, b"\x03\xe8" + b"*" * 124), 0, 1002),
    "7.5.1": (wire(FIN | CLOSE, b"\x03\xe8" + KAPPA + b"\xed\xa0\x80edited"), 0, 1007),
    **{
        f"7.9.{case}": (wire(FIN | CLOSE, code.to_bytes(2, "big")), 0, 1002)
        for case, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), start=1)
    },
    "7.13.1": (wire(FIN | CLOSE, (5000).to_bytes(2, "big")), 0, 1002),
    "7.13.2": (wire(FIN | CLOSE, (65535).to_bytes(2, "big")), 0, 1002),
    "not masked": (wire(FIN | TEXT, b"Hello", mask=None), 0, 1002),
}

# Categories 6.5 to 6.23: text that is UTF-8, however odd, and bytes that are not. Each is there once.
TEXTS = {
    "6.5": ["cebae1bdb9cf83cebcceb5"],
    "6.7": ["00", "c280", "e0a080", "f0908080"],
    "6.9": ["7f", "dfbf", "efbfbf", "f48fbfbf"],
    "6.11": ["ed9fbf", "ee8080", "efbfbd"],
    "6.22": ["efbfbe", "f09fbfbe", "f0afbfbf", "f3bfbfbe", "f48fbfbe"],
    "6.23": ["efbfb9", "efbfba"],
}

# The bytes, and how many of them can still become text.
BROKEN = {
    "6.6": [("ce", 1), ("cebae1", 3), ("cebae1bd", 4), ("cebae1bdb9cf83cebcce", 10)],
    "6.8": [("f888808080", 0), ("fc8480808080", 0)],
    "6.10": [("f7bfbfbf", 0), ("fbbfbfbfbf", 0), ("fdbfbfbfbfbf", 0)],
    "6.11": [("f4908080", 1)],
    "6.12": [("80", 0), ("bf", 0), ("80bf", 0), ("80bf80", 0)],
    "6.13": [(f"{byte:02x}20", 1) for byte in range(0xC2, 0xF5)],
    "6.14": [("c3", 1), ("e0a0", 2), ("f09080", 3), ("efbf", 2), ("ed9f", 2)],
    "6.15": [("c3e0a0f09080", 1)],
    "6.16": [("fe", 0), ("ff", 0), ("fefeffff", 0)],
    "6.17": [("c0af", 0), ("e080af", 1), ("f08080af", 1), ("f8808080af", 0), ("fc80808080af", 0)],
    "6.18": [("c1bf", 0), ("e09fbf", 1), ("f08fbfbf", 1), ("f887bfbfbf", 0), ("fc83bfbfbfbf", 0)],
    "6.19": [("c080", 0), ("e08080", 1), ("f0808080", 1), ("f880808080", 0), ("fc8080808080", 0)],
    "6.20": [("eda080", 1), ("edadbf", 1), ("edae80", 1), ("edafbf", 1), ("edb080", 1), ("edbe80", 1), ("edbfbf", 1)],
    "6.21": [("eda080edb080", 1), ("edadbfedbfbf", 1), ("edafbfedb080", 1)],
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_case_is_read_frame_by_frame(case: str) -> None:
    frames = tuple(SOUND[case])
    tail = () if frames[-1][0] is CLOSE else (whole(PING, b"tail"),)
    stream = stream_of(frames)
    for pieces in ([stream], bytewise(stream)):
        assert read(pieces).frames == frames
        assert read([*pieces, TAIL]).frames == frames + tail
    assert read([stream + TAIL]).frames == frames + tail
    assert read([stream + TAIL]).code is None


@pytest.mark.parametrize("case", UNSOUND)
def test_an_unsound_case_gives_what_came_before_and_the_code(case: str) -> None:
    stream, before, code = UNSOUND[case]
    reading = read([stream])
    assert (len(reading.frames), reading.code) == (before, code)
    assert reading.reason
    for pieces in (bytewise(stream), [stream + TAIL], bytewise(stream + TAIL)):
        assert read(pieces) == reading


@pytest.mark.parametrize("head", [FIN | TEXT, FIN | BINARY, FIN | PING, FIN | CLOSE])
def test_a_masked_frame_from_a_server_is_a_fault(head: int) -> None:
    assert read([wire(head)], masked=False).code == 1002
    assert read([wire(head, mask=None)], masked=False).code is None


@pytest.mark.parametrize("digits", [digits for texts in TEXTS.values() for digits in texts])
def test_a_text_may_be_cut_anywhere(digits: str) -> None:
    text = bytes.fromhex(digits)
    framed = b"<" + text + b">"
    for frames in ([whole(TEXT, text)], fragments(TEXT, bytewise(framed)), fragments(TEXT, [text, b"", b""])):
        assert read([stream_of(frames)]).frames == tuple(frames)


@pytest.mark.parametrize(("digits", "sound"), [pair for pairs in BROKEN.values() for pair in pairs])
def test_a_broken_text_is_a_fault_at_the_first_byte_that_shows_it(digits: str, sound: int) -> None:
    text = b"<" + bytes.fromhex(digits)
    assert read([wire(FIN | TEXT, text)]).code == 1007
    assert read([wire(FIN | BINARY, text)]).code is None

    reading = read([stream_of(fragments(TEXT, [*bytewise(text), b""]))])
    assert reading.code == 1007
    assert reading.frames == tuple(fragments(TEXT, [*bytewise(text), b""])[: 1 + sound])


def test_each_text_begins_with_a_character() -> None:
    # What an unfinished text leaves must not lend itself to the next.
    reader = FrameReader(masked=True, frame_limit=1000, message_limit=None)
    assert len(list(reader.receive(stream_of([*fragments(TEXT, [b"\xc3", b"\xa9"]), whole(TEXT, b"\xc3\xa9")])))) == 3
    with pytest.raises(FrameError):
        list(reader.receive(wire(FIN | TEXT, b"\xa9")))


def test_control_frames_do_not_touch_the_text_they_come_between() -> None:
    frames = [start(TEXT, b"\xe1"), whole(PING, b"\xff"), more(b"\xbd"), whole(PONG, b"\xb9"), last(b"\xb9")]
    assert read([stream_of(frames)]).frames == tuple(frames)


def test_a_binary_message_may_hold_anything() -> None:
    frames = fragments(BINARY, [b"\xc3", b"\xff\xfe", b"\xed\xa0\x80"])
    assert read([stream_of(frames)]).frames == tuple(frames)
