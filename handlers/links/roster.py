"""Which subscriptions are alive at which worker, as the parent knows it from what the workers tell of subscriptions."""

from __future__ import annotations

from collections.abc import Hashable

from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.mercure.update import ActiveSubscription, Presence
from handlers.protocol.names import SubscriberId

Key = tuple[SubscriberId, Matcher]


class Roster:
    """All subscriptions, in the order of their coming. A worker is whatever stands for it."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Hashable, ActiveSubscription]] = {}

    @property
    def subscriptions(self) -> tuple[ActiveSubscription, ...]:
        """Everything that is subscribed to now."""
        return tuple(subscription for _, subscription in self._known.values())

    def note(self, worker: Hashable, presence: Presence) -> None:
        """Note that a subscription has come, or gone. Harmless when that was known."""
        subscription = presence.subscription
        key = subscription.subscriber, subscription.matcher
        if presence.active:
            self._known[key] = worker, subscription
        else:
            self._known.pop(key, None)

    def strike(self, worker: Hashable) -> tuple[ActiveSubscription, ...]:
        """Forget a worker's subscriptions; return them."""
        struck = {key: subscription for key, (owner, subscription) in self._known.items() if owner is worker}
        for key in struck:
            del self._known[key]
        return tuple(struck.values())
