"""Makes one picture of what all workers observe: how many there are on a channel, over all of them.

Stands in the parent, before its observers. A worker that ends takes its share with it: its connections are told to have
ended, and its channels' numbers go down.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from handlers.observer import Observer
from handlers.protocol.names import Channel
from handlers.protocol.observed import Connected, Delivered, Disconnected, Mode, Observed, Subscribed

Place = tuple[Mode, Channel]


class Tally:
    """The sums. A worker is whatever stands for it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._totals: dict[Place, int] = {}
        self._shares: dict[Hashable, dict[Place, int]] = {}
        self._connections: dict[Hashable, dict[str, Connected]] = {}

    def take(self, worker: Hashable, events: Iterable[Observed]) -> None:
        """Take what a worker has told, in its order."""
        for event in events:
            match event:
                case Subscribed():
                    self._count(worker, event)
                    continue
                case Connected():
                    self._connections.setdefault(worker, {})[event.id] = event
                case Disconnected():
                    self._connections.get(worker, {}).pop(event.id, None)
                case Delivered():
                    pass
            self._observer.observe(event)

    def strike(self, worker: Hashable) -> None:
        """Take away what a worker that has ended had."""
        for place, count in self._shares.pop(worker, {}).items():
            self._step(place, -count)
        for connection in self._connections.pop(worker, {}).values():
            self._observer.observe(Disconnected(connection.id, connection.mode, route=connection.route))

    def _count(self, worker: Hashable, event: Subscribed) -> None:
        share = self._shares.setdefault(worker, {})
        place = event.mode, event.channel
        step = event.subscribers - share.get(place, 0)
        if event.subscribers:
            share[place] = event.subscribers
        else:
            share.pop(place, None)
        self._step(place, step)

    def _step(self, place: Place, step: int) -> None:
        if not step:
            return
        total = self._totals.get(place, 0) + step
        if total:
            self._totals[place] = total
        else:
            del self._totals[place]
        mode, channel = place
        self._observer.observe(Subscribed(mode, channel, total))
