"""A Mercure update, from the publisher's request to history and subscribers.

Plain values. `publish_api.protocol` reads them from requests, `handlers.engines` stores them, `event` encodes them for
streams. An update that tells of a subscription (reference 1.12) carries it as a value, so that each watcher can be told
in its own dialect.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.names import EventId, SubscriberId, Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSubscription:
    """One matcher of one connected subscriber. `payload` is plain JSON data from its token; None is none."""

    subscriber: SubscriberId
    matcher: Matcher
    payload: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A subscription that has come (`active`) or gone."""

    subscription: ActiveSubscription
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One update. `topics` has the canonical one first; an empty `id` is for the hub to fill in; `retry` 0 is none.

    With `presence` there are two topics, of the current dialect and of the older one, and `data` and `type` are empty:
    they are written for each watcher.
    """

    topics: tuple[Topic, ...]
    id: EventId
    data: str = ""
    private: bool = False
    type: str = ""
    retry: int = 0
    presence: Presence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpdate:
    """An update with its place in the one order of a hub's updates: `seq` grows by publication, never comes twice."""

    seq: int
    update: Update
