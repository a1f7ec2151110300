"""The clients' server: every client's connection, whether it speaks HTTP now or is held.

Made by `proxy.app`, which listens with it; one client is a `connection`. To held sessions it is the
`handlers.door.Door`, the way back to HTTP.
"""

from __future__ import annotations

import asyncio
import logging

from handlers.protocol.rate import Seldom
from handlers.protocol.subscribing import LastSeen
from handlers.timers import TimerWheel
from proxy.closing import Closings
from proxy.connection import ClientConnection
from proxy.connection_owner import ConnectionOptions

log = logging.getLogger("holdfast.client")

HEAD_SECONDS = 75.0
"""How long a connection may be without its first whole head where `keep_alive_timeout` is 0."""


class ClientServer:
    """Makes a `ClientConnection` for each accepted socket, and again for each connection that was held.

    To held sessions it is the `handlers.door.Door`.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Needs a running event loop."""
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.wheel = TimerWheel(options.clock)
        self._closings = Closings(
            clock=options.clock, wheel=self.wheel, counters=options.counters, seconds=options.user_timeout
        )
        self.is_draining = False
        self.patience = options.keep_alive_timeout or HEAD_SECONDS
        self.connection_limit = 0
        """Clients that may be connected at once, held ones too; 0 for as many as come. Set before listening."""
        self._connections: set[ClientConnection] = set()
        self._open: set[asyncio.Transport] = set()
        self._entering = 0
        self._refusals = Seldom()
        self._client_seconds = 0.0  # for which clients were connected, all together
        self._counted_until = options.clock.now()
        self._closed = asyncio.Event()

    @property
    def connections(self) -> list[ClientConnection]:
        """The connections that speak HTTP now."""
        return list(self._connections)

    @property
    def open_transports(self) -> frozenset[asyncio.Transport]:
        """The transports of all clients, those that are held too."""
        return frozenset(self._open)

    def admit(self, connection: ClientConnection, transport: asyncio.Transport) -> bool:
        """Note a client's transport, or cut it when there is no room; a held one that comes back is noted already."""
        if transport in self._open:
            self._connections.add(connection)
            return True
        if self.has_room(len(self._open) + self._entering):
            self.count_time()
            self.options.counters.connections += 1
            self.options.counters.connections_opened += 1
            self._open.add(transport)
            self._connections.add(connection)
            return True
        self._refuse()
        transport.abort()
        return False

    def enter(self) -> bool:
        """Note a client whose TLS handshake is yet to come; False when there is no room (`proxy.tls_entrance.Room`)."""
        if not self.has_room(len(self._open) + self._entering):
            self._refuse()
            return False
        self._entering += 1
        return True

    def has_entered(self) -> None:
        """Forget one that `enter` has noted: it is admitted next, or gone."""
        self._entering -= 1
        self._closed.set()

    def has_room(self, taken: int) -> bool:
        """Say whether there may be one more where `taken` are."""
        return not self.connection_limit or taken < self.connection_limit

    def _refuse(self) -> None:
        self.options.counters.connections_refused += 1
        if self._refusals.take(self.options.clock.now()):
            log.warning("no room for another client: %d are connected (said every 10 seconds)", self.connection_limit)

    def left(self, connection: ClientConnection) -> None:
        """Forget a connection: it speaks HTTP no more, or is closed."""
        self._connections.discard(connection)

    def gone(self, transport: asyncio.Transport) -> None:
        """Forget a client's transport: it is closed, whoever held it last."""
        self._closings.gone(transport)
        if transport in self._open:
            self.count_time()
            self.options.counters.connections -= 1
            self._open.discard(transport)
        if not self._open:
            self._closed.set()

    def close(self, transport: asyncio.Transport) -> None:
        """Close a client's transport, once what was written has left (`handlers.door.Door`)."""
        self._closings.close(transport)

    def count_time(self) -> None:
        """Bring the counter of the clients' time up to now."""
        now = self.options.clock.now()
        self._client_seconds += (now - self._counted_until) * len(self._open)
        self._counted_until = now
        self.options.counters.connection_seconds = int(self._client_seconds)

    async def all_closed(self) -> None:
        """Wait until no client is connected, nor at its TLS handshake."""
        while self._open or self._entering:
            self._closed.clear()
            await self._closed.wait()

    def __call__(self) -> ClientConnection:
        """Make the protocol of a new connection."""
        return ClientConnection(self)

    def take_back(self, transport: asyncio.Transport, kept: bytes, *, is_behind: bool) -> None:
        """Serve HTTP on a held transport again, beginning with `kept` (`handlers.door.Door`)."""
        self._adopt(transport, kept, retried=None, is_behind=is_behind)

    def retry(
        self, transport: asyncio.Transport, kept: bytes, request: bytes, *, last_seen: LastSeen, is_behind: bool
    ) -> None:
        """Serve the held request again, as bytes in front of those kept (`handlers.door.Door`)."""
        self._adopt(transport, request + kept, retried=last_seen, is_behind=is_behind)

    def _adopt(self, transport: asyncio.Transport, data: bytes, *, retried: LastSeen | None, is_behind: bool) -> None:
        connection = ClientConnection(self)
        connection.retried = retried
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if is_behind:
            connection.pause_writing()
        transport.set_write_buffer_limits()
        if data:
            connection.data_received(data)
        elif self.is_draining:
            connection.close()

    def cut_all(self) -> None:
        """Close every client's connection at once, whatever is under way."""
        for transport in self.open_transports:
            transport.abort()

    def drain(self, grace: float) -> None:
        """Close each connection after the answer it is waiting for, and those that wait for none.

        Of these a request may be on its way: `grace` seconds are left to those that have not sent any yet, and to the
        others counted from their last answer.
        """
        self.is_draining = True
        spared = max(0.0, self.patience - grace)
        self.patience -= spared
        for connection in self.connections:
            if connection.is_idle:
                connection.hurry(spared)
