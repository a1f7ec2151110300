"""Makes the publishers' side: the publish port, the ZeroMQ sockets, and what takes publications to the hub.

Called by composition roots.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from handlers.broker import Broker
from handlers.counters import Counters
from handlers.errors import InvalidSetting
from handlers.timers import Clock
from proxy.config import Settings
from proxy.errors import SettingsError
from proxy.hub.assembly import HubParts
from publish_api.http import BACKLOG, PublishServer, PublishSink
from publish_api.mercure import MercurePublishing
from publish_api.mercure_port import PublishHub
from publish_api.metrics import encode_metrics

if TYPE_CHECKING:
    from publish_api.zeromq.server import ZeroMQServer

__all__ = ["BACKLOG", "Publishers", "make_publish_server", "make_publishing"]


class Publishers:
    """The publish port, and beside it the ZeroMQ sockets, if there are any. `start` once, then `stop` once."""

    def __init__(self, http: PublishServer, zeromq: ZeroMQServer | None) -> None:
        self._http = http
        self._zeromq = zeromq

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the publish port; known once started."""
        return self._http.address

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve publishers, those of the publish port on `sockets`. Raises OSError with a ZeroMQ endpoint in it.

        Nothing is left open then, `sockets` neither.
        """
        if self._zeromq is not None:
            try:
                self._zeromq.open()
            except OSError:
                for sock in sockets:
                    sock.close()
                raise
        await self._http.start(sockets)
        if self._zeromq is not None:
            self._zeromq.begin()

    async def stop(self) -> None:
        """Take nothing more, and end what is being served."""
        if self._zeromq is not None:
            self._zeromq.close()
        await self._http.stop()


class Recovering(Protocol):
    """Where connections are held: the edge, or the fan to those of the workers."""

    def recover(self) -> None:
        """Have every held connection ask its backend again that can."""
        ...


def make_recover(broker: Broker, edge: Recovering) -> Callable[[], None]:
    """Make the command `recover`: forget all last ids, and have everybody ask."""

    def recover() -> None:
        broker.recover()
        edge.recover()

    return recover


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
    joins: bool = False,
) -> Publishers:
    """Make what publishers connect to. `counters` are this process's, `count` returns those that are shown.

    `recover` is the command of that name. `joins`: `sink` may be given the items of several publishers in one call.

    Raises SettingsError for a token or key file that cannot be used.
    """
    try:
        http = PublishServer(
            settings.publish,
            sink,
            counters=counters,
            clock=clock,
            metrics=lambda: encode_metrics(count()),
            recover=recover,
            hub=PublishHub(publishing, settings.hub, counters=counters) if publishing is not None else None,
            joins=joins,
        )
    except InvalidSetting as error:
        raise SettingsError(f"publish.{error}") from error
    zeromq = make_zeromq_server(
        settings, sink, clock=clock, counters=counters, count=count, recover=recover, joins=joins
    )
    return Publishers(http, zeromq)


def make_zeromq_server(
    settings: Settings,
    sink: PublishSink,
    *,
    clock: Clock,
    counters: Counters,
    count: Callable[[], Counters],
    recover: Callable[[], None],
    joins: bool,
) -> ZeroMQServer | None:
    """Make the ZeroMQ sockets, if there are to be any."""
    if not settings.zeromq.is_enabled:
        return None
    from publish_api.zeromq.server import ZeroMQServer  # noqa: PLC0415  # its library costs memory that few need

    return ZeroMQServer(
        settings.zeromq, sink, clock=clock, counters=counters, count=count, recover=recover, joins=joins
    )
