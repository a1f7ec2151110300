"""What stores and carries the hub's updates: the interface that every engine implements, and the values it hands out.

The hub is the only caller. An engine gives updates their place in the one order, keeps those that its limits allow, and
remembers which subscriptions are alive, so that the next process can tell of those that a crash has ended. It knows
nothing of topics, grants or subscribers, and looks at no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from handlers.errors import StorageError
from handlers.protocol.mercure.update import ActiveSubscription, StoredUpdate, Update
from handlers.protocol.names import EventId

Durability = Literal["disk", "process"]
"""What a commit outlives: the machine, or this process alone."""

Committed = Callable[[Sequence[StoredUpdate]], None]
"""Takes updates of one commit, in order, a few at a time. Called on the event loop, and must not raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much history is kept; 0 is no limit. The newest update is always kept, whatever they say."""

    size: int = 0
    """Updates."""

    age: float = 0.0
    """Seconds. One trims when something is appended, and at the start: what is old goes then."""

    bytes: int = 0
    """Bytes of what is kept as UTF-8: ids, topics, types, data. The storage itself needs some more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a history holds when it is opened."""

    last_seq: int
    """Place of the newest update; 0 when there never was one."""

    last_id: EventId | None
    """Its id."""

    subscriptions: tuple[ActiveSubscription, ...]
    """Those that were alive when the last process ended. They stay so until an update says that they are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which topics somebody asks for: any of these, or one that begins like any of these."""

    topics: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Updates that were looked for, oldest first, and the place up to which there are no others of them."""

    updates: tuple[StoredUpdate, ...]
    reached: int

    is_trimmed: bool
    """Whether updates between the place asked for and the first one kept are gone, wanted or not."""


class Engine(Protocol):
    """Open once, close once. All methods are called on the event loop's thread; any number of them may be awaited.

    An update passes `append` -> the storage -> the callable given to `open` -> its future. Delivery follows the commit.
    """

    def open(self, on_committed: Committed, *, at: float) -> Opened:
        """Open the history, made if there is none. `at`: seconds since 1970. May block: called at the start only.

        Raises StorageError with a text for the operator.
        """
        ...

    def append(self, update: Update, *, at: float) -> asyncio.Future[StoredUpdate]:
        """Store an update that has its id, behind all that were appended before. Never blocks, never raises.

        The future is done once the update is stored and `on_committed` has had it. Cancelling it changes nothing of
        that. It has StorageError when the update could not be stored: then nobody is given it, and what is appended
        later is tried afresh. An exception that nobody asks for is not reported by asyncio: the engine has logged it.
        An update with `presence` also changes which subscriptions are alive.
        """
        ...

    async def find(self, event_id: EventId) -> int | None:
        """Return the place of the first update kept that has this id, None if there is none.

        Every update whose future is done is seen. Raises StorageError.
        """
        ...

    async def read(self, after: int, upto: int, limit: int, *, with_presence: bool = True) -> tuple[StoredUpdate, ...]:
        """Return updates with `after < seq <= upto`, oldest first: up to `limit`, and about a megabyte of them.

        Without `with_presence`, those about subscriptions are passed over. Only an empty page says that there are no
        more. What is trimmed between two pages is not in the second. Raises StorageError.
        """
        ...

    async def select(
        self, after: int, upto: int, limit: int, wanted: Wanted, *, with_presence: bool = True
    ) -> Selection:
        """Return what `read` would, less what has no topic of `wanted`: as much of it as the engine can leave out.

        It looks at a part of the history at a time, and goes on where that ended; a selection may be empty on the way.
        `reached` is `upto` at the end, and grows with each call before. Raises StorageError.
        """
        ...

    async def oldest(self) -> int | None:
        """Return the place of the oldest update kept, None when none is kept. Raises StorageError."""
        ...

    async def close(self) -> None:
        """Store all that was appended, finish their futures, and let go of the history. Harmless when it is closed.

        What is appended from the moment of the call on, and all reading, gets StorageError.
        """
        ...


CLOSED = "the history is closed"


def refused(text: str) -> asyncio.Future[StoredUpdate]:
    """Return a future of the running loop that has StorageError already."""
    future: asyncio.Future[StoredUpdate] = asyncio.get_running_loop().create_future()
    fail(future, text)
    return future


def fail(future: asyncio.Future[StoredUpdate], text: str) -> None:
    """Give `future` a StorageError of its own, which asyncio won't report as unheard. Harmless when it is done."""
    # Not one error for a whole batch: each `await` that raises it would add to the same traceback.
    if not future.done():
        future.set_exception(StorageError(text))
        future.exception()
