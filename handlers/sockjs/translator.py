"""Reads what is written to a SockJS session as WebSocket frames, and encodes the messages in it.

A publication is the same bytes for all who get it, so the last ones are remembered: a channel's thousand sessions have
it read once.
"""

from __future__ import annotations

from handlers.protocol.sockjs import encode_message
from handlers.protocol.ws_frames import Frame, Opcode, split_frames

Piece = Frame | bytes
"""A message, encoded; or a frame that is no whole message of text."""


class Translator:
    """One for all sessions of a process."""

    def __init__(self) -> None:
        self._data = b""
        self._pieces: tuple[Piece, ...] = ()

    def translate(self, data: bytes) -> tuple[Piece, ...]:
        """Return what `data`, whole frames as a client is sent them, comes to."""
        if data is not self._data:
            self._pieces = tuple(map(translate_frame, split_frames(data)))
            self._data = data
        return self._pieces


def translate_frame(frame: Frame) -> Piece:
    """Encode a whole message that is text, of whichever kind it is sent; return any other frame as it is."""
    if frame.fin and frame.opcode in (Opcode.TEXT, Opcode.BINARY):
        message = encode_message(bytes(frame.data))
        return frame if message is None else message
    return frame
