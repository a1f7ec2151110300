"""An answer that comes on a connection of our own: what has come of it, and whoever waits for more.

Filled by `proxy.backend_connection`, which lets go of it at its end; read by whoever asked.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from handlers.timers import TimerHandle
from proxy.backend import AnswerTruncated
from proxy.protocol.answer_head import AnswerHead


class Source(Protocol):
    """The connection that an answer comes on (`proxy.backend_connection.OwnConnection`)."""

    @property
    def is_reading_paused(self) -> bool:
        """Whether more has come than was read."""
        ...

    def resume_reading(self) -> None:
        """Go on: what had come was read."""
        ...

    def close(self) -> None:
        """Give the connection up."""
        ...

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """Let go of the transport after a 101. Raises AnswerTruncated."""
        ...


class OwnAnswer:
    """A `proxy.backend.BackendAnswer`. It is read by one task."""

    __slots__ = (
        "_pieces",
        "connection",
        "dropped",
        "failure",
        "has_head",
        "headers",
        "is_complete",
        "length",
        "reason",
        "status",
        "timer",
        "waiter",
        "waiting",
    )

    def __init__(self, connection: Source, pieces: list[bytes]) -> None:
        self.connection: Source | None = connection
        self.failure: Exception | None = None
        self.is_complete = False
        self.has_head = False
        self._pieces = pieces
        self.waiting = 0
        """Bytes of the body that have come and were not read."""
        self.waiter: asyncio.Future[None] | None = None
        self.timer: TimerHandle | None = None  # until the head is here

    # -- for the connection -------------------------------------------------------------------------------------------

    def begin(self, head: AnswerHead) -> None:
        """The head is here."""
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.length = head.length
        self.dropped = head.dropped
        self.has_head = True

    def fail(self, error: Exception) -> None:
        """There will be no more; the first reason counts."""
        if self.failure is None and not self.is_complete:
            self.failure = error
        self.wake()

    def expire(self) -> None:
        """The time for the head is up."""
        self.timer = None
        if not self.has_head:
            self.fail(TimeoutError())

    def wake(self) -> None:
        """Something has come."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    # -- for whoever asked --------------------------------------------------------------------------------------------

    def whole(self) -> bytes | None:
        """Return the complete body if it is here already, else None."""
        return self._take() if self.is_complete else None

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end."""
        while not self._pieces:
            if self.failure is not None:
                raise self.failure
            if self.is_complete:
                return b""
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        return self._take()

    @property
    def has_body_waiting(self) -> bool:
        """Whether reading will not wait."""
        return self.is_complete or bool(self._pieces)

    def close(self) -> None:
        """Stop reading; the connection is closed if it is still this answer's."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """Take the transport after a 101."""
        connection, self.connection = self.connection, None
        if connection is None:
            raise AnswerTruncated("the backend closed the connection behind its 101")
        return connection.take_transport()

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.waiting = 0
        if self.connection is not None and self.connection.is_reading_paused:
            self.connection.resume_reading()
        return data
