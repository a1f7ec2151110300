"""Who wants to be told what goes on in the room, and what: so that nothing is noted that nobody asks for.

Every process of one Holdfast comes to the same answer, as all have the same settings.
"""

from __future__ import annotations

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.observed_edge import ObservedEdge
from handlers.observer import Watch
from handlers.protocol.observed import Interest
from handlers.timers import Clock, TimerWheel
from proxy.config import Settings


def interest_in(settings: Settings) -> Interest:
    """Return what the settings ask to be told to somebody."""
    return settings.zeromq.interest | settings.presence.interest


def make_edge(
    settings: Settings, *, clock: Clock, wheel: TimerWheel, counters: Counters, watch: Watch | None, worker: int
) -> Edge:
    """Make the edge of the worker with this number; `watch` is who is to be told of what happens in it."""
    kind = ObservedEdge if watch is not None and watch.interest.deliveries else Edge
    edge = kind(clock=clock, wheel=wheel, counters=counters, settings=settings.hold)
    if watch is not None:
        edge.watch(watch.observer, watch.interest, worker=worker)
    return edge
