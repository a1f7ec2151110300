"""Keeps the workers alive: starts them, replaces those that end or get stuck, and ends them in good order.

Each worker has one task here, which goes from one life of it to the next. A worker that dies young again and again is
replaced more and more slowly; the others serve meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import zmq

from handlers.counters import GAUGES, Counters
from handlers.deadline import Deadline
from handlers.links.fan import Fan
from handlers.links.hub_desk import HubDesk
from handlers.links.link import open_parents_end
from handlers.links.tally import Tally
from handlers.links.worker_link import WorkerLink
from handlers.protocol.link import Drain, Reload, Welcome
from handlers.timers import Clock
from proxy.config import Settings
from proxy.errors import SettingsError
from proxy.listening import Bound
from proxy.workers.child import COMMAND, Child, describe_status
from proxy.workers.start import WorkerStart

log = logging.getLogger("holdfast.worker")

START_SECONDS = 60.0
"""How long a worker may take until it serves. Far more than an honest start on a busy machine."""

END_SECONDS = 10.0
"""How much longer than `proxy.drain_timeout` workers may take to end."""

YOUNG_SECONDS = 10.0
"""A worker that ends sooner after its start has died young."""

LONGEST_PAUSE = 30.0
"""Seconds between two starts of a worker that keeps dying young."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """What the supervisor needs to know of everything else."""

    settings: Settings
    clock: Clock
    counters: Counters
    fan: Fan
    desk: HubDesk | None
    tally: Tally | None = None
    """Who takes what workers observe."""
    welcome: Callable[[], Welcome]
    """Makes the first message to a worker."""
    context: zmq.Context[zmq.Socket[bytes]]
    folder: Path
    """Where the links are: a folder that is this user's alone."""
    addresses: Sequence[Bound]
    """Where workers listen for clients."""
    tls_addresses: Sequence[Bound] = ()
    """Where clients come by TLS."""
    unix_sockets: Sequence[int] = ()
    """File descriptors of the Unix sockets for clients, which all workers share."""
    command: Sequence[str] = COMMAND


