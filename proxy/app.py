"""The composition root of one process that does everything, and how a service of whatever kind is run.

Makes every part, connects them, runs them, and ends them in order. `run` is what the console script calls; tests make
an `App` with a clock of their own. Where clients are served by several processes, `workers.parent` is in its place.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

import uvloop

from handlers.broker import Broker
from handlers.counters import Counters
from handlers.timers import Clock, LoopClock
from proxy.client_side import CLIENT_BACKLOG, ClientSide
from proxy.config import Settings
from proxy.errors import SettingsError
from proxy.hub.assembly import make_bridge, make_hub, open_history
from proxy.listening import SocketOptions, client_options, describe, listen, raise_file_limit
from proxy.publishers import BACKLOG, make_publish_server, make_publishing, make_recover
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
        self.hub = make_hub(settings.hub, clock=self.clock, counters=self.counters) if settings.hub.is_enabled else None
        publishing = make_publishing(self.hub)
        self.side = ClientSide(
            settings, clock=self.clock, counters=self.counters, random=random, hub=self.hub, publishing=publishing
        )
        self.edge, self.clients = self.side.edge, self.side.server
        broker = Broker(
            edge=self.edge,
            clock=self.clock,
            wheel=self.side.site.wheel,
            counters=self.counters,
            settings=settings.hold,
        )
        bridge = self.hub and make_bridge(self.hub, edge=self.edge, broker=broker, counters=self.counters)
        self._broker = broker
        self._publishers = make_publish_server(
            settings,
            bridge or broker,
            clock=self.clock,
            counters=self.counters,
            publishing=publishing,
            count=lambda: self.counters,
            recover=make_recover(broker, self.edge),
            joins=bridge is None,
        )
        self.proxy_addresses: tuple[tuple[str, int], ...] = ()

    @property
    def publish_address(self) -> tuple[str, int]:
        """Where publishers connect: (host, port)."""
        return self._publishers.address

    async def start(self) -> None:
        """Load the routes and listen. Raises RoutesFileError, or OSError with the address in its text."""
        for warning in self._settings.warnings:
            log.warning("%s", warning)
        self.clients.connection_limit = raise_file_limit()
        self.side.load()
        publisher_sockets, client_sockets = open_doors(self._settings)
        if self.hub is not None:
            try:
                open_history(self.hub)
            except SettingsError:
                for sock in (*publisher_sockets, *client_sockets):
                    sock.close()
                raise
        await self._publishers.start(publisher_sockets)
        await self.side.listen(client_sockets)
        self.proxy_addresses = tuple(sock.getsockname()[:2] for sock in client_sockets)
        names = describe(self.proxy_addresses)
        log.info("listening for clients on %s, for publishers on %s", names, describe([self.publish_address]))
        self._notifier.ready(f"clients on {names}")

    def reload(self) -> None:
        """Load the routes again (SIGHUP). Held connections are not touched."""
        log.info("SIGHUP, reloading the routes")
        self._notifier.reloading()
        self.side.reload()
        self._notifier.ready("routes reloaded")

    async def drain(self) -> None:
        """Stop accepting, end what is held and finish what is running within `drain_timeout`, then close."""
        self._notifier.stopping()
        self._broker.close()
        await self.side.drain()
        await self._publishers.stop()
        if self.hub is not None:
            await self.hub.close()
        await self.side.close()


def open_doors(settings: Settings) -> tuple[list[socket.socket], list[socket.socket]]:
    """Listen for publishers and for clients: on all addresses, or on none. Raises OSError."""
    options = client_options(settings.hold, backlog=CLIENT_BACKLOG)
    with ExitStack() as opened:
        for_publishers = [
            opened.enter_context(sock) for sock in listen(settings.publish.address, SocketOptions(backlog=BACKLOG))
        ]
        for_clients = [
            opened.enter_context(sock) for address in settings.proxy.addresses for sock in listen(address, options)
        ]
        opened.pop_all()
    return for_publishers, for_clients
