"""Makes the parts of the hub and connects them. Called by the composition root, which adds the publishers' side."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.broker import Broker, Outlet
from handlers.counters import Counters
from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.engine import Engine, Limits
from handlers.engines.memory import MemoryEngine
from handlers.errors import InvalidSetting, StorageError
from handlers.hub.audience import Audience
from handlers.hub.auth import Authority
from handlers.hub.bridge import Bridge
from handlers.hub.hub import Hub
from handlers.hub.presence import PresenceTeller
from handlers.hub.settings import HubSettings
from handlers.hub.sieve import Sieve
from handlers.protocol.mercure.matching import NO_ORIGIN, Matching
from handlers.session import Site
from handlers.settings import WebSocketSettings
from handlers.timers import Clock
from proxy.errors import SettingsError
from proxy.hub.debugger import Debugger
from proxy.hub.door import HubDoor, Publishing
from proxy.hub.history import History
from proxy.hub.holding import HubHolding
from proxy.hub.listing import Listing, LocalRoll, Roll
from proxy.hub.subscribing import Subscribing

log = logging.getLogger("holdfast.hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubParts:
    """The hub of a process, without its doors."""

    hub: Hub
    authority: Authority
    presence: PresenceTeller
    settings: HubSettings

    def open(self) -> None:
        """Open the history, and tell of subscribers that a crash has ended. Raises StorageError."""
        # Also where subscriptions are not told of any more: watchers saw them come, and would be told years later.
        self.presence.bury(self.hub.open())
        kept = "no history" if not self.settings.history else f"history in {self.settings.history}"
        log.info("Mercure hub on %s, protocols %s, %s", self.settings.path, ", ".join(self.settings.protocols), kept)

    async def close(self) -> None:
        """Close the history, behind everything that was published, and stop fetching keys."""
        await self.hub.close()
        await self.authority.close()


def make_hub(
    settings: HubSettings, *, clock: Clock, counters: Counters, engine: Engine | None = None, is_origin: bool = True
) -> HubParts:
    """Make the hub, on the engine that the settings ask for unless one is given. `is_origin` is `Hub`'s.

    Raises SettingsError for keys that cannot be used.
    """
    matching = Matching(settings.resource_identifier or NO_ORIGIN, settings.matcher_cache)
    audience = Audience(
        matching=matching,
        clock=clock,
        counters=counters,
        hub_path=settings.path,
        unanchored_limit=settings.unanchored_limit,
    )
    hub = Hub(
        engine=engine or make_engine(settings), audience=audience, clock=clock, counters=counters, is_origin=is_origin
    )
    presence = PresenceTeller(hub_path=settings.path, publish=hub.publish)
    if settings.subscriptions:
        audience.watcher = presence
        hub.on_stored = presence.tell_rest
    try:
        authority = Authority(settings, clock=clock, matching_check=matching.check)
    except InvalidSetting as error:
        raise SettingsError(f"mercure.{error}") from error
    return HubParts(hub=hub, authority=authority, presence=presence, settings=settings)


def make_engine(settings: HubSettings) -> Engine:
    """Return what stores updates."""
    if not settings.history:
        return MemoryEngine()
    limits = Limits(size=settings.history_size, age=settings.history_age, bytes=settings.history_bytes)
    return EmbeddedEngine(Path(settings.history), limits=limits, durability=settings.durability)


def open_history(parts: HubParts) -> None:
    """Open the hub's history. Raises SettingsError with the file in its text."""
    try:
        parts.open()
    except StorageError as error:
        raise SettingsError(f"mercure.history: {error}") from error


def make_door(
    parts: HubParts, publishing: Publishing, *, site: Site, websockets: WebSocketSettings, roll: Roll | None = None
) -> HubDoor:
    """Make the clients' side of the hub. `roll` says who is subscribed, by default in this process."""
    settings, hub = parts.settings, parts.hub
    hub_site = replace(site, index=hub.audience)
    sieve = Sieve(matching=hub.audience.matching, hub_path=settings.path)
    history = History(hub=hub, sieve=sieve, counters=site.counters, on_unknown=settings.on_unknown_cursor)
    holding = HubHolding(
        hub=hub, history=history, site=hub_site, settings=settings, websockets=websockets, counters=site.counters
    )
    return HubDoor(
        settings=settings,
        subscribing=Subscribing(
            hub=hub, authority=parts.authority, history=history, holding=holding, site=hub_site, settings=settings
        ),
        publishing=publishing,
        listing=Listing(hub=hub, authority=parts.authority, settings=settings, roll=roll or LocalRoll(hub)),
        debugger=Debugger(settings, site.clock),
        counters=site.counters,
    )


def make_bridge(parts: HubParts, *, edge: Outlet, broker: Broker, counters: Counters) -> Bridge | None:
    """Make the bridge between channels and topics, and let the hub tell it of updates; None when it is off."""
    settings = parts.settings
    if settings.bridge == "off":
        return None
    bridge = Bridge(
        hub=parts.hub,
        edge=edge,
        broker=broker,
        counters=counters,
        hub_path=settings.path,
        shows_private=settings.bridge == "all",
        makes_private=settings.bridge_items == "private",
    )
    parts.hub.follower = bridge.follow
    return bridge
