"""The publish port: HTTP in, items out to the sink (reference 6.1).

Made by the composition root. Texts and codes are those publishers know from Pushpin; what is beyond it is keep-alive
for who asks, authorisation, `/metrics` and bounds on time. An answer of 200 says that the sink has the items. Nothing
here stores, orders or delivers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from handlers.broker import PublishSink
from handlers.counters import Counters
from handlers.timers import Clock, LoopClock
from publish_api.authorization import Authorization
from publish_api.connection import PublishConnection
from publish_api.control import Control, Surveyor
from publish_api.plan import Planner
from publish_api.scraping import scraping_site
from publish_api.settings import PublishSettings
from publish_api.site import HubPort, PublishSite
from publish_api.turn import Turn

__all__ = ["BACKLOG", "STOP_SECONDS", "PublishServer"]

BACKLOG = 1024
"""Publishers that may wait to be accepted."""

STOP_SECONDS = 2.0
"""How long requests being served when the process stops may take."""


class Entrance(Protocol):
    """Where connections come in."""

    def close(self) -> None:
        """Let nobody in any more."""
        ...


Serve = Callable[[Callable[[], asyncio.Protocol], socket.socket], Awaitable[Entrance]]
"""Has connections to a listening socket served, each by a protocol that is made for it."""


class PublishServer:
    """The server of the publish port. `start` once, then `stop` once, on the loop that is to serve it.

    `clock` is the process's, by default the running loop's. `metrics` gives what GET /metrics answers, in Prometheus'
    text format; without it the path is unknown. `hub` answers the Mercure hub's paths. `recover` is what POST /recover
    does, `find_fault` what GET /readyz tells (`PublishSite`). GET /channels/ and the like ask the `surveyor`; without
    one the paths are unknown. `joins`: the sink may be given the items of several publishers in one call
    (`publish_api.turn`). Raises InvalidSetting for a token or key file that cannot be used.
    """

    def __init__(
        self,
        settings: PublishSettings,
        sink: PublishSink,
        *,
        counters: Counters,
        clock: Clock | None = None,
        metrics: Callable[[], bytes] | None = None,
        hub: HubPort | None = None,
        recover: Callable[[], None] | None = None,
        find_fault: Callable[[], str] | None = None,
        surveyor: Surveyor | None = None,
        joins: bool = False,
    ) -> None:
        self._site = PublishSite(
            settings=settings,
            planner=Planner(
                settings,
                has_metrics=metrics is not None,
                is_hub=hub.takes if hub else no_path,
                has_control=surveyor is not None,
            ),
            authorization=Authorization(settings),
            turn=Turn(sink, joins=joins),
            counters=counters,
            clock=clock or LoopClock(asyncio.get_running_loop()),
            metrics=metrics,
            hub=hub,
            recover=recover,
            find_fault=find_fault,
            control=None if surveyor is None else Control(surveyor),
        )
        self._servers: list[Entrance] = []
        self._address: tuple[str, int] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port publishers connect to, or a Unix socket's path and 0; known once started."""
        if self._address is None:
            raise RuntimeError("the publish server is not started")
        return self._address

    async def start(self, sockets: Sequence[socket.socket], serve: Serve | None = None) -> None:
        """Serve publishers who connect to `sockets`, which listen already and are the server's from now on.

        `serve` has connections come in; by default they come by TCP, and without TLS.
        """
        serve = serve or serve_tcp
        where = sockets[0].getsockname()
        self._address = (where, 0) if isinstance(where, str) else where[:2]
        self._servers = [await serve(self._connect, sock) for sock in sockets]

    async def show(self, sockets: Sequence[socket.socket]) -> None:
        """Show the metrics to whoever connects to `sockets`, too; `stop` ends that as well."""
        site = scraping_site(self._site)
        loop = asyncio.get_running_loop()
        self._servers += [
            await loop.create_server(lambda: PublishConnection(site), sock=sock, backlog=BACKLOG) for sock in sockets
        ]

    async def stop(self) -> None:
        """Stop listening, close idle connections, and the others once answered or after STOP_SECONDS."""
        for server in self._servers:
            server.close()
        await self._site.end(STOP_SECONDS)

    def _connect(self) -> PublishConnection:
        return PublishConnection(self._site)


async def serve_tcp(make: Callable[[], asyncio.Protocol], sock: socket.socket) -> Entrance:
    """Serve whoever connects to `sock`."""
    return await asyncio.get_running_loop().create_server(make, sock=sock, backlog=BACKLOG)


def no_path(path: str) -> bool:
    """Say that no path is the hub's, where there is none."""
    return False
