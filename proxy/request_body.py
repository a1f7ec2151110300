"""A client's request body on its way to a backend: streamed, and remembered as long as it is small.

What was read is kept up to `REPLAY_LIMIT` bytes, so that another target, a fresh connection or a held request's
retry can be given the same body. A larger body goes through with no copy held.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

REPLAY_LIMIT = 100_000
"""Bytes kept for sending again; also the largest request that may be held (reference 3.2)."""

Read = Callable[[], Awaitable[bytes]]
"""Returns the next bytes of the body, empty at its end. Raises RequestBodyError or ConnectionError."""


class RequestBody:
    """One request's body. `length` is None while it is not known, i.e. for a long chunked body.

    Each `chunks()` begins at the first byte again, which only works while `is_replayable`. Several may wait for the
    client at once (a body still being sent to the backend while an early answer asks whether it is small): each byte
    is read once.
    """

    def __init__(self, read: Read, length: int | None) -> None:
        self._read = read
        self._pieces: list[bytes] = []
        self._dropped = 0  # pieces that were handed on and forgotten, because the body is too large to keep
        self._size = 0
        self._is_read = length == 0
        self._reading = asyncio.Lock()
        self.length = length

    @classmethod
    def of(cls, data: bytes) -> RequestBody:
        """Return a body that is here already."""
        body = cls(read_nothing, len(data))
        body._pieces = [data] if data else []
        body._size = len(data)
        body._is_read = True
        return body

    @property
    def is_replayable(self) -> bool:
        """Say whether everything that was read so far is still here."""
        return self._size <= REPLAY_LIMIT

    @property
    def is_here(self) -> bool:
        """Say whether all of it was read, so that nothing is left to wait for."""
        return self._is_read

    async def prefetch(self) -> None:
        """Read a chunked body ahead as far as it is small, to learn its length: many backends need one."""
        while self.length is None and self.is_replayable:
            await self._read_after(self._count)

    async def read_small(self) -> bool:
        """Read what is left as long as the whole stays small; say whether it did."""
        while not self._is_read and self.is_replayable:
            await self._read_after(self._count)
        return self.is_replayable

    def ready(self) -> bytes | None:
        """Return the whole body if it is here already and small, so that it can be sent with its head."""
        return b"".join(self._pieces) if self._is_read and self.is_replayable else None

    def joined(self) -> bytes:
        """Return the whole body. Only after `read_small` has said that it is here."""
        return b"".join(self._pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body from its first byte on."""
        position = 0
        while True:
            if position < self._count:
                piece = self._pieces[position - self._dropped]
                position += 1
                self._forget(position)
                yield piece
            elif self._is_read:
                return
            else:
                await self._read_after(position)

    @property
    def _count(self) -> int:
        return self._dropped + len(self._pieces)

    def _forget(self, position: int) -> None:
        """Drop the pieces before `position` once the body cannot be sent again anyway."""
        if not self.is_replayable:
            del self._pieces[: position - self._dropped]
            self._dropped = position

    async def _read_after(self, position: int) -> None:
        """Read one more piece, unless somebody else has while we waited for our turn."""
        async with self._reading:
            if self._is_read or self._count > position:
                return
            data = await self._read()
            if data:
                self._size += len(data)
                self._pieces.append(data)
                return
            self._is_read = True
            if self.length is None:
                self.length = self._size


async def read_nothing() -> bytes:
    """Return no more bytes."""
    return b""


NO_BODY = RequestBody(read_nothing, 0)
"""The body of all requests that have none: there is nothing in it that a request could change."""
