"""One update's forms: each right, and each encoded once for all who take it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from handlers.hub.frames import Frames
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.ws_deflate import WINDOW_BITS
from tests.handlers.hub.hub_room import update

UPDATE = replace(update("a", data="é\nb" * 50, kind="t"), retry=1500)
EVENT = b"event: t\nretry: 1500\nid: 1\n" + b"".join(
    b"data: %b\n" % line.encode() for line in UPDATE.data.split("\n")
) + b"\n"  # fmt: skip
MESSAGE = {"id": "1", "type": "t", "data": UPDATE.data, "retry": 1500}


def parsed(data: bytes, *, is_deflated: bool) -> Frame:
    """Read a server's frame, the whole of `data`."""
    reader = StreamReader()
    reader.feed_data(data)
    extensions = [PerMessageDeflate(True, True, WINDOW_BITS, 15)] if is_deflated else []
    parser = Frame.parse(reader.read_exact, mask=False, extensions=extensions)
    try:
        next(parser)
    except StopIteration as done:
        assert not reader.buffer
        frame: Frame = done.value
        return frame
    raise AssertionError("half a frame")


def test_the_event_and_its_chunk() -> None:
    frames = Frames(UPDATE)
    assert frames.event == EVENT
    assert frames.chunk == encode_chunk(EVENT)


@pytest.mark.parametrize("is_deflated", [False, True], ids=["plain", "deflated"])
def test_the_message_in_a_frame_of_text(is_deflated: bool) -> None:
    frames = Frames(UPDATE)
    frame = parsed(frames.deflated_frame if is_deflated else frames.plain_frame, is_deflated=is_deflated)
    assert (frame.opcode, frame.fin) == (Opcode.TEXT, True)
    assert json.loads(bytes(frame.data)) == json.loads(frames.messages[0]) == MESSAGE


def test_the_deflated_frame_is_shorter() -> None:
    assert len(Frames(UPDATE).deflated_frame) < len(Frames(UPDATE).plain_frame)


@pytest.mark.parametrize("form", ["event", "chunk", "messages", "plain_frame", "deflated_frame"])
def test_each_form_is_encoded_once(form: str) -> None:
    frames = Frames(UPDATE)
    assert getattr(frames, form) is getattr(frames, form)
