"""Tells of subscriptions as they come and go, and lists those there are (reference 1.12).

Each is an update like any other: stored, in the one order of the hub's updates, and delivered to whoever may read it.
The engine remembers who is there, so that after a crash it can be told that they are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from handlers.hub.topic_index import HubSession
from handlers.protocol.mercure.subscription import presence_update
from handlers.protocol.mercure.update import ActiveSubscription, Presence, Update


class PresenceTeller:
    """The audience's watcher. `publish` takes an update and returns at once."""

    def __init__(self, *, hub_path: str, publish: Callable[[Update], object]) -> None:
        self._hub_path = hub_path
        self._publish = publish

    def came(self, session: HubSession) -> None:
        """Tell that a subscriber is here. It receives already, so it may learn of itself."""
        self._tell(session.subscriber.subscriptions, active=True)

    def gone(self, session: HubSession) -> None:
        """Tell that a subscriber is gone."""
        self._tell(session.subscriber.subscriptions, active=False)

    def bury(self, left: Iterable[ActiveSubscription]) -> None:
        """Tell that those are gone who were here when the process died."""
        self._tell(left, active=False)

    def _tell(self, subscriptions: Iterable[ActiveSubscription], *, active: bool) -> None:
        for subscription in subscriptions:
            presence = Presence(subscription=subscription, active=active)
            self._publish(presence_update(self._hub_path, presence))
