"""The targets of 2019 as topics that nobody can name (reference 3)."""

from __future__ import annotations

import ada_url
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import Matching
from handlers.protocol.mercure.reserved import is_reserved
from handlers.protocol.mercure.target import is_target, target_of, target_topic
from handlers.protocol.mercure.text import is_plain_text

PATTERNS = ["https://example.com/:id", "*://*/*", "/:id", ":a*", "https://*/*", "target:*", "*://*:*/*?*#*", "{*}?"]
SELECTORS = ["{a}", "{+a}", "{/a*}", "https://example.com/{a}"]
TARGETS = ["", "*", "a", "https://example.com/1", "/a", "//a/b", "]", "]:80/x", "@example.com/1", "\\@a", "\t\n", "?#"]


@given(target=st.text(max_size=20))
@example(target="")
def test_a_target_is_known_by_its_topic(target: str) -> None:
    topic = target_topic(target)
    assert topic.startswith("\0")
    assert is_target(topic)
    assert target_of(topic) == target
    assert not is_plain_text(topic), "subscribers, publishers and tokens could name it"
    assert topic != target_topic(target + "x")


@pytest.mark.parametrize("topic", ["", "a", "https://[/a", "\0", "https://example.com/\0"])
def test_other_topics_are_no_targets(topic: str) -> None:
    assert not is_target(topic)
    assert target_of(topic) is None


@given(target=st.one_of(st.sampled_from(TARGETS), st.text(max_size=20)))
def test_no_pattern_matches_a_target(target: str) -> None:
    topic = target_topic(target)
    matching = Matching("https://hub.example/.well-known/mercure", 0)
    assert not is_reserved(topic, "/.well-known/mercure")
    for kind, values in ((MatcherKind.URLPATTERN, PATTERNS), (MatcherKind.SELECTOR, SELECTORS)):
        for value in values:
            assert not matching.matches(Matcher(kind, value), topic), value
    assert matching.matches(Matcher(MatcherKind.EXACT, topic), topic)


@given(target=st.text(st.characters(codec="utf-8"), max_size=20))
@example(target="]/")
def test_the_topic_of_a_target_is_no_url(target: str) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        ada_url.URL(target_topic(target), "https://hub.example/.well-known/mercure")
