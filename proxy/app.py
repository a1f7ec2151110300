"""The composition root: makes every part, connects them, runs them, and ends them in order.

Nothing else imports both doors. `run` is what the console script calls; tests make an `App` with a clock of their own.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import uvloop

from handlers.broker import Broker
from handlers.counters import Counters
from handlers.edge import Edge
from handlers.errors import InvalidSetting, StorageError
from handlers.protocol.address import Address
from handlers.session import Site
from handlers.timers import Clock, LoopClock, TimerWheel
from handlers.websocket import WebSocketSite
from handlers.websocket_control import Controls
from proxy.config import Settings
from proxy.connection import ClientServer, ConnectionOptions
from proxy.drain import Drain
from proxy.errands import Errands
from proxy.errors import SettingsError
from proxy.events_sender import SenderSite
from proxy.exchange import Exchange
from proxy.front import Front
from proxy.holding import Holding
from proxy.hub.assembly import HubParts, make_bridge, make_door, make_hub
from proxy.hub.door import HubDoor
from proxy.listening import SocketOptions, listen, raise_file_limit
from proxy.outgoing import Outgoing
from proxy.over_http import OverHttpSite
from proxy.protocol.framing import FramingLimits
from proxy.protocol.grip_sig import GripKey, KeyFormatError, parse_key
from proxy.reload import RoutesReloader
from proxy.router import Router, choose_source
from proxy.sd_notify import Notifier
from proxy.through import ThroughSite
from proxy.upstream import Upstream
from proxy.websocket import WebSockets
from publish_api.http import BACKLOG as PUBLISHER_BACKLOG
from publish_api.http import PublishServer
from publish_api.mercure import MercurePublishing
from publish_api.mercure_port import PublishHub
from publish_api.metrics import encode_metrics

log = logging.getLogger("holdfast")

CLIENT_BACKLOG = 4096
"""Clients that may wait to be accepted: as many as reconnect at once when a proxy beside this one goes away."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; return the exit status.

    Raises SettingsError, RoutesFileError or OSError when it cannot start.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings))


