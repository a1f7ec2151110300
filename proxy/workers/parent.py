"""The composition root of the process that has workers: publishers, the broker, the history, and the supervision.

It serves no clients. What it publishes goes to all workers (`handlers.links`); each has the clients that the kernel
gives it. To the console script and to tests it is what `proxy.app.App` is.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import zmq

from handlers.broker import Broker
from handlers.counters import Counters, sum_up
from handlers.links.admission import Admission
from handlers.links.fan import Fan
from handlers.links.hub_desk import HubDesk
from handlers.protocol.link import Welcome
from handlers.protocol.mercure.headers import EARLIEST
from handlers.timers import Clock, LoopClock, TimerWheel
from proxy.config import Settings
from proxy.hub.assembly import HubParts, make_bridge, make_hub, open_history
from proxy.listening import SocketOptions, bound_to, describe, listen, raise_file_limit, reserve
from proxy.publishers import BACKLOG, make_publish_server, make_publishing, make_recover
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
        self.fan = Fan(clock=self.clock, counters=self.counters, backlog=settings.proxy.worker_backlog)
        self.hub = make_parents_hub(settings, self.fan, clock=self.clock, counters=self.counters)
        self._desk = make_desk(self.hub, self.fan)
        broker = Broker(
            edge=self.fan,
            clock=self.clock,
            wheel=TimerWheel(self.clock),
            counters=self.counters,
            settings=settings.hold,
        )
        bridge = self.hub and make_bridge(self.hub, edge=self.fan, broker=broker, counters=self.counters)
        self._broker = broker
        self._publishers = make_publish_server(
            settings,
            Admission(bridge or broker, self.fan),
            clock=self.clock,
            counters=self.counters,
            publishing=make_publishing(self.hub),
            count=self.count,
            recover=make_recover(broker, self.fan),
            joins=bridge is None,
        )
        self.supervisor: Supervisor | None = None
        """Known once started."""
        self.proxy_addresses: tuple[tuple[str, int], ...] = ()
        self._opened = ExitStack()

    @property
    def publish_address(self) -> tuple[str, int]:
        """Where publishers connect: (host, port)."""
        return self._publishers.address

    def count(self) -> Counters:
        """Return what all processes together have counted; what workers have is up to a second old."""
        workers = self.supervisor.counts() if self.supervisor is not None else []
        return sum_up([asdict(self.counters), *workers])

    async def start(self) -> None:
        """Have the workers serve, and listen for publishers. Raises SettingsError or OSError."""
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise

    async def _start(self) -> None:
        for warning in self._settings.warnings:
            log.warning("%s", warning)
        raise_file_limit(workers=self._settings.proxy.workers)
        with ExitStack() as opened:
            publisher_sockets = listen(self._settings.publish.address, SocketOptions(backlog=BACKLOG))
            for sock in publisher_sockets:
                opened.enter_context(sock)
            # They stay open, so that each address is this Holdfast's as long as it lives, whoever of its workers dies.
            reserved = [sock for address in self._settings.proxy.addresses for sock in self._keep(reserve(address))]
            if self.hub is not None:
                open_history(self.hub)
            opened.pop_all()
        await self._publishers.start(publisher_sockets)
        self.supervisor = Supervisor(self._make_crew(reserved))
        await self.supervisor.start()
        self.proxy_addresses = tuple((bound.host, bound.port) for bound in map(bound_to, reserved))
        names = describe(self.proxy_addresses)
        log.info("listening for clients on %s, for publishers on %s", names, describe([self.publish_address]))
        self._notifier.ready(f"clients on {names}")

    def reload(self) -> None:
        """Have all workers load the routes again (SIGHUP). Held connections are not touched."""
        log.info("SIGHUP, reloading the routes")
        self._notifier.reloading()
        if self.supervisor is not None:
            self.supervisor.reload(lambda: self._notifier.ready("routes reloaded"))

    async def drain(self) -> None:
        """End the workers in good order, then what is here."""
        self._notifier.stopping()
        log.info("stopping: %d workers", self.counters.workers_alive)
        self._broker.close()
        if self.supervisor is not None:
            await self.supervisor.drain()
        await self._close()

    async def _close(self) -> None:
        await self._publishers.stop()
        if self._desk is not None:
            await self._desk.close()
        if self.hub is not None:
            await self.hub.close()
        self._opened.close()

    def _keep(self, sockets: Iterable[socket.socket]) -> list[socket.socket]:
        return [self._opened.enter_context(sock) for sock in sockets]

    def _make_crew(self, reserved: Iterable[socket.socket]) -> Crew:
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
            welcome=self._welcome,
            context=context,
            folder=folder,
            addresses=[bound_to(sock) for sock in reserved],
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
