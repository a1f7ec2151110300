"""Topic matching (reference 1.4, 2.2): one object for everybody who asks whether a matcher matches a topic.

Called by the hub for every pattern and topic of a publication, and by those who check requests and tokens. A hub has
one `Matching` for each base URL. What patterns mean is said in `url_pattern` and `selector`.
"""

from __future__ import annotations

from functools import lru_cache

from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.selector import CompiledSelector, literal_prefix, parse_selector
from handlers.protocol.mercure.text import slash_prefixes
from handlers.protocol.mercure.url_pattern import CompiledPattern, MatcherError, compile_pattern, topic_anchors

LONGEST_REMEMBERED = 4096
"""Characters of a topic up to which outcomes are remembered, so that the cache's size in bytes is bounded as well."""


class Matching:
    """Matchers and topics under one base URL. Outcomes are remembered under (matcher, topic), never under joined text.

    `cache_size` outcomes and a tenth as many compiled patterns are kept, the latest used; 0 keeps none.
    """

    def __init__(self, base: str, cache_size: int) -> None:
        self._base = base
        patterns = max(1, cache_size // 10) if cache_size > 0 else 0
        self._compiled = lru_cache(maxsize=patterns)(self._compile)
        self._outcome = lru_cache(maxsize=max(0, cache_size))(self._evaluate)

    def check(self, matcher: Matcher) -> None:
        """Raise MatcherError for a URL pattern that cannot be compiled; all else may be subscribed to."""
        if not matcher.is_wildcard and matcher.kind is MatcherKind.URLPATTERN:
            self._compiled(matcher)

    def matches(self, matcher: Matcher, topic: str) -> bool:
        """Say whether `matcher` matches `topic`. A URL pattern that cannot be compiled matches nothing."""
        kind, value = matcher
        if matcher.is_wildcard:
            return True
        if kind is not MatcherKind.URLPATTERN:
            if value == topic:
                return True
            if kind is MatcherKind.EXACT or "{" not in value:
                return False
        if len(topic) > LONGEST_REMEMBERED:
            return self._evaluate(matcher, topic)
        return self._outcome(matcher, topic)

    def anchor(self, matcher: Matcher) -> str | None:
        """Return the text under which a pattern is filed: whatever it matches has it among its `anchors`.

        None: it has none, and has to be tried on every topic.
        """
        if matcher.is_wildcard:
            return None
        if matcher.kind is MatcherKind.SELECTOR:
            return (slash_prefixes(literal_prefix(matcher.value)) or (None,))[-1]
        try:
            compiled = self._compiled(matcher)
        except MatcherError:
            return None
        return compiled.anchor if isinstance(compiled, CompiledPattern) else None

    def anchors(self, kind: MatcherKind, topic: str) -> tuple[str, ...]:
        """Return all anchors that a pattern of `kind` that matches `topic` can have. Few, whatever the topic."""
        if kind is MatcherKind.SELECTOR:
            return slash_prefixes(topic)
        return topic_anchors(topic, self._base) if kind is MatcherKind.URLPATTERN else ()

    def _compile(self, matcher: Matcher) -> CompiledPattern | CompiledSelector | None:
        match matcher.kind:
            case MatcherKind.URLPATTERN:
                return compile_pattern(matcher.value, self._base)
            case MatcherKind.SELECTOR:
                return parse_selector(matcher.value)
            case MatcherKind.EXACT:
                return None

    def _evaluate(self, matcher: Matcher, topic: str) -> bool:
        try:
            compiled = self._compiled(matcher)
        except MatcherError:
            return False
        return compiled is not None and compiled.matches(topic)
