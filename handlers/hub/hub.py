"""The Mercure hub: the one place where an update gets its id, is stored, and is handed to the audience.

Called by the publishers' door and by whatever makes updates in this process. Delivery follows storage: what the engine
has committed it gives back here, in order, before the publisher is answered. Nothing here waits for a subscriber.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from handlers.counters import Counters
from handlers.engines.engine import Engine
from handlers.hub.audience import Audience
from handlers.hub.event_id import RandomIds
from handlers.protocol.mercure.headers import EARLIEST
from handlers.protocol.mercure.update import ActiveSubscription, StoredUpdate, Update
from handlers.protocol.mercure.update_run import split_runs
from handlers.protocol.names import EventId
from handlers.timers import Clock

log = logging.getLogger("holdfast.hub")

UNHEALTHY_SECONDS = 10.0
"""How long after a failure the hub says that it cannot store. Whoever keeps publishers away for it ends that, too."""

_random_ids = RandomIds()

Follower = Callable[[Update], object]
Relay = Callable[[Sequence[StoredUpdate]], int]


class Hub:
    """Takes updates in one order and gives them to the audience in that order. `open` once, `close` once."""

    def __init__(
        self, *, engine: Engine, audience: Audience, clock: Clock, counters: Counters, is_origin: bool = True
    ) -> None:
        """`is_origin`: updates get their place here, not in another process that counts and logs them already."""
        self.engine = engine
        self.audience = audience
        self.last_seq = 0
        self.last_id = EARLIEST
        self.on_stored: Callable[[], None] | None = None
        """Called when something could be stored again after something could not; must not raise."""
        self._failed_at: float | None = None
        self.follower: Follower | None = None
        """Whoever else is told of each update when it is delivered (the bridge); must not raise."""
        self.relay: Relay | None = None
        """Whoever takes updates to the audiences of other processes, and says to how many; must not raise."""
        self.check_room: Callable[[int], None] = lambda updates: None
        """Raises Busy when nobody may publish so many updates now. Publishers' doors ask, once for a publication."""
        self._is_origin = is_origin
        self._clock = clock
        self._counters = counters

    def open(self) -> tuple[ActiveSubscription, ...]:
        """Open the history; return the subscriptions that were alive when the process last ended without a word.

        Raises StorageError.
        """
        opened = self.engine.open(self._deliver, at=self._clock.wall())
        self.last_seq = opened.last_seq
        self.last_id = opened.last_id or EARLIEST
        return opened.subscriptions

    @property
    def is_healthy(self) -> bool:
        """Whether storing succeeded when it was last tried, or that is a while ago: somebody has to try again."""
        return self._failed_at is None or self._clock.now() >= self._failed_at + UNHEALTHY_SECONDS

    @property
    def place(self) -> EventId:
        """A cursor for all that was delivered up to now. It is no update's id: ids of some are not for everybody."""
        return place_of(self.last_seq)

    async def close(self) -> None:
        """Store what was published, and close the history."""
        await self.engine.close()

    def publish(self, update: Update) -> asyncio.Future[StoredUpdate]:
        """Store and deliver an update, which gets an id if it has none.

        Returns at once. The future is done when the update is stored and with every subscriber's transport, or has
        StorageError when it could not be stored; then nobody has got it.
        """
        named = update if update.id else replace(update, id=new_event_id())
        future = self.engine.append(named, at=self._clock.wall())
        future.add_done_callback(self._note_failure)
        return future

    def _deliver(self, batch: Sequence[StoredUpdate]) -> None:
        """Hand over what is stored (`handlers.engines.engine.Engine`)."""
        if self._failed_at is not None:
            self._failed_at = None
            if self.on_stored is not None:
                self.on_stored()
        if self.relay is not None:
            relayed = self.relay(batch)
            self.last_seq, self.last_id = batch[-1].seq, batch[-1].update.id
            self._note_delivery(batch, "workers", relayed)
            return
        for run in split_runs(batch):
            # Who is answered with a run, and comes back behind it, has had all of it.
            self.last_seq, self.last_id = run[-1].seq, run[-1].update.id
            self._note_delivery(run, "receivers", self.audience.deliver(*(stored.update for stored in run)))

    def _note_delivery(self, run: Sequence[StoredUpdate], counted: str, count: int) -> None:
        for stored in run:
            update = stored.update
            if update.presence is None:
                self._counters.mercure_updates += self._is_origin
                if self.follower is not None:
                    self.follower(update)
            # Whoever may subscribe makes updates on subscriptions, and must not fill the log with them.
            level = logging.INFO if update.presence is None and self._is_origin else logging.DEBUG
            log.log(level, "update id=%.200s topic=%.200s %s=%d", update.id, update.topics[0], counted, count)

    def _note_failure(self, future: asyncio.Future[StoredUpdate]) -> None:
        # Looking at the exception also tells asyncio that it was seen: nobody waits for an update on a subscription.
        if not future.cancelled() and future.exception() is not None:
            self._failed_at = self._clock.now()
            self._counters.mercure_storage_failures += self._is_origin


def place_of(seq: int) -> EventId:
    """Return the cursor for a place in the history. Ids of publishers' making cannot begin so (reference 1.7)."""
    return EventId(f"#{seq}") if seq else EARLIEST


def new_event_id() -> EventId:
    """Return a fresh id. Random, as the draft recommends: one in time's order tells of order and time."""
    return EventId(f"urn:uuid:{_random_ids.take()}")


def bare_event_id() -> EventId:
    """Return a fresh id as hubs of 2019 made them."""
    return EventId(_random_ids.take())
