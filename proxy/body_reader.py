"""A request's body as it comes from a client: bytes put in by the connection, taken out by whoever wants them.

Made by `proxy.feed` for each body that is not here whole with its head. It holds the client back while nobody takes
what has come, so what one body can make us hold is bounded.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

READ_BUFFER = 65_536
"""Bytes of a request body read ahead of a backend that takes them slowly; twice that is the most ever held."""


class BodyOwner(Protocol):
    """The connection, as the reader of a body sees it."""

    def pause_for_body(self) -> None:
        """Stop reading: enough of a body is here."""
        ...

    def resume_for_body(self) -> None:
        """Read on after `pause_for_body`."""
        ...


class BodyReader:
    """One body. `read` is for one caller at a time; the other methods are the connection's."""

    __slots__ = ("_error", "_is_discarded", "_is_held_back", "_owner", "_pieces", "_size", "_waiter", "is_ended")

    def __init__(self, owner: BodyOwner) -> None:
        self._owner = owner
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._is_held_back = False
        self._is_discarded = False
        self.is_ended = False
        """Whether all of the body has been put in."""

    @property
    def is_waiting_needed(self) -> bool:
        """Whether `read` would have to wait."""
        return not self._pieces and not self.is_ended and self._error is None

    async def read(self) -> bytes:
        """Return all that is here of the body, waiting for it if need be; empty at its end.

        Raises what it was failed with.
        """
        while self.is_waiting_needed:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None:
            raise self._error
        return self._take()

    def feed(self, data: bytes) -> None:
        """Put in the next bytes."""
        if self._is_discarded or not data:
            return
        self._pieces.append(data)
        self._size += len(data)
        self._wake()
        if self._size > 2 * READ_BUFFER and not self._is_held_back:
            self._is_held_back = True
            self._owner.pause_for_body()

    def end(self) -> None:
        """Say that the body is here whole, or that there will be no more of it. Harmless when said before."""
        self.is_ended = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Have whoever reads, now or later, see an error."""
        self._error = error
        self._wake()

    def discard(self) -> None:
        """Throw away what is here and what will come: nobody reads it any more."""
        self._is_discarded = True
        self._take()

    def _take(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._is_held_back:
            self._is_held_back = False
            self._owner.resume_for_body()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
