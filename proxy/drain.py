"""The end of a process: held connections are ended in good order, spread over a bounded time, and requests finish.

Spreading matters: every client that is ended comes back at once, to another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Set
from contextlib import suppress
from functools import partial
from typing import Protocol

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.session import Session, guarded
from handlers.timers import Clock
from proxy.client_server import ClientServer
from proxy.errands import Errands

log = logging.getLogger("holdfast.drain")

GRACE_SECONDS = 1.0
"""How long a connection may still begin a request: it may be on its way, and would be lost."""

ERRANDS_SECONDS = 2.0
"""How long backends may take to answer what they are told at the very end."""

SPREAD = 0.8
"""Part of the time over which held connections are ended; the rest is for their last bytes to leave."""


class Room(Protocol):
    """Where connections are held: the edge, and the hub's audience."""

    @property
    def sessions(self) -> Set[Session]:
        """Every session held now."""
        ...


class Drain:
    """Ends all clients of a process within `seconds`, cutting what is left then."""

    def __init__(
        self,
        *,
        rooms: tuple[Room, ...],
        clients: ClientServer,
        clock: Clock,
        counters: Counters,
        random: Callable[[], float],
        errands: Errands,
        seconds: float,
    ) -> None:
        self._rooms = rooms
        self._clients = clients
        self._clock = clock
        self._counters = counters
        self._random = random
        self._errands = errands
        self._seconds = seconds

    @property
    def grace(self) -> float:
        """How many seconds clients have to begin a request, or to finish a TLS handshake."""
        return min(GRACE_SECONDS, self._seconds / 2)

    async def run(self) -> None:
        """Return once no client is left. No new ones may be accepted meanwhile."""
        sessions = tuple(session for room in self._rooms for session in room.sessions)
        log.info("stopping: %d held connections to end within %g seconds", len(sessions), self._seconds)
        cut_before = self._counters.connections_cut
        self._clients.drain(self.grace)
        for session in sessions:
            self._clock.call_later(self._random() * SPREAD * self._seconds, partial(self._end, session))
        if self._seconds > 0:
            with suppress(TimeoutError):
                async with Deadline(self._clock, self._seconds):
                    await self._clients.all_closed()
        self._counters.connections_cut += sum(map(_has_more_to_come, self._clients.open_transports))
        self._clients.cut_all()
        await self._clients.all_closed()
        if cut := self._counters.connections_cut - cut_before:
            log.warning("stopping: %d connections cut, they took too long", cut)
        await self._finish_errands()

    async def _finish_errands(self) -> None:
        """Let backends be told of the ends: those that answer at once are, the others would keep the process."""
        try:
            async with Deadline(self._clock, ERRANDS_SECONDS):
                await self._errands.all_done()
        except TimeoutError:
            untold = len(self._errands) + self._errands.unkept
            self._counters.websocket_notices_lost += untold
            log.warning("stopping: %d WebSockets' backends may not know of the end", untold)
        self._errands.cancel_all()
        await self._errands.all_done()

    def _end(self, session: Session) -> None:
        if any(session in room.sessions for room in self._rooms):
            self._counters.sessions_drained += 1
            guarded(session, session.drain)


def _has_more_to_come(transport: asyncio.Transport) -> bool:
    """Say whether cutting it now takes something from its client: of one by TLS that is closed we wait for its word."""
    return not transport.is_closing() or transport.get_write_buffer_size() > 0
