"""What all links of a process share, and the way of one link: where it leads, and whether by the route it came by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from handlers.counters import Counters
from handlers.protocol.http1 import Headers
from handlers.protocol.subscribing import LastSeen
from handlers.timers import Clock, TimerWheel
from proxy.errands import Errands
from proxy.outgoing import Outgoing
from proxy.protocol.link_uri import LinkUri
from proxy.protocol.route import Target, TargetKind
from proxy.router import LoadedRoute
from proxy.upstream import Reached, Upstream

AT_ONCE = 500
"""Requests for links that one place may have to answer at once; further ones wait for their turn.

Counted until an answer begins.
"""

PLACES = 1000
"""Places for which the right to ask is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWay:
    """How a link is reached: one that `is_internal` by the route `loaded`, any other directly (reference 3.9, step 5).

    Both are signed with that route's key.
    """

    loaded: LoadedRoute
    uri: LinkUri
    is_internal: bool

    @property
    def targets(self) -> tuple[Target, ...]:
        """Whom to ask, in this order."""
        if self.is_internal:
            return self.loaded.hosts
        host, port, is_tls = self.uri.host, self.uri.port, self.uri.is_tls
        # A backend that may be anywhere but inside must not lead us there.
        untrusted = any(target.untrusted for target in self.loaded.hosts)
        return (Target(kind=TargetKind.HOST, host=host, port=port, ssl=is_tls, untrusted=untrusted),)

    @property
    def place(self) -> tuple[object, ...]:
        """By what equal ways are told, cheaply: a route is not compared but known by its identity."""
        return id(self.loaded), self.is_internal, self.uri


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSite:
    """What all links of a process share."""

    upstream: Upstream
    outgoing: Outgoing
    errands: Errands
    clock: Clock
    wheel: TimerWheel
    counters: Counters
    random: Callable[[], float]
    slots: dict[tuple[Target, ...], asyncio.Semaphore] = field(default_factory=dict)

    def slot(self, way: LinkWay) -> asyncio.Semaphore:
        """Return what a request has to hold, first come, first served."""
        targets = way.targets
        slot = self.slots.get(targets)
        if slot is None:
            if len(self.slots) >= PLACES:
                self.slots.clear()  # those under way keep theirs
            slot = self.slots[targets] = asyncio.Semaphore(AT_ONCE)
        return slot

    async def send(
        self, way: LinkWay, *, method: bytes, last_seen: LastSeen = (), headers: Headers = (), body: bytes = b""
    ) -> Reached:
        """Send one request, with these headers besides our own. Raises UpstreamError."""
        request = self.outgoing.write_link(
            way.loaded,
            way.uri,
            method=method,
            last_seen=last_seen,
            is_internal=way.is_internal,
            headers=headers,
            body=body,
        )
        return await self.upstream.send(way.targets, request)
