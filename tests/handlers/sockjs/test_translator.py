"""What is written to a SockJS session, read as frames: once for all who get the same bytes."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from handlers.protocol.ws_frames import encode_frame
from handlers.sockjs.translator import Piece, Translator

PING = Frame(Opcode.PING, b"p")
FRAGMENT = Frame(Opcode.TEXT, b"x", fin=False)
NO_TEXT = Frame(Opcode.BINARY, b"\xff")


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"", ()),
        (encode_frame(Opcode.TEXT, b"x"), (b'"x"',)),
        (encode_frame(Opcode.BINARY, "é".encode()), ('"é"'.encode(),)),
        (encode_frame(Opcode.TEXT, b"x" * 70_000), (b'"' + b"x" * 70_000 + b'"',)),
        (
            encode_frame(Opcode.TEXT, b"1") + encode_frame(Opcode.PING, b"p") + encode_frame(Opcode.TEXT, b"2"),
            (b'"1"', PING, b'"2"'),
        ),
        (encode_frame(Opcode.TEXT, b"x", fin=False), (FRAGMENT,)),
        (encode_frame(Opcode.BINARY, b"\xff"), (NO_TEXT,)),
    ],
)  # fmt: skip
def test_frames_are_translated(data: bytes, pieces: tuple[Piece, ...]) -> None:
    assert Translator().translate(data) == pieces


def test_the_same_bytes_are_translated_once() -> None:
    translator = Translator()
    data = encode_frame(Opcode.TEXT, b"x")
    assert translator.translate(data) is translator.translate(data)
    assert translator.translate(encode_frame(Opcode.TEXT, b"y")) == (b'"y"',)
