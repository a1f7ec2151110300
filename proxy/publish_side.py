"""The publishers' side of a process: the broker, what publishers connect to, and the notices of who is there.

Made, run and ended by composition roots, as `client_side` is. Where the sessions are is the outlet's to know: the edge
of this process, or the links to those of the workers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from handlers.broker import Broker, Outlet, PublishSink
from handlers.counters import Counters
from handlers.observer import Observers
from handlers.timers import Clock, TimerWheel
from proxy.config import Settings
from proxy.hub.assembly import HubParts, make_bridge, open_history
from proxy.presence.assembly import make_presence
from proxy.publishers import make_publish_server
from publish_api.control import Surveyor
from publish_api.mercure import MercurePublishing


class PublishSide:
    """`start`, then `release`, then `stop`, once each. The hub is its owner's to close, who may still need it."""

    def __init__(
        self,
        settings: Settings,
        *,
        outlet: Outlet,
        clock: Clock,
        wheel: TimerWheel,
        counters: Counters,
        hub: HubParts | None,
        publishing: MercurePublishing | None,
        observers: Observers,
        count: Callable[[], Counters],
        surveyor: Surveyor,
        find_fault: Callable[[], str],
        admit: Callable[[PublishSink], PublishSink] = lambda sink: sink,
    ) -> None:
        """Make all parts. Raises SettingsError for a token, key file or certificate that cannot be used.

        `counters` are this process's, `count` returns those that are shown. `admit` puts something in front of what
        publications go to. The others are `make_publish_server`'s.
        """
        self._hub = hub
        self._broker = Broker(edge=outlet, clock=clock, wheel=wheel, counters=counters, settings=settings.hold)
        bridge = hub and make_bridge(hub, edge=outlet, broker=self._broker, counters=counters)
        self._publishers = make_publish_server(
            settings,
            admit(bridge or self._broker),
            clock=clock,
            counters=counters,
            publishing=publishing,
            count=count,
            recover=self._broker.recover,
            surveyor=surveyor,
            find_fault=find_fault,
            joins=bridge is None,
            observers=observers,
        )
        self._presence = make_presence(settings, observers, clock=clock, counters=counters)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the publish port, or a Unix socket's path and 0; known once started."""
        return self._publishers.address

    def describe(self) -> str:
        """Return where publishers connect, for the log; known once started."""
        return self._publishers.describe()

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Open the history and serve publishers on `sockets`. Raises SettingsError, RoutesFileError or OSError."""
        if self._hub is not None:
            open_history(self._hub)
        await self._publishers.start(sockets)
        if self._presence is not None:
            self._presence.begin()

    def reload(self) -> None:
        """Load the certificate and the routes of presence notices again."""
        self._publishers.reload()
        if self._presence is not None:
            self._presence.reload()

    def release(self) -> None:
        """Deliver what waits for an item before it: whoever is to have it is about to go."""
        self._broker.close()

    async def stop(self) -> None:
        """Tell what is left to tell, take nothing more, and end what is being served."""
        if self._presence is not None:
            await self._presence.close()
        await self._publishers.stop()
