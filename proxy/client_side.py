"""Everything of a process that serves clients: routes, requests, backends, and the connections that are held.

Made by the composition roots: by `app`, where the publishers' side is in the same process, and by `workers.worker`,
where it is in another. Knows nothing of publishers but the object that takes publications of clients.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.session import Site
from handlers.timers import Clock, TimerWheel
from handlers.websocket import WebSocketSite
from handlers.websocket_control import Controls
from proxy.client_server import ClientServer
from proxy.config import Settings
from proxy.connection import ConnectionOptions
from proxy.drain import Drain
from proxy.errands import Errands
from proxy.errors import SettingsError
from proxy.events_sender import SenderSite
from proxy.exchange import Exchange
from proxy.front import Front
from proxy.holding import Holding
from proxy.hub.assembly import HubParts, make_door
from proxy.hub.door import HubDoor, Publishing
from proxy.hub.listing import Roll
from proxy.link_site import LinkSite
from proxy.links import Links
from proxy.outgoing import Outgoing
from proxy.over_http import OverHttpSite
from proxy.protocol.framing import FramingLimits
from proxy.protocol.grip_sig import GripKey, KeyFormatError, parse_key
from proxy.reload import RoutesReloader
from proxy.router import Router, choose_source
from proxy.through import ThroughSite
from proxy.upstream import Upstream
from proxy.websocket import WebSockets

CLIENT_BACKLOG = 4096
"""Clients that may wait to be accepted: as many as reconnect at once when a proxy beside this one goes away."""


class ClientSide:
    """`load`, then `listen`; `drain`, then `close`. Each once, but for `reload`."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        counters: Counters,
        random: Callable[[], float],
        hub: HubParts | None = None,
        publishing: Publishing | None = None,
        roll: Roll | None = None,
        mark: str = "",
    ) -> None:
        """Make all parts. Needs a running event loop. Raises SettingsError for a key that cannot be used.

        `hub` and `publishing` come together. `roll` says who is subscribed, where that is more than this process knows.
        `mark` is a token that all processes of one Holdfast share, and none of another; by default a new one.
        """
        self._settings = settings
        self._mark = mark or f"holdfast-{secrets.token_hex(8)}"
        self._clock = clock
        self._counters = counters
        wheel = TimerWheel(clock)
        self.edge = Edge(clock=clock, wheel=wheel, counters=counters, settings=settings.hold)
        self.server = self._make_server()
        site = Site(
            index=self.edge,
            door=self.server,
            clock=clock,
            wheel=wheel,
            counters=counters,
            settings=settings.hold,
            random=random,
        )
        self.site = site
        self._router = make_router(settings)
        self._reloader = RoutesReloader(self._router, clock=clock, interval=settings.proxy.reload_interval)
        self._upstream = Upstream(settings=settings.proxy, clock=clock, counters=counters)
        self._router.on_load = self._upstream.forget_addresses
        self.errands = Errands()
        door = None
        if hub is not None and publishing is not None:
            door = make_door(hub, publishing, site=site, websockets=settings.websocket, roll=roll)
        self._front = self._make_front(door)
        self.draining = Drain(
            rooms=(self.edge, hub.hub.audience) if hub else (self.edge,),
            clients=self.server,
            clock=clock,
            counters=counters,
            random=random,
            errands=self.errands,
            seconds=settings.proxy.drain_timeout,
        )
        self._servers: list[asyncio.Server] = []

    def load(self) -> None:
        """Load the routes, and watch their file. Raises RoutesFileError."""
        self._router.load()
        if self._settings.proxy.reload_interval:
            self._reloader.start()

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Serve clients who connect to `sockets`, which are this side's from now on."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self.server, sock=sock, backlog=CLIENT_BACKLOG))

    def reload(self) -> None:
        """Load the routes again. Held connections are not touched."""
        self._reloader.reload()

    async def drain(self) -> None:
        """Stop accepting, end what is held and finish what is running within `drain_timeout`."""
        self._reloader.stop()
        for server in self._servers:
            server.close()
        await self.draining.run()
        await self.links.close()

    async def close(self) -> None:
        """Close the connections to backends."""
        await self._upstream.close()

    def _make_server(self) -> ClientServer:
        settings = self._settings.proxy
        options = ConnectionOptions(
            serve=self._serve,
            limits=FramingLimits(head=settings.head_limit, headers=settings.header_limit),
            keep_alive_timeout=settings.keep_alive_timeout,
            body_timeout=settings.body_timeout,
            clock=self._clock,
            counters=self._counters,
            log_from=self._settings.log.log_from,
        )
        return ClientServer(options)

    def _serve(self, exchange: Exchange) -> Awaitable[None]:
        # The front comes last: it holds connections, and what is held comes back to the server.
        return self._front.serve(exchange)

    def _make_front(self, hub: HubDoor | None) -> Front:
        settings = self._settings.proxy
        upstream_key = load_key(settings.upstream_key, "upstream_key")
        outgoing = Outgoing(settings=settings, upstream_key=upstream_key, clock=self._clock, mark=self._mark.encode())
        self.links = self._make_links(outgoing)
        return Front(
            router=self._router,
            outgoing=outgoing,
            upstream=self._upstream,
            holding=Holding(site=self.site, edge=self.edge, links=self.links),
            websockets=self._make_websockets(outgoing),
            hub=hub,
            hub_path=self._settings.hub.path,
            counters=self._counters,
            debug=settings.debug,
        )

    def _make_links(self, outgoing: Outgoing) -> Links:
        site = LinkSite(
            upstream=self._upstream,
            outgoing=outgoing,
            errands=Errands(),
            clock=self._clock,
            wheel=self.site.wheel,
            counters=self._counters,
            random=self.site.random,
        )
        return Links(site=site, room=self.site, router=self._router)

    def _make_websockets(self, outgoing: Outgoing) -> WebSockets:
        site, settings = self.site, self._settings.websocket
        controls = Controls(edge=self.edge, counters=self._counters, hold=self._settings.hold, websocket=settings)
        over_http = OverHttpSite(
            senders=SenderSite(
                upstream=self._upstream,
                clock=self._clock,
                events_limit=settings.events_limit,
                requests_at_once=settings.requests_at_once,
            ),
            errands=self.errands,
            clock=self._clock,
            wheel=site.wheel,
            counters=self._counters,
            settings=settings,
            random=site.random,
        )
        return WebSockets(
            site=site,
            websockets=WebSocketSite(settings=settings, controls=controls),
            edge=self.edge,
            outgoing=outgoing,
            upstream=self._upstream,
            over_http=over_http,
            through=ThroughSite(clock=self._clock, wheel=site.wheel, counters=self._counters, settings=settings),
        )


def make_router(settings: Settings) -> Router:
    """Make the router; it is empty until loaded. Raises SettingsError for a key that cannot sign."""
    source = choose_source(
        lines=settings.route_lines, file=settings.proxy.routes, is_optional=not settings.needs_routes
    )
    key = load_key(settings.proxy.sig_key, "sig_key")
    try:
        return Router(source, default_iss=settings.proxy.sig_iss, default_key=key)
    except KeyFormatError as error:
        raise SettingsError(f"proxy.sig_key: {error}") from error


def load_key(spec: str, name: str) -> GripKey | None:
    """Resolve a key setting; empty is no key. Raises SettingsError naming the setting."""
    if not spec:
        return None
    try:
        return parse_key(spec, lambda path: Path(path).read_bytes())
    except KeyFormatError as error:
        raise SettingsError(f"proxy.{name}: {error}") from error
