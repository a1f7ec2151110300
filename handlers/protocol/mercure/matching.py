"""Topic matching (reference 1.4, 2.2): one object for everybody who asks whether a matcher matches a topic.

Called by the hub for every pattern and topic of a publication, and by those who check requests and tokens. A hub has
one `Matching` for each base URL. What patterns mean is said in `url_pattern` and `selector`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from weakref import WeakValueDictionary

from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.selector import CompiledSelector, literal_prefix, parse_selector
from handlers.protocol.mercure.text import slash_prefixes
from handlers.protocol.mercure.url_pattern import CompiledPattern, MatcherError, compile_pattern, topic_anchors

LONGEST_REMEMBERED = 4096
"""Characters of a topic up to which outcomes are remembered, so that the cache's size in bytes is bounded as well."""
LONGEST_KEY = 256
"""The same for matchers."""
MOST_COMPILED = 1000
"""Compiled patterns remembered at most: each may take a quarter of a megabyte."""


NO_ORIGIN: Final = "http://mercure.invalid"
"""Base of URL patterns where the hub does not know its own URL (reference 1.4)."""


class CompiledMatcher:
    """A matcher, compiled. Lives as long as somebody holds it, and all who have the matcher hold the same."""

    __slots__ = ("__weakref__", "_form", "_value", "anchor")

    def __init__(self, matcher: Matcher, form: CompiledPattern | CompiledSelector | None, anchor: str | None) -> None:
        self.anchor = anchor
        """What `Matching.anchor` says of it."""
        self._form = form
        # For a URL pattern to equal a topic is nothing.
        self._value = None if matcher.kind is MatcherKind.URLPATTERN else matcher.value

    @property
    def size(self) -> int:
        """What it costs to compile, in instructions of regular expressions."""
        return 0 if self._form is None else self._form.size

    def matches(self, topic: str) -> bool:
        """Say whether it matches `topic`."""
        return topic == self._value or (self._form is not None and self._form.matches(topic))


class Matching:
    """Matchers and topics under one base URL. Outcomes are remembered under (matcher, topic), never under joined text.

    `cache_size` outcomes and a tenth as many compiled patterns are kept, the latest used; 0 keeps none. Whoever asks
    again and again holds what `compile` returns, which no other's patterns can push out.
    """

    def __init__(self, base: str, cache_size: int) -> None:
        self._base = base
        patterns = min(MOST_COMPILED, max(1, cache_size // 10)) if cache_size > 0 else 0
        self._held: WeakValueDictionary[Matcher, CompiledMatcher] = WeakValueDictionary()
        self._compiled = lru_cache(maxsize=patterns)(self._compile)
        self._outcome = lru_cache(maxsize=max(0, cache_size))(self._evaluate)

    def check(self, matcher: Matcher) -> None:
        """Raise MatcherError for a URL pattern that cannot be compiled; all else may be subscribed to."""
        if not matcher.is_wildcard and matcher.kind is MatcherKind.URLPATTERN:
            self._compiled(matcher)

    def compile(self, matcher: Matcher) -> CompiledMatcher:
        """Return the pattern compiled, the same object for as long as somebody holds it. Raises MatcherError."""
        held = self._held.get(matcher)
        if held is None:
            form = self._compile(matcher)
            held = self._held[matcher] = CompiledMatcher(matcher, form, _anchor(matcher, form))
        return held

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
        if len(topic) > LONGEST_REMEMBERED or len(value) > LONGEST_KEY:
            return self._evaluate(matcher, topic)
        return self._outcome(matcher, topic)

    def anchor(self, matcher: Matcher) -> str | None:
        """Return the text under which a pattern is filed: whatever it matches has it among its `anchors`.

        None: it has none, and has to be tried on every topic.
        """
        if matcher.kind is not MatcherKind.URLPATTERN or matcher.is_wildcard:
            return _anchor(matcher, None)
        try:
            return self.compile(matcher).anchor
        except MatcherError:
            return None

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


def _anchor(matcher: Matcher, form: CompiledPattern | CompiledSelector | None) -> str | None:
    if matcher.kind is MatcherKind.SELECTOR and not matcher.is_wildcard:
        return (slash_prefixes(literal_prefix(matcher.value)) or (None,))[-1]
    return form.anchor if isinstance(form, CompiledPattern) else None
