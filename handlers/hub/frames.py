"""One update in every form that subscribers take it in, each encoded once and on first need."""

from __future__ import annotations

from functools import cached_property

from handlers.protocol.http1 import encode_chunk
from handlers.protocol.mercure.event import encode_event, encode_message
from handlers.protocol.mercure.update import Update
from handlers.protocol.ws_deflate import deflate_frame
from handlers.protocol.ws_frames import Opcode, encode_frame


class Frames:
    """The bytes of one update, shared by all who get it."""

    def __init__(self, update: Update) -> None:
        self.update = update

    @cached_property
    def event(self) -> bytes:
        """The event of a stream, as it stands in the body."""
        return encode_event(self.update)

    @cached_property
    def chunk(self) -> bytes:
        """The event as a chunk of HTTP/1.1."""
        return encode_chunk(self.event)

    @cached_property
    def message(self) -> bytes:
        """The update as JSON."""
        return encode_message(self.update)

    @cached_property
    def plain_frame(self) -> bytes:
        """The JSON as a WebSocket frame."""
        return encode_frame(Opcode.TEXT, self.message)

    @cached_property
    def deflated_frame(self) -> bytes:
        """The JSON as a compressed WebSocket frame."""
        return deflate_frame(Opcode.TEXT, self.message)
