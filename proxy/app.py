"""The composition root of one process that does everything, and how a service of whatever kind is run.

Makes every part, connects them, runs them, and ends them in order. `run` is what the console script calls; tests make
an `App` with a clock of their own. Where clients are served by several processes, `workers.parent` is in its place.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import signal
from collections.abc import Callable
from typing import Protocol

import uvloop

from handlers.counters import Counters
from handlers.observer import Observers, Watch
from handlers.survey import LocalSurvey
from handlers.timers import Clock, LoopClock
from proxy.client_side import ClientSide
from proxy.config import Settings
from proxy.doors import Doors, open_doors
from proxy.hub.assembly import make_hub
from proxy.listening import raise_file_limit
from proxy.observing import interest_in
from proxy.publish_side import PublishSide
from proxy.publishers import make_publishing
from proxy.sd_notify import Notifier

log = logging.getLogger("holdfast")


class Service(Protocol):
    """What can be run: `start` once, `reload` whenever it is asked for, `drain` once."""

    async def start(self) -> None:
        """Serve. Raises SettingsError, RoutesFileError or OSError."""
        ...

    def reload(self) -> None:
        """Load the routes again."""
        ...

    async def drain(self) -> None:
        """End in good order."""
        ...


def run(settings: Settings, make: Callable[[Settings], Service] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit status. By default what is run is an `App`.

    Raises SettingsError, RoutesFileError or OSError when it cannot start.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings, make or App))


async def serve(settings: Settings, make: Callable[[Settings], Service]) -> int:
    """Start, serve until told to stop, drain, and return the exit status."""
    service = make(settings)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    # Before the start: whoever reads the ready line may signal at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
    await service.start()
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)  # a second one ends the process at once
    await service.drain()
    return 0


class App:
    """One Holdfast process. `start` once, then `drain` once."""

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, random: Callable[[], float] = random_module.random
    ) -> None:
        """Make all parts. Needs a running event loop. Raises SettingsError for a key that cannot be used."""
        self._settings = settings
        self.clock: Clock = clock or LoopClock(asyncio.get_running_loop())
        self.counters = Counters()
        self._notifier = Notifier(settings.notify_socket)
        self._fault = "starting"
        self.hub = make_hub(settings.hub, clock=self.clock, counters=self.counters) if settings.hub.is_enabled else None
        publishing = make_publishing(self.hub)
        self.observers = Observers()
        interest = interest_in(settings)
        self.side = ClientSide(
            settings,
            clock=self.clock,
            counters=self.counters,
            random=random,
            hub=self.hub,
            publishing=publishing,
            watch=Watch(observer=self.observers, interest=interest) if interest.is_any else None,
        )
        self.edge, self.clients = self.side.edge, self.side.server
        self._publish_side = PublishSide(
            settings,
            outlet=self.edge,
            clock=self.clock,
            wheel=self.side.site.wheel,
            counters=self.counters,
            hub=self.hub,
            publishing=publishing,
            observers=self.observers,
            count=self.count,
            surveyor=LocalSurvey(self.side.survey),
            find_fault=lambda: self._fault,
        )
        self.proxy_addresses: tuple[tuple[str, int], ...] = ()
        """Where clients connect by TCP: first those without TLS."""
        self._doors: Doors | None = None

    @property
    def publish_address(self) -> tuple[str, int]:
        """Where publishers connect: (host, port)."""
        return self._publish_side.address

    def count(self) -> Counters:
        """Return what has been counted up to now."""
        self.clients.count_time()
        return self.counters

    async def start(self) -> None:
        """Load the routes and listen. Raises SettingsError, RoutesFileError, or OSError with the address in it."""
        for warning in self._settings.warnings:
            log.warning("%s", warning)
        self.clients.connection_limit = self._settings.proxy.client_limit(raise_file_limit())
        self.side.load()
        doors = self._doors = open_doors(self._settings)
        self.proxy_addresses, names = doors.addresses, doors.describe_clients()
        try:
            await self._publish_side.start(doors.publishers)
        except BaseException:
            doors.close()
            raise
        await self.side.listen((*doors.plain, *doors.unix), doors.tls)
        log.info("listening for clients on %s, for publishers on %s", names, self._publish_side.describe())
        self._fault = ""
        self._notifier.ready(f"clients on {names}")

    def reload(self) -> None:
        """Load the routes and certificates again (SIGHUP). Held connections are not touched."""
        log.info("SIGHUP, reloading the routes")
        self._notifier.reloading()
        self._publish_side.reload()
        self.side.reload()
        self._notifier.ready("routes reloaded")

    async def drain(self) -> None:
        """Stop accepting, end what is held and finish what is running within `drain_timeout`, then close."""
        self._fault = "stopping"
        self._notifier.stopping()
        self._publish_side.release()
        if self._doors is not None:
            self._doors.remove_files()
        await self.side.drain()
        await self._publish_side.stop()
        if self.hub is not None:
            await self.hub.close()
        await self.side.close()
