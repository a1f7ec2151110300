"""The addresses of backends' names, looked up once for all who ask in the same few seconds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from handlers.timers import Clock
from proxy.backend import DNS_SECONDS

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""One answer of getaddrinfo: family, type, protocol, canonical name, socket address."""


LookUp = Callable[[str, int], Awaitable[Sequence[AddressInfo]]]
"""Returns the addresses of a host for a port, best first. Raises OSError, or ValueError for what is no name."""


async def ask_system(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system, which asks its files and name servers; a `LookUp`."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class Resolver:
    """Looks names up. `addresses` may run any number of times at once."""

    def __init__(self, clock: Clock, look_up: LookUp = ask_system) -> None:
        self._clock = clock
        self._ask = look_up
        self._lookups: dict[tuple[str, int], tuple[asyncio.Task[Sequence[AddressInfo]], float]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Return the addresses of `host`, best first, at least one. Raises OSError, or ValueError for no name."""
        now = self._clock.now()
        known = self._lookups.get((host, port))
        if known is None or known[1] <= now:
            self._forget_old(now)
            task = asyncio.create_task(self._look_up(host, port), name="name look-up")
            task.add_done_callback(self._forget_failed)
            known = self._lookups[host, port] = (task, now + DNS_SECONDS)
        # Whoever else waits for it must not lose it because this one was cancelled.
        return await asyncio.shield(known[0])

    def close(self) -> None:
        """Give up what is being looked up."""
        for task, _ in self._lookups.values():
            task.cancel()

    async def _look_up(self, host: str, port: int) -> Sequence[AddressInfo]:
        infos = await self._ask(host, port)
        if not infos:
            raise OSError(f"no address for {host}")
        return infos

    def _forget_old(self, now: float) -> None:
        for key in [key for key, (_, until) in self._lookups.items() if until <= now]:
            del self._lookups[key]

    def _forget_failed(self, task: asyncio.Task[Sequence[AddressInfo]]) -> None:
        """A name that cannot be looked up now is looked up again by the next."""
        if task.cancelled() or task.exception() is not None:
            for key in [key for key, (known, _) in self._lookups.items() if known is task]:
                del self._lookups[key]
