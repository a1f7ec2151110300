"""The publish port: HTTP in, items out to the sink (reference 6.1).

Made by the composition root. Texts and codes are those publishers know from Pushpin; what is beyond it is keep-alive
for who asks, authorisation, `/metrics` and bounds on time. An answer of 200 says that the sink has the items. Nothing
here stores, orders or delivers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from handlers.counters import Counters
from handlers.timers import Clock, LoopClock
from publish_api.authorization import Authorization
from publish_api.connection import PublishConnection
from publish_api.plan import Planner
from publish_api.settings import PublishSettings
from publish_api.site import HubPort, PublishSite
from publish_api.turn import PublishSink, Turn

__all__ = ["BACKLOG", "STOP_SECONDS", "PublishServer", "PublishSink"]

BACKLOG = 1024
"""Publishers that may wait to be accepted."""

STOP_SECONDS = 2.0
"""How long requests being served when the process stops may take."""


class PublishServer:
    """The server of the publish port. `start` once, then `stop` once, on the loop that is to serve it.

    `clock` is the process's, by default the running loop's. `metrics` gives what GET /metrics answers, in Prometheus'
    text format; without it the path is unknown. `hub` answers the Mercure hub's paths. `recover` is what POST /recover
    does. `joins`: the sink may be given the items of several publishers in one call (`publish_api.turn`). Raises
    InvalidSetting for a token or key file that cannot be used.
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
        joins: bool = False,
    ) -> None:
        self._site = PublishSite(
            settings=settings,
            planner=Planner(settings, has_metrics=metrics is not None, is_hub=hub.takes if hub else no_path),
            authorization=Authorization(settings),
            turn=Turn(sink, joins=joins),
            counters=counters,
            clock=clock or LoopClock(asyncio.get_running_loop()),
            metrics=metrics,
            hub=hub,
            recover=recover,
        )
        self._servers: list[asyncio.Server] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port publishers connect to; known once started."""
        if not self._servers:
            raise RuntimeError("the publish server is not started")
        host, port = self._servers[0].sockets[0].getsockname()[:2]
        return host, port

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve publishers who connect to `sockets`, which listen already and are the server's from now on."""
        loop = asyncio.get_running_loop()
        self._servers = [await loop.create_server(self._connect, sock=sock, backlog=BACKLOG) for sock in sockets]

    async def stop(self) -> None:
        """Stop listening, close idle connections, and the others once answered or after STOP_SECONDS."""
        for server in self._servers:
            server.close()
        await self._site.end(STOP_SECONDS)

    def _connect(self) -> PublishConnection:
        return PublishConnection(self._site)


def no_path(path: str) -> bool:
    """Say that no path is the hub's, where there is none."""
    return False
