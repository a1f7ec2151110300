"""Puts a backend's message together that comes in fragments, because SockJS has none. Bounded."""

from __future__ import annotations

from handlers.protocol.sockjs import encode_message
from handlers.protocol.ws_frames import Frame


class Fragments:
    """The fragments of one message at a time, as they come."""

    __slots__ = ("_gathered", "_is_too_long", "limit")

    def __init__(self, limit: int) -> None:
        """`limit` is in bytes, for a message."""
        self.limit = limit
        self._gathered = bytearray()
        self._is_too_long = False

    def take(self, frame: Frame) -> bytes | Frame | None:
        """Take a frame; return its message, encoded, at the end of it, or the frame if that cannot be sent.

        None while more is to come. A message that is too long is read to its end and not kept.
        """
        if len(self._gathered) + len(frame.data) > self.limit:
            self._is_too_long = True
        if not self._is_too_long:
            self._gathered += frame.data
        if not frame.fin:
            return None
        gathered, self._gathered = bytes(self._gathered), bytearray()
        is_too_long, self._is_too_long = self._is_too_long, False
        message = None if is_too_long else encode_message(gathered)
        return frame if message is None else message