async def serve(settings: Settings) -> int:
    """Start, serve until told to stop, drain, and return the exit status."""
    app = App(settings)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    # Before the start: whoever reads the ready line may signal at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    await app.start()
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)  # a second one ends the process at once
    await app.drain()
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
        self.edge = Edge(clock=self.clock, counters=self.counters)
        self._notifier = Notifier(settings.notify_socket)
        self.clients = self._make_clients()
        site = Site(
            index=self.edge,
            door=self.clients,
            clock=self.clock,
            wheel=TimerWheel(self.clock),
            counters=self.counters,
            settings=settings.hold,
            random=random,
        )
        broker = Broker(
            edge=self.edge, clock=self.clock, counters=self.counters, id_cache_ttl=settings.hold.id_cache_ttl
        )
        self.hub = make_hub_parts(settings, site)
        self._publishing = make_publishing(self.hub)
        self._router = make_router(settings)
        self._reloader = RoutesReloader(self._router, clock=self.clock, interval=settings.proxy.reload_interval)
        self._upstream = Upstream(settings=settings.proxy, clock=self.clock, counters=self.counters)
        self._router.on_load = self._upstream.forget_addresses
        self._errands = Errands()
        self._front = self._make_front(site)
        self._publishers = self._make_publishers(broker)
        self._drain = Drain(
            rooms=(self.edge, self.hub.hub.audience) if self.hub else (self.edge,),
            clients=self.clients,
            clock=self.clock,
            counters=self.counters,
            random=random,
            errands=self._errands,
            seconds=settings.proxy.drain_timeout,
        )
        self._servers: list[asyncio.Server] = []
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
        self._router.load()
        if self._settings.proxy.reload_interval:
            self._reloader.start()
        publisher_sockets, client_sockets = open_doors(self._settings)
        if self.hub is not None:
            try:
                open_history(self.hub)
            except SettingsError:
                for sock in (*publisher_sockets, *client_sockets):
                    sock.close()
                raise
        await self._publishers.start(publisher_sockets)
        loop = asyncio.get_running_loop()
        for sock in client_sockets:
            self._servers.append(await loop.create_server(self.clients, sock=sock, backlog=CLIENT_BACKLOG))
        self.proxy_addresses = tuple(sock.getsockname()[:2] for sock in client_sockets)
        names = ", ".join(str(Address(host=host, port=port)) for host, port in self.proxy_addresses)
        host, port = self.publish_address
        log.info("listening for clients on %s, for publishers on %s", names, Address(host=host, port=port))
        self._notifier.ready(f"clients on {names}")

    def reload(self) -> None:
        """Load the routes again (SIGHUP). Held connections are not touched."""
        log.info("SIGHUP, reloading the routes")
        self._notifier.reloading()
        self._reloader.reload()
        self._notifier.ready("routes reloaded")

    async def drain(self) -> None:
        """Stop accepting, end what is held and finish what is running within `drain_timeout`, then close."""
        self._notifier.stopping()
        self._reloader.stop()
        for server in self._servers:
            server.close()
        await self._drain.run()
        await self._publishers.stop()
        if self.hub is not None:
            await self.hub.close()
        await self._upstream.close()

    def _make_clients(self) -> ClientServer:
        settings = self._settings.proxy
        options = ConnectionOptions(
            serve=self._serve,
            limits=FramingLimits(head=settings.head_limit, headers=settings.header_limit),
            keep_alive_timeout=settings.keep_alive_timeout,
            body_timeout=settings.body_timeout,
            clock=self.clock,
            counters=self.counters,
            log_from=self._settings.log.log_from,
        )
        return ClientServer(options)

    def _serve(self, exchange: Exchange) -> Awaitable[None]:
        # The front comes last: it holds connections, and what is held comes back to the server.
        return self._front.serve(exchange)

    def _make_front(self, site: Site) -> Front:
        settings = self._settings.proxy
        upstream_key = load_key(settings.upstream_key, "upstream_key")
        outgoing = Outgoing(settings=settings, upstream_key=upstream_key, clock=self.clock)
        return Front(
            router=self._router,
            outgoing=outgoing,
            upstream=self._upstream,
            holding=Holding(site=site, edge=self.edge),
            websockets=self._make_websockets(site, outgoing),
            hub=self._make_hub_door(site),
            hub_path=self._settings.hub.path,
            counters=self.counters,
            debug=settings.debug,
        )

    def _make_hub_door(self, site: Site) -> HubDoor | None:
        if self.hub is None or self._publishing is None:
            return None
        return make_door(self.hub, self._publishing, site=site, websockets=self._settings.websocket)

    def _make_publish_hub(self) -> PublishHub | None:
        if self._publishing is None:
            return None
        return PublishHub(self._publishing, self._settings.hub, counters=self.counters)

    def _make_publishers(self, broker: Broker) -> PublishServer:
        """Make the publishers' door. Raises SettingsError for a token or key file that cannot be used."""
        bridge = self.hub and make_bridge(self.hub, edge=self.edge, broker=broker, counters=self.counters)
        try:
            return PublishServer(
                self._settings.publish,
                bridge or broker,
                counters=self.counters,
                clock=self.clock,
                metrics=lambda: encode_metrics(self.counters),
                hub=self._make_publish_hub(),
            )
        except InvalidSetting as error:
            raise SettingsError(f"publish.{error}") from error

    def _make_websockets(self, site: Site, outgoing: Outgoing) -> WebSockets:
        settings = self._settings.websocket
        controls = Controls(edge=self.edge, counters=self.counters, hold=self._settings.hold, websocket=settings)
        over_http = OverHttpSite(
            senders=SenderSite(
                upstream=self._upstream,
                clock=self.clock,
                events_limit=settings.events_limit,
                requests_at_once=settings.requests_at_once,
            ),
            errands=self._errands,
            clock=self.clock,
            wheel=site.wheel,
            counters=self.counters,
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
            through=ThroughSite(clock=self.clock, wheel=site.wheel, counters=self.counters, settings=settings),
        )


def open_doors(settings: Settings) -> tuple[list[socket.socket], list[socket.socket]]:
    """Listen for publishers and for clients: on all addresses, or on none. Raises OSError."""
    hold = settings.hold
    client_options = SocketOptions(
        unsent_limit=hold.kernel_unsent_limit,
        user_timeout=hold.user_timeout,
        probe_interval=hold.probe_interval,
        backlog=CLIENT_BACKLOG,
    )
    with ExitStack() as opened:

        def open_one(address: Address, options: SocketOptions) -> list[socket.socket]:
            return [opened.enter_context(sock) for sock in listen(address, options)]

        for_publishers = open_one(settings.publish.address, SocketOptions(backlog=PUBLISHER_BACKLOG))
        for_clients = [sock for address in settings.proxy.addresses for sock in open_one(address, client_options)]
        opened.pop_all()
    return for_publishers, for_clients


def make_hub_parts(settings: Settings, site: Site) -> HubParts | None:
    """Make the Mercure hub, if there is to be one. Raises SettingsError for keys that cannot be used."""
    if not settings.hub.is_enabled:
        return None
    try:
        return make_hub(settings.hub, site)
    except InvalidSetting as error:
        raise SettingsError(f"mercure.{error}") from error


def make_publishing(parts: HubParts | None) -> MercurePublishing | None:
    """Make the publishers' side of the hub."""
    if parts is None:
        return None
    return MercurePublishing(hub=parts.hub, authority=parts.authority, settings=parts.settings)


def open_history(parts: HubParts) -> None:
    """Open the hub's history. Raises SettingsError with the file in its text."""
    try:
        parts.open()
    except StorageError as error:
        raise SettingsError(f"mercure.history: {error}") from error


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
