"""A parent's hub and fan, and workers with an edge and a hub each, in one process, with real links between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager

from handlers.counters import Counters
from handlers.engines.engine import Engine
from handlers.engines.memory import MemoryEngine
from handlers.engines.remote import RemoteEngine
from handlers.hub.hub import Hub
from handlers.links.fan import Fan
from handlers.links.hub_desk import HubDesk
from handlers.links.link import Link
from handlers.links.parent_link import ParentLink, Receiver
from handlers.links.worker_link import WorkerLink
from handlers.protocol.link import Welcome
from handlers.protocol.mercure.update import ActiveSubscription
from handlers.survey import Survey
from tests.handlers.hub.hub_room import HubRoom
from tests.handlers.links.linking import ends
from tests.support.clock import ManualClock
from tests.support.turns import settle, until

BACKLOG = 100_000


class Crew:
    """The parent's side. `clock` is for all."""

    def __init__(self, engine: Engine | None = None, *, backlog: int = BACKLOG) -> None:
        self.room = HubRoom()
        self.clock: ManualClock = self.room.clock
        self.counters = Counters()
        self.buried: list[ActiveSubscription] = []
        self.fan = Fan(clock=self.clock, counters=self.counters, backlog=backlog)
        self.hub = Hub(
            engine=engine or MemoryEngine(), audience=self.room.audience, clock=self.clock, counters=self.counters
        )
        self.hub.relay = self.fan.relay
        self.hub.check_room = self.fan.check_room
        self.hub.open()
        self.desk = HubDesk(hub=self.hub, check_room=self.fan.check_room, bury=self._bury)
        self.workers: list[Member] = []

    def _bury(self, left: Iterable[ActiveSubscription]) -> None:
        self.buried += left

    def greeted(self, worker: WorkerLink) -> None:
        if worker.is_greeted and worker not in self.fan.workers:
            self.fan.join(worker, Welcome(self.hub.last_seq, self.hub.last_id))

    async def settle(self) -> None:
        """Wait until all that was sent is handled, and every request answered."""
        for _ in range(2):
            await settle()
            await until(self._is_quiet)

    def _is_quiet(self) -> bool:
        """Have all workers acknowledge what has come to them, and say whether nothing is under way."""
        for member in self.workers:
            member.parent.acknowledge()
        return not any(len(member.link.outstanding) or member.parent.unanswered for member in self.workers)


class Member:
    """A worker, and its link as the parent has it."""

    def __init__(self, crew: Crew, ends: tuple[Link, Link], number: int) -> None:
        self.link = WorkerLink(
            ends[0],
            number=number,
            clock=crew.clock,
            desk=crew.desk,
            on_change=crew.greeted,
            on_stuck=lambda worker: None,
            timeout=0.0,
        )
        self.reloads = self.drains = 0
        self.parent = ParentLink(ends[1], clock=crew.clock)
        self.engine = RemoteEngine(self.parent)
        self.room = HubRoom(engine=self.engine)
        self.survey = Survey(
            edge=self.room.edge, audience=self.room.audience, counters=self.room.counters, worker=number
        )
        self.room.hub._is_origin = False  # noqa: SLF001  # the room makes a hub like any other

    @property
    def hub(self) -> Hub:
        return self.room.hub

    def greet(self) -> None:
        """Ask to be sent everything."""
        self.parent.greet(
            Receiver(
                edge=self.room.edge,
                committed=self.engine.committed,
                welcome=self.engine.welcome,
                reload=self._reload,
                drain=self._drain,
                survey=self.survey.answer,
            )
        )

    def _reload(self) -> None:
        self.reloads += 1

    def _drain(self) -> None:
        self.drains += 1


@asynccontextmanager
async def crew_of(
    count: int = 2, engine: Engine | None = None, *, backlog: int = BACKLOG, greets: bool = True
) -> AsyncIterator[Crew]:
    """Put a crew together: each worker's rooms are open, and it is sent everything."""
    crew = Crew(engine, backlog=backlog)
    with ExitStack() as links:
        for number in range(1, count + 1):
            member = Member(crew, links.enter_context(ends()), number)
            crew.workers.append(member)
            await member.room.__aenter__()
            links.callback(member.link.close)
            if greets:
                member.greet()
                await member.parent.welcome.wait()
        try:
            yield crew
        finally:
            await crew.desk.close()
            for member in crew.workers:
                await member.room.__aexit__(None, None, None)
                member.parent.close()
