"""Says of a single update whether a single subscriber gets it, and in which shape: for replay from the history.

Live updates go by `audience`, which finds the subscribers of an update; here it is the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from handlers.engines.engine import Wanted
from handlers.hub.subscriber import Subscriber
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import Matching
from handlers.protocol.mercure.selector import literal_prefix
from handlers.protocol.mercure.subscription import encode_presence
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import Topic

MOST_WANTED: Final = 32
"""Topics and beginnings that the history is asked to look for: each is looked for in every update."""


class Sieve:
    """Selects updates by a subscriber's matchers and grants, as they are now (reference 1.11)."""

    def __init__(self, *, matching: Matching, hub_path: str) -> None:
        self._matching = matching
        self._hub_path = hub_path

    def sees_presence(self, subscriber: Subscriber) -> bool:
        """Say whether updates about subscriptions could be for this subscriber at all: most can be spared them."""
        reads, asks = subscriber.readable.matchers, subscriber.matchers
        return any(map(self._reaches_presence, reads)) and any(map(self._reaches_presence, asks))

    def _reaches_presence(self, matcher: Matcher) -> bool:
        return matcher.is_wildcard or matcher.is_pattern or matcher.value.startswith(self._hub_path)

    def wanted(self, subscriber: Subscriber) -> Wanted | None:
        """Return what the topics of updates for this subscriber are or begin with; None where they may be any.

        A URL pattern may be met by topics that are written in another way than itself.
        """
        topics: list[str] = []
        beginnings: list[str] = []
        for matcher in subscriber.matchers:
            beginning = literal_prefix(matcher.value) if matcher.kind is MatcherKind.SELECTOR else ""
            if matcher.is_wildcard or (matcher.is_pattern and not beginning):
                return None
            (beginnings if matcher.is_pattern else topics).append(beginning if matcher.is_pattern else matcher.value)
        return (
            Wanted(topics=tuple(topics), beginnings=tuple(beginnings))
            if 0 < len(topics) + len(beginnings) <= MOST_WANTED
            else None
        )

    def select(self, subscriber: Subscriber, update: Update) -> Update | None:
        """Return the update as the subscriber gets it, or None."""
        if update.private and not subscriber.readable.lets(update.topics, self._matching.matches):
            return None
        if update.presence is None:
            return update if self._matches_any(subscriber.matchers, update.topics) else None
        current_topic, legacy_topic = update.topics
        current = (matcher for matcher in subscriber.matchers if not matcher.is_legacy)
        if self._matches_any(current, (current_topic,)):
            return encode_presence(self._hub_path, update, legacy=False)
        legacy = (matcher for matcher in subscriber.matchers if matcher.is_legacy)
        if self._matches_any(legacy, (legacy_topic,)):
            return encode_presence(self._hub_path, update, legacy=True)
        return None

    def _matches_any(self, matchers: Iterable[Matcher], topics: tuple[Topic, ...]) -> bool:
        matching = self._matching
        return any(
            matching.compile(matcher).matches(topic) if matcher.is_pattern else matching.matches(matcher, topic)
            for matcher in matchers
            for topic in topics
        )
