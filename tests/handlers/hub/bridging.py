"""A bridge between the edge and the hub of a `HubRoom`."""

from __future__ import annotations

import asyncio

from handlers.broker import Broker
from handlers.hub.bridge import Bridge
from handlers.settings import HoldSettings
from tests.handlers.hub.hub_room import HUB_PATH, HubRoom


def bridged(room: HubRoom, *, shows_private: bool = False, makes_private: bool = False) -> Bridge:
    """Put a bridge between the room's edge and its hub."""
    broker = Broker(edge=room.edge, clock=room.clock, wheel=room.wheel, counters=room.counters, settings=HoldSettings())
    bridge = Bridge(
        hub=room.hub,
        edge=room.edge,
        broker=broker,
        counters=room.counters,
        hub_path=HUB_PATH,
        shows_private=shows_private,
        makes_private=makes_private,
    )
    room.hub.follower = bridge.follow
    return bridge


def is_idle(bridge: Bridge) -> bool:
    """Say whether nothing is kept of what was published."""
    return not (bridge._owners or bridge._storing or bridge._waiting)  # noqa: SLF001  # can't be seen outside


async def finished(done: asyncio.Future[None] | None) -> None:
    """Wait for a publication; without a history it is done at once."""
    if done is not None:
        await done