class Supervisor:
    """`start` once, then `drain` once. `reload` and `counts` in between."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._children: dict[int, Child] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._lives = 0
        self._retired: Counter[str] = Counter()
        self._on_reloaded: Callable[[], None] | None = None

    @property
    def children(self) -> tuple[Child, ...]:
        """The workers there are now, by their numbers."""
        return tuple(self._children[number] for number in sorted(self._children))

    async def start(self) -> None:
        """Start all workers; return when all serve. Raises SettingsError or OSError: then none is left."""
        try:
            first: list[Child] = []
            for number in range(1, self._crew.settings.proxy.workers + 1):
                child = await self._make(number)
                first.append(child)
                self._keeping.append(asyncio.create_task(self._keep(child), name=f"worker {number}"))
            async with Deadline(self._crew.clock, START_SECONDS):
                for child in first:
                    await child.began.wait()
                    if not child.link.is_ready:
                        raise SettingsError(child.link.failure or f"worker {child.link.number} ended at its start")
        except TimeoutError as error:
            await self._end_all()
            raise SettingsError(f"a worker did not start within {START_SECONDS:g} seconds") from error
        except BaseException:
            await self._end_all()
            raise

    def reload(self, done: Callable[[], None]) -> None:
        """Have all workers load the routes again; `done` is called when they have."""
        self._on_reloaded = done
        for link in self._crew.fan.workers:
            link.has_reloaded = False
        self._crew.fan.tell(Reload())
        self._note_reloads()

    async def drain(self) -> None:
        """End all workers within `drain_timeout` and a little; who has not ended then is killed."""
        self._stopping.set()
        for child in self.children:
            if not child.link.is_ready:
                child.kill()
        self._crew.fan.tell(Drain())
        try:
            async with Deadline(self._crew.clock, self._crew.settings.proxy.drain_timeout + END_SECONDS):
                await asyncio.shield(asyncio.gather(*self._keeping))
        except TimeoutError:
            log.warning("stopping: %d workers killed, they took too long", len(self._children))
        await self._end_all()

    def counts(self) -> list[Mapping[str, int]]:
        """Return what all workers have counted, those that have ended too."""
        return [self._retired, *(child.link.counts for child in self.children)]

    async def _end_all(self) -> None:
        self._stopping.set()
        for child in self.children:
            child.kill()
        await asyncio.gather(*self._keeping)

    async def _make(self, number: int) -> Child:
        """Begin a life of a worker. Raises OSError."""
        crew = self._crew
        self._lives += 1
        path = crew.folder / f"{number}-{self._lives}"
        link = WorkerLink(
            open_parents_end(crew.context, path),
            number=number,
            clock=crew.clock,
            desk=crew.desk,
            on_change=self._changed,
            on_stuck=self._kill_stuck,
            timeout=crew.settings.proxy.worker_timeout,
            tally=crew.tally,
        )
        child = self._children[number] = Child(link)
        start = WorkerStart(
            number=number,
            settings=crew.settings,
            link=str(path),
            addresses=tuple(crew.addresses),
            tls_addresses=tuple(crew.tls_addresses),
            unix_sockets=tuple(crew.unix_sockets),
        )
        try:
            await child.start(start, crew.command)
        except OSError:
            del self._children[number]
            link.close()
            raise
        return child

    async def _keep(self, child: Child | None) -> None:
        """See one worker through its lives."""
        young = 0
        is_first = True
        while child is not None:
            began = self._crew.clock.now()
            how = await self._see_through(child)
            if self._stopping.is_set() or (is_first and not child.link.is_ready):
                return  # one that never served has failed the start
            is_first = False
            if child.link.has_parted and not child.link.failure and how == describe_status(0):
                log.info("%s has ended as it was told to; replaced", child)
                child = await self._replace(child.link.number, 0.0)
                continue
            young = young + 1 if self._crew.clock.now() - began < YOUNG_SECONDS else 0
            pause = min(2.0 ** (young - 2), LONGEST_PAUSE) if young > 1 else 0.0
            log.warning("%s %s; replaced in %g seconds", child, child.link.failure or f"has ended {how}", pause)
            child = await self._replace(child.link.number, pause)
            self._crew.counters.worker_restarts += child is not None

    async def _see_through(self, child: Child) -> str:
        """Wait for the end of a life and tidy up behind it; return how it was."""
        how = await child.wait()
        link = child.link
        self._crew.fan.leave(link)
        link.close()
        del self._children[link.number]
        if link.is_ready:
            self._crew.counters.workers_alive -= 1
        self._retired.update({name: count for name, count in link.counts.items() if name not in GAUGES})
        if self._crew.desk is not None:
            self._crew.desk.gone(link)
        if self._crew.tally is not None:
            self._crew.tally.strike(link)
        self._note_reloads()
        return how

    async def _replace(self, number: int, pause: float) -> Child | None:
        """Begin the next life of a worker after `pause` seconds; None when there is to be none."""
        while not self._stopping.is_set():
            if pause:
                await self._rest(pause)
            if self._stopping.is_set():
                break
            try:
                child = await self._make(number)
            except OSError as error:
                log.error("worker %d cannot be started: %s", number, error)
                pause = LONGEST_PAUSE
                continue
            if self._stopping.is_set():  # it was missing when the others were told
                child.kill()
            # Nobody waits for it as for the first ones.
            self._crew.clock.call_later(START_SECONDS, partial(self._kill_unready, child))
            return child
        return None

    async def _rest(self, seconds: float) -> None:
        """Wait, unless it is time to stop."""
        try:
            async with Deadline(self._crew.clock, seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _changed(self, link: WorkerLink) -> None:
        """A worker has said something about itself (`WorkerLink.on_change`)."""
        child = self._children[link.number]
        if link.is_greeted and link not in self._crew.fan.workers:
            self._crew.fan.join(link, self._crew.welcome())
        if (link.is_ready or link.failure) and not child.began.is_set():
            child.began.set()
            self._crew.counters.workers_alive += link.is_ready
            if link.is_ready:
                log.debug("%s serves", child)
        self._note_reloads()

    def _kill_unready(self, child: Child) -> None:
        if not child.began.is_set():
            log.error("%s does not serve %g seconds after its start: killed", child, START_SECONDS)
            child.kill()

    def _kill_stuck(self, link: WorkerLink) -> None:
        owed = link.outstanding
        child = self._children[link.number]
        log.error(
            "%s has acknowledged nothing for %g seconds, and is %d messages (%d bytes) behind: killed",
            child, self._crew.settings.proxy.worker_timeout, len(owed), owed.bytes + owed.reply_bytes,
        )  # fmt: skip
        child.kill()

    def _note_reloads(self) -> None:
        if self._on_reloaded is not None and all(link.has_reloaded for link in self._crew.fan.workers):
            done, self._on_reloaded = self._on_reloaded, None
            done()
