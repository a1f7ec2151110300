"""Frames put together by hand, bit by bit as RFC 6455 section 5.2 draws them, and what a FrameReader makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise

from websockets.extensions import Extension

from handlers.protocol.ws_frames import FrameError, FrameReader, Opcode

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
MASK = b"\x37\xfa\x21\x3d"  # of the examples in RFC 6455 section 5.7

Seen = tuple[Opcode, bytes, bool]
"""A frame: opcode, payload, FIN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read: the frames, and the close code and reason of the fault if there was one."""

    frames: tuple[Seen, ...]
    code: int | None = None
    reason: str = ""


def wire(head: int, payload: bytes = b"", *, mask: bytes | None = MASK) -> bytes:
    """Encode a frame with this first byte, as clients do; with `mask` None as servers do."""
    size = len(payload)
    if size < 126:
        length, extended = size, b""
    elif size < 65536:
        length, extended = 126, size.to_bytes(2, "big")
    else:
        length, extended = 127, size.to_bytes(8, "big")
    if mask is None:
        return bytes((head, length)) + extended + payload
    return bytes((head, 0x80 | length)) + extended + mask + bytes(a ^ b for a, b in zip(payload, cycle(mask)))


def read(
    pieces: Iterable[bytes],
    *,
    masked: bool = True,
    frame_limit: int = 2**20,
    message_limit: int | None = None,
    extensions: Sequence[Extension] = (),
) -> Reading:
    """Read `pieces` one after the other with a new reader."""
    reader = FrameReader(
        masked=masked, frame_limit=frame_limit, message_limit=message_limit, extensions=extensions
    )  # fmt: skip
    return read_on(reader, pieces)


def read_on(reader: FrameReader, pieces: Iterable[bytes]) -> Reading:
    """Read `pieces`; those after a fault too, of which nothing more must come."""
    frames: list[Seen] = []
    fault: FrameError | None = None
    for piece in pieces:
        try:
            for frame in reader.receive(piece):
                assert fault is None
                assert type(frame.data) is bytes
                frames.append((frame.opcode, frame.data, frame.fin))
        except FrameError as error:
            assert fault is None
            fault = error
    if fault is None:
        return Reading(frames=tuple(frames))
    return Reading(frames=tuple(frames), code=fault.code, reason=fault.reason)


def bytewise(data: bytes) -> list[bytes]:
    """Cut `data` into single bytes."""
    return [data[index : index + 1] for index in range(len(data))]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut `data` at `places`; some pieces may be empty."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]
