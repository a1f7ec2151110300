"""An observer that notes what it is told."""

from __future__ import annotations

from handlers.protocol.observed import Observed


class NotingObserver:
    """Implements `handlers.observer.Observer`."""

    def __init__(self) -> None:
        self.told: list[Observed] = []

    def observe(self, event: Observed) -> None:
        """Note what has happened."""
        self.told.append(event)

    def take(self) -> list[Observed]:
        """Return what it was told since the last time."""
        told, self.told = self.told, []
        return told
