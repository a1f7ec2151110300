"""Everything of a process that serves clients: routes, requests, backends, and the connections that are held.

Made by the composition roots: by `app`, where the publishers' side is in the same process, and by `workers.worker`,
where it is in another. Knows nothing of publishers but the object that takes publications of clients.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.counters import Counters
from handlers.observer import Watch
from handlers.protocol.zmq_spec import parse_spec
from handlers.session import Site
from handlers.survey import Survey
from handlers.timers import Clock, TimerWheel
from handlers.websocket import WebSocketSite
from handlers.websocket_control import Controls
from proxy.client_entrances import ClientEntrances
from proxy.client_server import ClientServer
from proxy.config import Settings
from proxy.connection_owner import ConnectionOptions
from proxy.drain import Drain
from proxy.errands import Errands
from proxy.errors import SettingsError
from proxy.events_sender import SenderSite
from proxy.exchange import Exchange
from proxy.front import Front
from proxy.holding import Holding
from proxy.http_filters import HttpFilters
from proxy.hub.assembly import HubParts, make_door
from proxy.hub.door import HubDoor, Publishing
from proxy.hub.listing import Roll
from proxy.link_site import LinkSite
from proxy.links import Links
from proxy.observing import make_edge
from proxy.outgoing import Outgoing
from proxy.over_http import OverHttpSite
from proxy.protocol.framing import FramingLimits
from proxy.protocol.grip_sig import GripKey, KeyFormatError, parse_key
from proxy.protocol.zhttp_spec import of_worker
from proxy.reload import RoutesReloader
from proxy.router import Router, choose_source
from proxy.sharing import Sharing
from proxy.sockjs.assembly import make_passing, make_sockjs_door
from proxy.through import ThroughSite
from proxy.upstream import Upstream
from proxy.websocket import WebSockets

if TYPE_CHECKING:
    from proxy.grip_session.tracking import GripSessions

log = logging.getLogger("holdfast")


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
        worker: int = 1,
        watch: Watch | None = None,
        folder: Path | None = None,
    ) -> None:
        """Make all parts. Needs a running event loop. Raises SettingsError for a key that cannot be used.

        `hub` and `publishing` come together. `roll` says who is subscribed, where that is more than this process knows.
        `mark` is a token that all processes of one Holdfast share, and none of another; by default a new one. `worker`
        is this process's number among them, `folder` where they find each other. `watch` is who is to be told of what
        happens on the edge.
        """
        self._settings = settings
        self._mark = mark or f"holdfast-{secrets.token_hex(8)}"
        self._clock = clock
        self._counters = counters
        wheel = TimerWheel(clock)
        self.edge = make_edge(settings, clock=clock, wheel=wheel, counters=counters, watch=watch, worker=worker)
        audience = hub.hub.audience if hub is not None else None
        self.survey = Survey(edge=self.edge, audience=audience, counters=counters, worker=worker)
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
        self._upstream = Upstream(
            settings=settings.proxy,
            clock=clock,
            counters=counters,
            name=f"{self._mark}-{worker}",
            worker=None if settings.proxy.workers == 1 else worker - 1,
        )
        self._router.on_load = self._routes_loaded
        self._grip_sessions = self._make_grip_sessions(worker)
        self.errands = Errands()
        self._passing = make_passing(settings, folder=folder, worker=worker, errands=self.errands)
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
        self._entrances = ClientEntrances(settings.proxy, self.server, clock=clock, counters=counters)

    def load(self) -> None:
        """Load certificates and routes, and watch the routes' file. Raises SettingsError or RoutesFileError."""
        self._entrances.load()
        self._router.load()
        if self._grip_sessions is not None:
            self._grip_sessions.open()
        if self._settings.proxy.reload_interval:
            self._reloader.start()

    def _make_grip_sessions(self, worker: int) -> GripSessions | None:
        state, is_alone = self._settings.session.state, self._settings.proxy.workers == 1
        if not state:
            return None
        from proxy.grip_session.tracking import GripSessions  # noqa: PLC0415  # with ZeroMQ, which few need

        return GripSessions(
            of_worker(parse_spec(state), None if is_alone else worker - 1),
            sender=f"{self._mark}-{worker}".encode(),
            edge=self.edge,
            clock=self._clock,
            counters=self._counters,
        )

    def _routes_loaded(self) -> None:
        self._http_filters.forget_ways()
        self._upstream.routes_loaded(target for route in self._router.routes for target in route.targets)
        if self._grip_sessions is None and any(route.session for route in self._router.routes):
            log.warning("there are routes with sessions, but session.state is empty: they have none")

    async def listen(self, sockets: Sequence[socket.socket], tls: Sequence[socket.socket] = ()) -> None:
        """Serve clients who connect to `sockets`, or by TLS to `tls`; they are this side's from now on."""
        if self._passing is not None:
            self._passing.listen(partial(self.server.take_back, is_behind=False))
        await self._entrances.open(sockets, tls)

    def reload(self) -> None:
        """Load the routes again, and certificates as they are needed. Held connections are not touched."""
        self._entrances.reload()
        self._reloader.reload()

    async def drain(self) -> None:
        """Stop accepting, end what is held and finish what is running within `drain_timeout`."""
        self._reloader.stop()
        await self._entrances.close(self.draining.grace)
        if self._passing is not None:
            self._passing.close()
        await self.draining.run()
        await self._entrances.wait_closed()
        await self.links.close()

    async def close(self) -> None:
        """Close the connections to backends."""
        await self._upstream.close()
        if self._grip_sessions is not None:
            self._grip_sessions.close()

    def _make_server(self) -> ClientServer:
        settings = self._settings.proxy
        options = ConnectionOptions(
            serve=self._serve,
            limits=FramingLimits(head=settings.head_limit, headers=settings.header_limit),
            keep_alive_timeout=settings.keep_alive_timeout,
            body_timeout=settings.body_timeout,
            user_timeout=self._settings.hold.user_timeout,
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
        self._http_filters = HttpFilters(site=self.links.site, links=self.links, router=self._router)
        self.edge.let_ask(self._http_filters)
        websockets = self._make_websockets(outgoing)
        return Front(
            router=self._router,
            outgoing=outgoing,
            upstream=self._upstream,
            grip_sessions=self._grip_sessions,
            holding=Holding(site=self.site, edge=self.edge, links=self.links),
            websockets=websockets,
            sockjs=make_sockjs_door(
                self._settings,
                site=self.site,
                websockets=websockets,
                passing=self._passing,
                has_room=self.server.has_room,
            ),
            hub=hub,
            hub_path=self._settings.hub.path,
            counters=self._counters,
            debug=settings.debug,
            opens_all=settings.auto_cross_origin,
            takes_ids=settings.accept_pushpin_route,
            sharing=self._make_sharing() if settings.share_all else None,
            clock=self._clock,
        )

    def _make_sharing(self) -> Sharing:
        edge = self.edge
        return Sharing(
            upstream=self._upstream, clock=self._clock, counters=self._counters, arrivals=lambda: edge.arrivals
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
        controls = Controls(
            edge=self.edge,
            counters=self._counters,
            hold=self._settings.hold,
            websocket=settings,
            name_session=None if self._grip_sessions is None else self._grip_sessions.name,
        )
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
