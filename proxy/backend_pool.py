"""The pool of our own connections to backends: makes them, keeps idle ones for a while, and hands them out again.

Used by `proxy.upstream`. Names are looked up by `backend_resolver`; of several addresses the first that connects is
taken, tried one after the other a quarter of a second apart (RFC 8305).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from aiohappyeyeballs import start_connection

from handlers.timers import Clock, TimerHandle
from proxy.backend import POOL_SECONDS, AddressBlocked, BackendAddress, ConnectFailed
from proxy.backend_connection import OwnConnection
from proxy.backend_resolver import AddressInfo, Resolver
from proxy.protocol.public_address import is_public

RESTED_SECONDS = 0.005
"""How long a connection has been idle before a request goes on it that may not be sent twice. A backend that closes
behind its answer without having said so closes at once, but may lose its core between the two: of a thousand requests
to such a one on a busy machine seven failed with 1 ms, and one with 5. A busy pool grows by what is needed in 5 ms."""

NEXT_ADDRESS_SECONDS = 0.25
"""RFC 8305 section 5, "Connection Attempt Delay"."""


class OwnPool:
    """A `proxy.backend.BackendPool`, and the `proxy.backend_connection.Keeper` of its connections."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._resolver = Resolver(clock)
        self._all: set[OwnConnection] = set()
        # By address key, of each the one used last at the end. It is taken last: what the backend does behind an
        # answer, closing above all, has had the most time to arrive. (A dict's first is slow to take again and again.)
        self._idle: dict[object, OrderedDict[OwnConnection, None]] = {}
        self._timer: TimerHandle | None = None

    async def close(self) -> None:
        """Close every connection."""
        self._resolver.close()
        self._stop()
        self._idle.clear()
        for connection in tuple(self._all):
            connection.close()

    def take(self, address: BackendAddress, *, rested: bool = False) -> OwnConnection | None:
        """Return the connection that has been idle for longest, on which nothing has come since."""
        idle = self._idle.get(address.key)
        while idle:
            connection, _ = idle.popitem(last=False)
            if rested and connection.idle_since + RESTED_SECONDS > self._clock.now():
                idle[connection] = None
                idle.move_to_end(connection, last=False)
                return None
            if connection.is_quiet:
                connection.is_reused = True
                return connection
        return None

    async def connect(self, address: BackendAddress) -> OwnConnection:
        """Return a new connection. Raises ConnectFailed; the caller bounds the time."""
        try:
            return await self._connect(address)
        except (OSError, ValueError) as error:  # ValueError: a name that no host can have
            raise ConnectFailed(str(error)) from error

    # -- for the connections ------------------------------------------------------------------------------------------

    def keep(self, connection: OwnConnection) -> None:
        """Keep an idle connection for another request."""
        connection.idle_since = self._clock.now()
        key = connection.address.key
        idle = self._idle.get(key)
        if idle is None:
            idle = self._idle[key] = OrderedDict()
        idle[connection] = None
        if self._timer is None:
            self._timer = self._clock.call_later(POOL_SECONDS, self._sweep)

    def forget(self, connection: OwnConnection) -> None:
        """Have no more to do with a connection."""
        self._all.discard(connection)
        idle = self._idle.get(connection.address.key)
        if idle is not None:
            idle.pop(connection, None)

    async def _connect(self, address: BackendAddress) -> OwnConnection:
        infos = await self._resolver.addresses(address.host, address.port)
        if address.only_public:
            # What is connected to below is these very addresses: nobody can change the name's meanwhile.
            infos = public_ones(infos)
        make = partial(OwnConnection, keeper=self, clock=self._clock, address=address)
        # Where there is nothing to choose, the loop connects for a third of what the choice costs.
        connect = _connect_to_one if len(infos) == 1 else _connect_to_any
        connection = await connect(infos, make, address)
        if connection.is_usable:  # it may be lost already, and is forgotten then
            self._all.add(connection)
        return connection

    def _sweep(self) -> None:
        """Close what has been idle for too long; come again when the next will have been."""
        self._timer = None
        now = self._clock.now()
        first = now
        for key, idle in tuple(self._idle.items()):
            for connection in tuple(idle):
                if connection.idle_since + POOL_SECONDS > now:
                    first = min(first, connection.idle_since)
                    break
                del idle[connection]
                connection.close()
            if not idle:
                del self._idle[key]
        if self._idle:
            self._timer = self._clock.call_at(first + POOL_SECONDS, self._sweep)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def public_ones(infos: Sequence[AddressInfo]) -> Sequence[AddressInfo]:
    """Return the addresses that are public. Raises AddressBlocked where there is none."""
    found = [info for info in infos if is_public(str(info[4][0]))]
    if not found:
        raise AddressBlocked(str(info[4][0]) for info in infos)
    return found


async def _connect_to_one(
    infos: Sequence[AddressInfo], make: Callable[[], OwnConnection], address: BackendAddress
) -> OwnConnection:
    loop = asyncio.get_running_loop()
    host = str(infos[0][4][0])
    name = address.certificate_name
    _, connection = await loop.create_connection(make, host, address.port, ssl=address.tls, server_hostname=name)
    return connection


async def _connect_to_any(
    infos: Sequence[AddressInfo], make: Callable[[], OwnConnection], address: BackendAddress
) -> OwnConnection:
    loop = asyncio.get_running_loop()
    connected = await start_connection(infos, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1, loop=loop)
    try:
        _, connection = await loop.create_connection(
            make, sock=connected, ssl=address.tls, server_hostname=address.certificate_name
        )
    except BaseException:
        connected.close()  # uvloop leaves it open where it fails before it has taken it
        raise
    return connection
