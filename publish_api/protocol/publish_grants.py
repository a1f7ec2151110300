"""What a publisher's token grants, asked topic by topic (reference 1.9.4)."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.protocol.mercure.matcher import WILDCARD, Matcher
from handlers.protocol.mercure.matching import CompiledMatcher, Matching
from handlers.protocol.names import Topic


class PublishGrants:
    """What a token lets publish, for one request: patterns are tried on a topic once, however many updates have it."""

    def __init__(self, granted: Iterable[Matcher], matching: Matching) -> None:
        granted = tuple(granted)
        self._named = frozenset(matcher.value for matcher in granted)
        self._exact = frozenset(matcher.value for matcher in granted if not matcher.is_pattern)
        self._patterns = tuple(matcher for matcher in granted if matcher.is_pattern)
        self._matching = matching
        self._compiled: tuple[CompiledMatcher, ...] | None = None
        self._known: dict[Topic, bool] = {}

    def allow(self, topic: Topic) -> bool:
        """Say whether any grant matches `topic`."""
        if WILDCARD in self._exact or topic in self._exact:
            return True
        found = self._known.get(topic)
        if found is None:
            if self._compiled is None:
                # Held until the request is done: a cache could lose the first before the last is asked.
                self._compiled = tuple(map(self._matching.compile, self._patterns))
            found = self._known[topic] = any(each.matches(topic) for each in self._compiled)
        return found

    def name(self, topic: Topic) -> bool:
        """Say whether a grant is `topic` itself, letter by letter, or the wildcard."""
        return WILDCARD in self._named or topic in self._named
