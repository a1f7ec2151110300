"""The engine without history: updates get their place in the order and are delivered, and nothing is kept of them.

Chosen where the operator names no file. No cursor is known to it, and after a restart nobody is remembered.
"""

from __future__ import annotations

import asyncio
from collections import deque

from handlers.engines.engine import CLOSED, Committed, Opened, Selection, Wanted, refused
from handlers.errors import StorageError
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.names import EventId


class MemoryEngine:
    """Implements `Engine`: `append` delivers before it returns, and its future is done already.

    What is appended from within a delivery waits until that is over, so that everybody gets both in the same order.
    """

    def __init__(self) -> None:
        self._last_seq = 0
        self._on_committed: Committed | None = None
        self._undelivered: deque[tuple[StoredUpdate, asyncio.Future[StoredUpdate]]] = deque()
        self._is_delivering = False

    def open(self, on_committed: Committed, *, at: float) -> Opened:
        """Begin. Nothing has an age here."""
        self._on_committed = on_committed
        return Opened(last_seq=0, last_id=None, subscriptions=())

    def append(self, update: Update, *, at: float) -> asyncio.Future[StoredUpdate]:
        """Deliver `update`."""
        if self._on_committed is None:
            return refused(CLOSED)
        future: asyncio.Future[StoredUpdate] = asyncio.get_running_loop().create_future()
        self._last_seq += 1
        self._undelivered.append((StoredUpdate(seq=self._last_seq, update=update), future))
        if not self._is_delivering:
            self._deliver(self._on_committed)
        return future

    async def find(self, event_id: EventId) -> int | None:
        """Return None: no id is known."""
        self._check_open()
        return None

    async def read(self, after: int, upto: int, limit: int, *, with_presence: bool = True) -> tuple[StoredUpdate, ...]:
        """Return nothing."""
        self._check_open()
        return ()

    async def select(
        self, after: int, upto: int, limit: int, wanted: Wanted, *, with_presence: bool = True
    ) -> Selection:
        """Return nothing."""
        self._check_open()
        return Selection(updates=(), reached=upto, is_trimmed=after < upto)

    async def oldest(self) -> int | None:
        """Return None: nothing is kept."""
        self._check_open()
        return None

    async def close(self) -> None:
        """End."""
        self._on_committed = None

    def _deliver(self, on_committed: Committed) -> None:
        self._is_delivering = True
        try:
            while self._undelivered:
                stored, future = self._undelivered.popleft()
                on_committed((stored,))
                if not future.done():
                    future.set_result(stored)
        finally:
            self._is_delivering = False

    def _check_open(self) -> None:
        if self._on_committed is None:
            raise StorageError(CLOSED)
