"""Tells of subscriptions as they come and go (reference 1.12). `proxy.hub.listing` lists those there are.

Each is an update like any other: stored, in the one order of the hub's updates, and delivered to whoever may read it.
The engine remembers who is there, so that after a crash it can be told that they are gone. What could not be stored is
told once that is possible again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from handlers.hub.topic_index import HubSession
from handlers.protocol.mercure.subscription import presence_update
from handlers.protocol.mercure.update import ActiveSubscription, Presence, StoredUpdate, Update
from handlers.protocol.names import Topic


class PresenceTeller:
    """The audience's watcher. `publish` takes an update and returns at once what says whether it is stored."""

    def __init__(self, *, hub_path: str, publish: Callable[[Update], asyncio.Future[StoredUpdate]]) -> None:
        self._hub_path = hub_path
        self._publish = publish
        self._on_its_way: dict[Topic, Presence] = {}
        """What is being stored; of each subscription the newest."""
        self._untold: dict[Topic, Presence] = {}

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
            self._tell_one(Presence(subscription=subscription, active=active))

    def tell_rest(self) -> None:
        """Tell what could not be stored before: of each subscription what is true now (`Hub.on_stored`)."""
        untold, self._untold = self._untold, {}
        for presence in untold.values():
            self._tell_one(presence)

    def _tell_one(self, presence: Presence) -> None:
        update = presence_update(self._hub_path, presence)
        name = update.topics[0]
        self._untold.pop(name, None)  # what is told now is newer
        self._on_its_way[name] = presence
        self._publish(update).add_done_callback(partial(self._note, name, presence))

    def _note(self, name: Topic, presence: Presence, stored: asyncio.Future[StoredUpdate]) -> None:
        if self._on_its_way.get(name) is not presence:
            return  # something newer is on its way
        del self._on_its_way[name]
        if not stored.cancelled() and stored.exception() is not None:
            self._untold[name] = presence
