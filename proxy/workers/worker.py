"""One of several processes that serve clients: a clients' side, a hub on the parent's history, a link to the parent.

Started by `supervisor` as `python -m proxy.workers.worker`, and told all it needs by `start`. It obeys the parent: the
terminal's signals are the parent's to hear. SIGTERM ends this worker alone, in good order. When the parent is gone it
ends at once, since nobody publishes to it any more and the next Holdfast needs its port.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random as random_module
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop
import zmq

from handlers.counters import Counters, numbers
from handlers.deadline import Deadline
from handlers.engines.remote import RemoteEngine
from handlers.links.link import open_workers_end
from handlers.links.parent_link import ACK_SECONDS, ParentLink, Receiver
from handlers.links.reporter import Reporter
from handlers.observer import Watch
from handlers.protocol.link import Bye, Counts, Failed, Ready, Reloaded
from handlers.timers import Clock, LoopClock, TimerHandle
from proxy.client_side import ClientSide
from proxy.doors import CLIENT_BACKLOG
from proxy.errors import RoutesFileError, SettingsError
from proxy.hub.assembly import HubParts, make_hub
from proxy.listening import client_options, listen_there, raise_file_limit
from proxy.log import configure
from proxy.observing import interest_in
from proxy.publishers import make_publishing
from proxy.workers.parent_death import die_with_parent
from proxy.workers.start import WorkerStart, read_start

log = logging.getLogger("holdfast.worker")

COUNTS_INTERVAL = 1.0
"""Seconds between reports of the counters."""

FAREWELL_SECONDS = 5.0
"""How long the parent may take to see the last message of a worker that ends."""

ORPHANED = 3
"""Exit status of a worker whose parent is gone."""


class Worker:
    """One worker process. `run` once."""

    def __init__(
        self,
        start: WorkerStart,
        *,
        clock: Clock | None = None,
        random: Callable[[], float] = random_module.random,
        counts_interval: float = COUNTS_INTERVAL,
    ) -> None:
        """Connect to the parent. Needs a running event loop. Without `counts_interval` it reports at its end only."""
        self.clock: Clock = clock or LoopClock(asyncio.get_running_loop())
        self.counters = Counters()
        self.side: ClientSide | None = None
        """Known once it serves."""
        self.link = Path(start.link)
        self._start = start
        self._random = random
        self._counts_interval = counts_interval
        self._context = zmq.Context()
        self._parent = ParentLink(
            open_workers_end(self._context, self.link),
            clock=self.clock,
            ack_seconds=min(ACK_SECONDS, start.settings.proxy.worker_timeout / 4),
        )
        self._engine = RemoteEngine(self._parent)
        self._stop = asyncio.Event()
        self._reporting: TimerHandle | None = None

    def settle(self) -> int:
        """Tell the parent now what it is told in time, and return how many requests it has not answered yet."""
        self._parent.acknowledge()
        self._parent.send(Counts(self._count()))
        return self._parent.unanswered

    async def run(self) -> int:
        """Serve until told to stop, and return the exit status."""
        try:
            return await self._run()
        finally:
            self._parent.close()
            self._context.term()

    def stop(self) -> None:
        """End in good order."""
        self._stop.set()

    async def _run(self) -> int:
        try:
            side, hub = await self._begin()
        except (SettingsError, RoutesFileError, OSError) as error:
            self._parent.send(Failed(_describe(error)))
            await self._part()
            return 1
        self.side = side
        self._parent.send(Ready())
        self._report()
        await self._stop.wait()
        await self._end(side, hub)
        return 0

    async def _begin(self) -> tuple[ClientSide, HubParts | None]:
        """Make all parts, be sent everything from there on, and listen."""
        settings = self._start.settings
        hub = None
        if settings.hub.is_enabled:
            hub = make_hub(settings.hub, clock=self.clock, counters=self.counters, engine=self._engine, is_origin=False)
        side = ClientSide(
            settings,
            clock=self.clock,
            counters=self.counters,
            random=self._random,
            hub=hub,
            publishing=make_publishing(hub),
            roll=self._engine,
            worker=self._start.number,
            watch=self._make_watch(),
            mark=Path(self._start.link).parent.name,  # a random name, the same for all workers
            folder=Path(self._start.link).parent,
        )
        side.server.connection_limit = settings.proxy.client_limit(raise_file_limit(is_told=False))
        self._parent.greet(
            Receiver(
                edge=side.edge,
                committed=self._engine.committed,
                welcome=self._engine.welcome,
                reload=lambda: self._reload(side),
                drain=self.stop,
                survey=side.survey.answer,
            )
        )
        await self._parent.welcome.wait()
        if hub is not None:
            hub.hub.open()
        side.load()
        options = client_options(settings.hold, backlog=CLIENT_BACKLOG, is_shared=True)
        plain = [listen_there(bound, options) for bound in self._start.addresses]
        unix = [socket.socket(fileno=number) for number in self._start.unix_sockets]
        await side.listen([*plain, *unix], [listen_there(bound, options) for bound in self._start.tls_addresses])
        return side, hub

    async def _end(self, side: ClientSide, hub: HubParts | None) -> None:
        await side.drain()
        if hub is not None:
            try:
                async with Deadline(self.clock, FAREWELL_SECONDS):
                    await hub.close()
            except TimeoutError:
                log.warning("worker %d: the parent has not answered all publications", self._start.number)
        await side.close()
        await self._part()

    async def _part(self) -> None:
        """Say the last things, and wait until the parent has seen them."""
        if self._reporting is not None:
            self._reporting.cancel()
        self._parent.send(Counts(self._count()))
        self._parent.send(Bye())
        try:
            async with Deadline(self.clock, FAREWELL_SECONDS):
                await self._parent.farewell.wait()
        except TimeoutError:
            log.warning("worker %d: the parent does not answer", self._start.number)

    def _make_watch(self) -> Watch | None:
        interest = interest_in(self._start.settings)
        return Watch(observer=Reporter(self._parent.send), interest=interest) if interest.is_any else None

    def _reload(self, side: ClientSide) -> None:
        side.reload()
        self._parent.send(Reloaded())

    def _count(self) -> dict[str, int]:
        if self.side is not None:
            self.side.server.count_time()
        return numbers(self.counters)

    def _report(self) -> None:
        self._parent.send(Counts(self._count()))
        if self._counts_interval:
            self._reporting = self.clock.call_later(self._counts_interval, self._report)


async def run_worker(worker: Worker, life_line: int) -> int:
    """Run a worker, and end the process at once when `life_line`, a pipe of the parent's, ends."""
    loop = asyncio.get_running_loop()
    loop.add_reader(life_line, _end_with_parent, life_line, worker.link)
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    return await worker.run()


def ignore_terminal() -> None:
    """Leave the terminal's signals to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def main() -> int:
    """Run a worker; return the exit status."""
    ignore_terminal()
    try:
        start = read_start(sys.stdin.buffer)
    except EOFError:
        return ORPHANED
    configure(start.settings.log, sys.stderr)
    if not die_with_parent():
        return ORPHANED

    async def serve() -> int:
        return await run_worker(Worker(start), sys.stdin.fileno())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _end_with_parent(life_line: int, link: Path) -> None:
    if os.read(life_line, 1):
        return
    # The folder of the links, which the parent would have tidied up.
    shutil.rmtree(link.parent, ignore_errors=True)
    # Not in good order: there is nobody to be told, and whoever starts Holdfast anew wants the port.
    os._exit(ORPHANED)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError):
        text = error.strerror or str(error)
        return f"{error.filename}: {text}" if error.filename else text
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
