"""An engine that stores when its test says so, or fails to: the moments between that a real one passes too fast."""

from __future__ import annotations

import asyncio

from handlers.engines.engine import Committed, Opened, fail
from handlers.engines.memory import MemoryEngine
from handlers.protocol.mercure.update import ActiveSubscription, StoredUpdate, Update
from handlers.protocol.names import EventId
from tests.support.turns import settle


class HeldEngine(MemoryEngine):
    """Implements `handlers.engines.engine.Engine`; `commit` and `refuse` deal with what was appended, in order."""

    def __init__(self, *, opened: Opened | None = None) -> None:
        super().__init__()
        self.opened = opened or Opened(last_seq=0, last_id=None, subscriptions=())
        self.appended: list[Update] = []
        self._held: list[tuple[StoredUpdate, asyncio.Future[StoredUpdate]]] = []
        self._committed: Committed | None = None

    def open(self, on_committed: Committed, *, at: float) -> Opened:
        """Open what the test has put there."""
        self._committed = on_committed
        super().open(on_committed, at=at)
        return self.opened

    def append(self, update: Update, *, at: float) -> asyncio.Future[StoredUpdate]:
        """Hold an update."""
        self.appended.append(update)
        stored = StoredUpdate(seq=self.opened.last_seq + len(self.appended), update=update)
        future: asyncio.Future[StoredUpdate] = asyncio.get_running_loop().create_future()
        self._held.append((stored, future))
        return future

    async def commit(self, number: int | None = None) -> None:
        """Store the first `number` of those that are held, or all, as one batch."""
        batch, self._held = self._held[:number], self._held[len(self._held[:number]) :]
        assert self._committed is not None
        self._committed([stored for stored, _ in batch])
        for stored, future in batch:
            if not future.done():
                future.set_result(stored)
        await settle()

    async def refuse(self, number: int | None = None) -> None:
        """Fail to store them."""
        batch, self._held = self._held[:number], self._held[len(self._held[:number]) :]
        for _, future in batch:
            fail(future, "the disk is full")
        await settle()


def opened_at(seq: int, event_id: str, *subscriptions: ActiveSubscription) -> Opened:
    """A history that ends with this event."""
    return Opened(last_seq=seq, last_id=EventId(event_id), subscriptions=subscriptions)
