from __future__ import annotations

from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import CompiledMatcher, Matching
from handlers.protocol.names import Topic
from publish_api.protocol.publish_grants import PublishGrants


class Counting(Matching):
    """Counts the topics that compiled patterns are tried on."""

    def __init__(self) -> None:
        super().__init__("https://hub.example/.well-known/mercure", 0)
        self.compiled: list[Matcher] = []
        self.tried: list[str] = []

    def compile(self, matcher: Matcher) -> CompiledMatcher:
        self.compiled.append(matcher)
        tried, inner = self.tried, super().compile(matcher)

        class Counted(CompiledMatcher):
            def matches(self, topic: str) -> bool:
                tried.append(topic)
                return inner.matches(topic)

        return Counted(matcher, None, None)


def test_a_token_s_patterns_are_tried_on_a_topic_once_and_what_is_exact_is_looked_up() -> None:
    matching = Counting()
    patterns = [Matcher(MatcherKind.SELECTOR, f"/a/{number}/{{x}}") for number in range(100)]
    granted = PublishGrants([Matcher(MatcherKind.EXACT, "b"), *patterns, Matcher(MatcherKind.SELECTOR, "c")], matching)
    assert all(granted.allow(Topic(topic)) for topic in "bc" * 100)
    assert not matching.compiled
    for _ in range(100):
        assert not granted.allow(Topic("/a/x"))
        assert granted.allow(Topic("/a/99/1"))
    assert matching.compiled == patterns
    assert len(matching.tried) == 200
    assert granted.name(Topic("/a/1/{x}"))
    assert not granted.name(Topic("/a/1/2"))


def test_the_wildcard_is_everything_and_no_grant_is_nothing() -> None:
    for kind in MatcherKind:
        everything = PublishGrants([Matcher(kind, "*")], Counting())
        assert everything.allow(Topic("a"))
        assert everything.name(Topic("a"))
    assert not PublishGrants([], Counting()).allow(Topic("a"))
