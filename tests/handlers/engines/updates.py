"""What the tests of the engines share: updates, and a history that tells what it delivers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from handlers.engines.engine import Engine, Opened
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.update import ActiveSubscription, Presence, StoredUpdate, Update
from handlers.protocol.names import EventId, SubscriberId, Topic

NOW = 1_800_000_000.0


def update(number: int, *, data: str = "") -> Update:
    return Update(topics=(Topic("https://example.com/a"),), id=EventId(f"urn:test:{number}"), data=data or str(number))


def on(number: int, *topics: str) -> Update:
    """An update on these topics."""
    return Update(topics=tuple(map(Topic, topics)), id=EventId(f"urn:test:{number}"), data=str(number))


def subscription(number: int, payload: object = None) -> ActiveSubscription:
    return ActiveSubscription(
        subscriber=SubscriberId(f"urn:uuid:{number}"),
        matcher=Matcher(MatcherKind.URLPATTERN, "https://example.com/*"),
        payload=payload,
    )


def presence(of: ActiveSubscription, *, active: bool, number: int = 0) -> Update:
    return Update(
        topics=(Topic("/current"), Topic("/legacy")),
        id=EventId(f"urn:presence:{number}"),
        private=True,
        presence=Presence(subscription=of, active=active),
    )


class History:
    """An engine, open within `async with`, and all that it has delivered."""

    def __init__(self, engine: Engine, *, at: float = NOW) -> None:
        self.engine = engine
        self.delivered: list[StoredUpdate] = []
        self.batches: list[int] = []
        self.opened: Opened
        self._at = at

    async def __aenter__(self) -> Self:
        self.opened = self.engine.open(self._note, at=self._at)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.close()

    async def append(self, *updates: Update, at: float = NOW) -> list[StoredUpdate]:
        """Append all at once, and wait for all."""
        return await asyncio.gather(*(self.engine.append(each, at=at) for each in updates))

    async def kept(self, *, page: int = 500) -> list[StoredUpdate]:
        """Read all there is, page by page."""
        found: list[StoredUpdate] = []
        after = 0
        while read := await self.engine.read(after, 2**62, page):
            found += read
            after = read[-1].seq
        return found

    def _note(self, batch: Sequence[StoredUpdate]) -> None:
        self.delivered += batch
        self.batches.append(len(batch))


def ids(stored: Iterable[StoredUpdate]) -> list[str]:
    return [each.update.id for each in stored]


def seqs(stored: Iterable[StoredUpdate]) -> list[int]:
    return [each.seq for each in stored]
