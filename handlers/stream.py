"""A held stream: every publication on its channels is appended to the answer's body.

The door opens it before it writes the head, so that nothing published after the client sees the head is missed;
until the backend's own body has been sent, publications wait in a short list. From then on a delivery is one
`transport.write`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from handlers.open_ended import OpenEndedSession
from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from handlers.protocol.instruct import KeepAlive
from handlers.session import Parts


class StreamSession(OpenEndedSession):
    """One stream. `write` takes a frame as `frame` encodes it."""

    __slots__ = ("chunked", "debug")

    def __init__(
        self, *, chunked: bool, debug: bool = False, keep_alive: KeepAlive | None = None, **parts: Unpack[Parts]
    ) -> None:
        self.chunked = chunked
        self.debug = debug
        super().__init__(keep_alive=self.framed(keep_alive), **parts)

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport: write what was published meanwhile, start the timers."""
        super().attach(kept, is_behind=is_behind)
        if self.is_ended:
            self._end()
        else:
            self.start_timers(self.site.clock.now())

    def frame(self, data: bytes) -> bytes:
        """Encode `data` as this client's HTTP version wants it."""
        return encode_chunk(data) if self.chunked else data

    def framed(self, keep_alive: KeepAlive | None) -> KeepAlive | None:
        """Return a backend's keep-alive with its bytes as this client's HTTP version wants them."""
        return replace(keep_alive, data=self.frame(keep_alive.data)) if keep_alive else None

    def finish(self, last: bytes = b"") -> None:
        """End the body cleanly, after `last`; the connection may then serve its next request. Once is enough."""
        if self.is_ended:
            return
        self.is_ended = True
        if last:
            self.write(self.frame(last))
        self.leave()  # not before: it takes `write` from a stream that still waits to be attached
        if self.is_attached:
            self._end()

    def drain(self) -> None:
        """End the body cleanly and close: the process stops."""
        self.reusable = False
        self.finish()

    def end_silent(self, why: str) -> None:
        """Cut a stream without a byte for too long."""
        self.cut(why)

    def _end(self) -> None:
        if self.chunked:
            self.write(LAST_CHUNK)
        self.give_back()
