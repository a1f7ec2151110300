"""Puts presence notices together: who watches, the queue, and the way to the backend. Called by composition roots."""

from __future__ import annotations

import secrets

from handlers.counters import Counters
from handlers.observer import Lingering, Observers
from handlers.timers import Clock
from proxy.client_side import make_router
from proxy.config import Settings
from proxy.outgoing import Outgoing
from proxy.presence.notifier import PresenceNotifier
from proxy.presence.sending import PresenceSending
from proxy.presence.watcher import PresenceWatcher
from proxy.reload import RoutesReloader
from proxy.upstream import Upstream


class Presence:
    """`begin` once the routes are known to be readable; then `close` once."""

    def __init__(self, settings: Settings, observers: Observers, *, clock: Clock, counters: Counters) -> None:
        """Make all parts; `observers` are told what happens. Raises SettingsError for a key that cannot sign.

        It has routes of its own, as the process that knows of all workers' channels serves no clients.
        """
        wanted = settings.presence
        self._router = make_router(settings)
        self._reloader = RoutesReloader(self._router, clock=clock, interval=settings.proxy.reload_interval)
        self._reloads = bool(settings.proxy.reload_interval)
        self._upstream = Upstream(settings=settings.proxy, clock=clock, counters=counters)
        self._router.on_load = self._upstream.forget_addresses
        sending = PresenceSending(
            wanted,
            router=self._router,
            outgoing=Outgoing(settings=settings.proxy, upstream_key=None, clock=clock),
            upstream=self._upstream,
        )
        self._notifier = PresenceNotifier(
            sending.send,
            sender=f"holdfast-{secrets.token_hex(8)}",
            limits=wanted.limits,
            timeout=wanted.timeout,
            clock=clock,
            counters=counters,
        )
        self._watcher = PresenceWatcher(
            self._notifier.put,
            channels=wanted.interest.channels,
            connections=wanted.interest.connections,
            wall=clock.wall,
        )
        self._lingering = Lingering(self._watcher, seconds=wanted.poll_linger, clock=clock)
        observers.add(self._lingering)

    def begin(self) -> None:
        """Load the routes, and tell that it has started. Raises RoutesFileError."""
        self._router.load()
        if self._reloads:
            self._reloader.start()
        self._watcher.start()

    def reload(self) -> None:
        """Load the routes again."""
        self._reloader.reload()

    async def close(self) -> None:
        """Tell what is left to tell, for a moment."""
        self._lingering.close()
        self._reloader.stop()
        await self._notifier.close()
        await self._upstream.close()


def make_presence(settings: Settings, observers: Observers, *, clock: Clock, counters: Counters) -> Presence | None:
    """Make it if it is wanted."""
    if not settings.presence.interest.is_any:
        return None
    return Presence(settings, observers, clock=clock, counters=counters)
