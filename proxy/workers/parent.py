"""The composition root of the process that has workers: publishers, the broker, the history, and the supervision.

It serves no clients. What it publishes goes to all workers (`handlers.links`); each has the clients that the kernel
gives it. To the console script and to tests it is what `proxy.app.App` is.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import zmq

from handlers.counters import Counters, numbers, sum_up
from handlers.links.admission import Admission
from handlers.links.fan import Fan
from handlers.links.hub_desk import HubDesk
from handlers.links.inquirer import Inquirer
from handlers.links.tally import Tally
from handlers.observer import Observers
from handlers.protocol.link import Welcome
from handlers.protocol.mercure.headers import EARLIEST
from handlers.timers import Clock, LoopClock, TimerWheel
from proxy.config import Settings
from proxy.doors import Doors, open_parents_doors
from proxy.hub.assembly import HubParts, make_hub
from proxy.listening import bound_to, raise_file_limit
from proxy.observing import interest_in
from proxy.publish_side import PublishSide
from proxy.publishers import make_publishing
from proxy.sd_notify import Notifier
from proxy.workers.child import COMMAND
from proxy.workers.supervisor import Crew, Supervisor

log = logging.getLogger("holdfast")


class Parent:
    """One Holdfast of several processes. `start` once, then `drain` once."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """Make all parts of this process. Needs a running event loop. Raises SettingsError.

        `command` is what a worker is started with.
        """
        self._settings = settings
        self._command = command
        self.clock: Clock = clock or LoopClock(asyncio.get_running_loop())
        self.counters = Counters()
        """What this process has counted itself."""
        self._notifier = Notifier(settings.notify_socket)
        self._fault = "starting"
        self.fan = Fan(clock=self.clock, counters=self.counters, backlog=settings.proxy.worker_backlog)
        self.hub = make_parents_hub(settings, self.fan, clock=self.clock, counters=self.counters)
        self._desk = make_desk(self.hub, self.fan)
        self.observers = Observers()
        self._publish_side = PublishSide(
            settings,
            outlet=self.fan,
            clock=self.clock,
            wheel=TimerWheel(self.clock),
            counters=self.counters,
            hub=self.hub,
            publishing=make_publishing(self.hub),
            observers=self.observers,
            count=self.count,
            surveyor=Inquirer(self.fan, clock=self.clock, counters=self.counters),
            find_fault=self._find_fault,
            admit=lambda sink: Admission(sink, self.fan),
        )
        self.supervisor: Supervisor | None = None
        """Known once started."""
        self.proxy_addresses: tuple[tuple[str, int], ...] = ()
        """Where clients connect by TCP: first those without TLS."""
        self._doors: Doors | None = None
        self._opened = ExitStack()

    @property
    def publish_address(self) -> tuple[str, int]:
        """Where publishers connect: (host, port)."""
        return self._publish_side.address

    def count(self) -> Counters:
        """Return what all processes together have counted; what workers have is up to a second old."""
        workers = self.supervisor.counts() if self.supervisor is not None else []
        return sum_up([numbers(self.counters), *workers])

    def _find_fault(self) -> str:
        if self._fault or not self.counters.workers_alive:
            return self._fault or "no worker serves"
        return "" if self.fan.is_answered() else "no worker answers"

    async def start(self) -> None:
        """Have the workers serve, and listen for publishers. Raises SettingsError, RoutesFileError or OSError."""
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise

    async def _start(self) -> None:
        for warning in self._settings.warnings:
            log.warning("%s", warning)
        raise_file_limit(workers=self._settings.proxy.workers)
        doors = self._doors = open_parents_doors(self._settings)
        self._opened.callback(doors.close)
        self.proxy_addresses, names = doors.addresses, doors.describe_clients()
        await self._publish_side.start(doors.publishers)
        self.supervisor = Supervisor(self._make_crew(doors))
        await self.supervisor.start()
        log.info("listening for clients on %s, for publishers on %s", names, self._publish_side.describe())
        self._fault = ""
        self._notifier.ready(f"clients on {names}")

    def reload(self) -> None:
        """Have all workers load the routes and certificates again (SIGHUP). Held connections are not touched."""
        log.info("SIGHUP, reloading the routes")
        self._notifier.reloading()
        self._publish_side.reload()
        if self.supervisor is not None:
            self.supervisor.reload(lambda: self._notifier.ready("routes reloaded"))

    async def drain(self) -> None:
        """End the workers in good order, then what is here."""
        self._fault = "stopping"
        self._notifier.stopping()
        log.info("stopping: %d workers", self.counters.workers_alive)
        self._publish_side.release()
        if self._doors is not None:
            self._doors.remove_files()
            for sock in self._doors.unix:
                sock.close()  # the workers have the same socket, and each closes its own
        if self.supervisor is not None:
            await self.supervisor.drain()
        await self._close()

    async def _close(self) -> None:
        await self._publish_side.stop()
        if self._desk is not None:
            await self._desk.close()
        if self.hub is not None:
            await self.hub.close()
        self._opened.close()

    def _make_crew(self, doors: Doors) -> Crew:
        context = zmq.Context()
        self._opened.callback(context.destroy, linger=0)
        folder = Path(tempfile.mkdtemp(prefix="holdfast-"))  # readable by this user alone
        self._opened.callback(shutil.rmtree, folder, ignore_errors=True)
        return Crew(
            settings=self._settings,
            clock=self.clock,
            counters=self.counters,
            fan=self.fan,
            desk=self._desk,
            tally=Tally(self.observers) if interest_in(self._settings).is_any else None,
            welcome=self._welcome,
            context=context,
            folder=folder,
            addresses=[bound_to(sock) for sock in doors.plain],
            tls_addresses=[bound_to(sock) for sock in doors.tls],
            unix_sockets=[sock.fileno() for sock in doors.unix],
            command=self._command,
        )

    def _welcome(self) -> Welcome:
        if self.hub is None:
            return Welcome(0, EARLIEST)
        return Welcome(self.hub.hub.last_seq, self.hub.hub.last_id)


def make_parents_hub(settings: Settings, fan: Fan, *, clock: Clock, counters: Counters) -> HubParts | None:
    """Make the hub's history and order, whose subscribers are the workers'. Raises SettingsError."""
    if not settings.hub.is_enabled:
        return None
    parts = make_hub(settings.hub, clock=clock, counters=counters)
    parts.hub.relay = fan.relay
    parts.hub.check_room = fan.check_room
    return parts


def make_desk(parts: HubParts | None, fan: Fan) -> HubDesk | None:
    """Make what answers workers' requests on the hub."""
    if parts is None:
        return None
    return HubDesk(hub=parts.hub, check_room=fan.check_room, bury=parts.presence.bury)
