"""Topic matchers, as far as they can be told apart without matching anything."""

from __future__ import annotations

import pytest

from handlers.protocol.mercure.matcher import Matcher, MatcherKind


@pytest.mark.parametrize(
    ("kind", "value", "is_wildcard", "is_pattern", "is_legacy"),
    [
        (MatcherKind.EXACT, "a", False, False, False),
        (MatcherKind.EXACT, "{a}", False, False, False),
        (MatcherKind.EXACT, "*", True, False, False),
        (MatcherKind.URLPATTERN, "a", False, True, False),
        (MatcherKind.URLPATTERN, "*", True, False, False),
        (MatcherKind.SELECTOR, "a", False, False, True),
        (MatcherKind.SELECTOR, "{a}", False, True, True),
        (MatcherKind.SELECTOR, "{", False, True, True),
        (MatcherKind.SELECTOR, "*", True, False, True),
    ],
)
def test_what_kind_of_work_a_matcher_makes(
    kind: MatcherKind, value: str, is_wildcard: bool, is_pattern: bool, is_legacy: bool
) -> None:
    matcher = Matcher(kind, value)
    assert (matcher.is_wildcard, matcher.is_pattern, matcher.is_legacy) == (is_wildcard, is_pattern, is_legacy)
    assert matcher == Matcher(kind, value)
    assert len({matcher, Matcher(kind, value)}) == 1
