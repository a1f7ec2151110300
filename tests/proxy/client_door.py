"""A listening `ClientServer` with a `serve` of the test's own behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from handlers.counters import Counters
from handlers.timers import Clock
from proxy.client_server import ClientServer
from proxy.connection import ClientConnection
from proxy.connection_owner import ConnectionOptions
from proxy.exchange import Exchange
from proxy.protocol.framing import FramingLimits
from tests.support.client import RawClient
from tests.support.clock import ManualClock
from tests.support.turns import settle


class Door:
    """A listening server whose requests are answered by `serve`, which a test replaces."""

    def __init__(self, keep_alive_timeout: float) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.serve: Callable[[Exchange], Awaitable[None]] = echo
        self.served: list[Exchange] = []
        self.clients = ClientServer(make_options(self._serve, self.clock, self.counters, keep_alive_timeout))
        self.address = ("", 0)

    @property
    def connection(self) -> ClientConnection:
        """The only connection there is."""
        (connection,) = self.clients.connections
        return connection

    async def connect(self) -> RawClient:
        """Connect a client."""
        return await RawClient.connect(self.address)

    async def _serve(self, exchange: Exchange) -> None:
        self.served.append(exchange)
        await self.serve(exchange)


def make_options(
    serve: Callable[[Exchange], Awaitable[None]], clock: Clock, counters: Counters, keep_alive_timeout: float
) -> ConnectionOptions:
    return ConnectionOptions(
        serve=serve,
        limits=FramingLimits(),
        keep_alive_timeout=keep_alive_timeout,
        body_timeout=60,
        user_timeout=60,
        log_from=False,
        clock=clock,
        counters=counters,
    )


async def echo(exchange: Exchange) -> None:
    """Answer with the target and the body."""
    body = b"".join([piece async for piece in exchange.body.chunks()])
    exchange.answer_text(200, f"{exchange.head.target.decode()} {body.decode()}")


@asynccontextmanager
async def listening(*, keep_alive_timeout: float = 75) -> AsyncGenerator[Door]:
    door = Door(keep_alive_timeout)
    server = await asyncio.get_running_loop().create_server(door.clients, "127.0.0.1", 0)
    door.address = server.sockets[0].getsockname()
    try:
        yield door
    finally:
        server.close()
        door.clients.cut_all()
        await door.clients.all_closed()
        await settle()
