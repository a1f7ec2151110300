"""Makes the publishers' side: the publish port, the ZeroMQ sockets, and what takes publications to the hub.

Called by composition roots.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from handlers.broker import PublishSink
from handlers.counters import Counters
from handlers.errors import InvalidSetting
from handlers.observer import Observers
from handlers.protocol.address import Address
from handlers.protocol.unix_address import UnixAddress
from handlers.timers import Clock
from proxy.config import Settings
from proxy.errors import SettingsError
from proxy.hub.assembly import HubParts
from proxy.listening import SocketOptions, describe, listen
from proxy.publisher_entrance import PublisherEntrance
from publish_api.control import Surveyor
from publish_api.http import BACKLOG, PublishServer
from publish_api.mercure import MercurePublishing
from publish_api.mercure_port import PublishHub
from publish_api.metrics import encode_metrics

if TYPE_CHECKING:
    from publish_api.zeromq.server import ZeroMQServer

log = logging.getLogger("holdfast")

__all__ = ["BACKLOG", "Publishers", "make_publish_server", "make_publishing"]


class Publishers:
    """The publish port, and beside it the ZeroMQ sockets, if there are any. `start` once, then `stop` once."""

    def __init__(
        self,
        http: PublishServer,
        zeromq: ZeroMQServer | None,
        *,
        entrance: PublisherEntrance,
        metrics: Address | None = None,
    ) -> None:
        """`entrance` is how publishers come to `http`; `metrics` is where they are shown beside the publish port."""
        self._http = http
        self._entrance = entrance
        self._zeromq = zeromq
        self._metrics = metrics

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the publish port, or a Unix socket's path and 0; known once started."""
        return self._http.address

    def describe(self) -> str:
        """Return where publishers connect, for the log; known once started."""
        host, port = self.address
        where = describe([self.address]) if port else str(UnixAddress(path=host))
        return f"{where} (TLS)" if self._entrance.is_tls else where

    def reload(self) -> None:
        """Read the certificate again at its next use."""
        self._entrance.reload()

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve publishers, those of the publish port on `sockets`. Raises OSError with an address or endpoint in it.

        Nothing is left open then, `sockets` neither.
        """
        with ExitStack() as opened:
            for sock in sockets:
                opened.enter_context(sock)
            shown = [opened.enter_context(sock) for sock in self._listen_for_scrapers()]
            if self._zeromq is not None:
                self._zeromq.open()
            opened.pop_all()
        await self._http.start(sockets, self._entrance.serve)
        if shown:
            await self._http.show(shown)
            log.info("showing metrics on %s", describe([sock.getsockname()[:2] for sock in shown]))
        if self._zeromq is not None:
            self._zeromq.begin()

    async def stop(self) -> None:
        """Take nothing more, and end what is being served."""
        if self._zeromq is not None:
            self._zeromq.close()
        await self._http.stop()
        await self._entrance.wait_closed()

    def _listen_for_scrapers(self) -> tuple[socket.socket, ...]:
        return () if self._metrics is None else listen(self._metrics, SocketOptions(backlog=BACKLOG))


def make_publishing(hub: HubParts | None) -> MercurePublishing | None:
    """Make what takes publications to the hub, on whichever port they come."""
    if hub is None:
        return None
    return MercurePublishing(hub=hub.hub, authority=hub.authority, settings=hub.settings)


def make_publish_server(
    settings: Settings,
    sink: PublishSink,
    *,
    clock: Clock,
    counters: Counters,
    publishing: MercurePublishing | None,
    count: Callable[[], Counters],
    recover: Callable[[], None],
    surveyor: Surveyor | None = None,
    find_fault: Callable[[], str] = lambda: "",
    joins: bool = False,
    observers: Observers | None = None,
) -> Publishers:
    """Make what publishers connect to. `counters` are this process's, `count` returns those that are shown.

    `recover` is the command of that name, `surveyor` whoever knows who is there, None
    where nobody does. `find_fault` says why clients are not served now, empty when they are; a
    hub that cannot store is a fault too. `joins`: `sink` may be given the items of several publishers in one call.
    `observers` are told what happens on the edges; who is interested here joins them when it has begun.

    Raises SettingsError for a token, key file or certificate that cannot be used.
    """
    try:
        http = PublishServer(
            settings.publish,
            sink,
            counters=counters,
            clock=clock,
            metrics=lambda: encode_metrics(count(), prefix=settings.metrics.prefix),
            recover=recover,
            find_fault=lambda: find_fault() or find_hub_fault(publishing),
            surveyor=surveyor,
            hub=PublishHub(publishing, settings.hub, counters=counters) if publishing is not None else None,
            joins=joins,
        )
    except InvalidSetting as error:
        raise SettingsError(f"publish.{error}") from error
    zeromq = make_zeromq_server(
        settings,
        sink,
        clock=clock,
        counters=counters,
        count=count,
        recover=recover,
        surveyor=surveyor,
        joins=joins,
        observers=observers,
    )
    publish = settings.publish
    entrance = PublisherEntrance(
        publish.tls_cert, publish.tls_key, clock=clock, counters=counters, log_from=settings.log.log_from
    )
    return Publishers(http, zeromq, entrance=entrance, metrics=settings.metrics.address)


def find_hub_fault(publishing: MercurePublishing | None) -> str:
    """Say why the hub takes no updates now; empty when it does, or is none."""
    return "" if publishing is None or publishing.is_healthy else "updates cannot be stored"


def make_zeromq_server(
    settings: Settings,
    sink: PublishSink,
    *,
    clock: Clock,
    counters: Counters,
    count: Callable[[], Counters],
    recover: Callable[[], None],
    surveyor: Surveyor | None,
    joins: bool,
    observers: Observers | None,
) -> ZeroMQServer | None:
    """Make the ZeroMQ sockets, if there are to be any."""
    if not settings.zeromq.is_enabled:
        return None
    from publish_api.zeromq.server import ZeroMQServer  # noqa: PLC0415  # its library costs memory that few need

    return ZeroMQServer(
        settings.zeromq,
        sink,
        clock=clock,
        counters=counters,
        count=count,
        recover=recover,
        surveyor=surveyor,
        joins=joins,
        observers=observers,
        takes_wildcards=settings.hold.wildcard_subscriptions,
    )
