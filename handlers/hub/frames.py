"""Updates in every form that subscribers take them in, each encoded once and on first need.

Mostly it is one update. Those that were stored together and go to the same receivers leave together, in one write.
"""

from __future__ import annotations

from functools import cached_property

from handlers.protocol.http1 import encode_chunk
from handlers.protocol.mercure.event import encode_event, encode_message
from handlers.protocol.mercure.update import Update
from handlers.protocol.ws_deflate import deflate_frame
from handlers.protocol.ws_frames import Opcode, encode_frame


class Frames:
    """The bytes of some updates, at least one, in their order: shared by all who get them."""

    def __init__(self, *updates: Update) -> None:
        self.updates = updates

    @cached_property
    def event(self) -> bytes:
        """The events of a stream, as they stand in the body."""
        return b"".join(map(encode_event, self.updates))

    @cached_property
    def chunk(self) -> bytes:
        """The events as one chunk of HTTP/1.1."""
        return encode_chunk(self.event)

    @cached_property
    def messages(self) -> tuple[bytes, ...]:
        """Each update as JSON."""
        return tuple(map(encode_message, self.updates))

    @cached_property
    def plain_frame(self) -> bytes:
        """The JSON as WebSocket frames, one for each update."""
        return b"".join([encode_frame(Opcode.TEXT, message) for message in self.messages])

    @cached_property
    def deflated_frame(self) -> bytes:
        """The JSON as compressed WebSocket frames."""
        return b"".join([deflate_frame(Opcode.TEXT, message) for message in self.messages])
