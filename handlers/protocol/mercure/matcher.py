"""Topic matchers: what a subscriber asks for, and what a token grants (draft 8 section on topic matchers).

`exact` and `urlpattern` are the current draft's; `selector` is that of the 0.10 to 0.24 hubs: `*`, equality, or an
RFC 6570 template (reference 2.2). The value `*` of any kind matches every topic.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

WILDCARD: Final = "*"


class MatcherKind(Enum):
    """How a matcher's value is read; the values are the names that `match_type` has on the wire."""

    EXACT = "exact"
    URLPATTERN = "urlpattern"
    SELECTOR = "selector"


class Matcher(NamedTuple):
    """One topic matcher. Equal matchers match the same topics, so they can be keys."""

    kind: MatcherKind
    value: str

    @property
    def is_wildcard(self) -> bool:
        """Whether it matches every topic."""
        return self.value == WILDCARD

    @property
    def is_pattern(self) -> bool:
        """Whether topics have to be tried on it: it is neither the wildcard nor satisfied by equality alone.

        A selector without a brace is no template (reference 2.2).
        """
        if self.kind is MatcherKind.SELECTOR:
            return "{" in self.value
        return self.kind is MatcherKind.URLPATTERN and not self.is_wildcard

    @property
    def is_legacy(self) -> bool:
        """Whether it is of the older dialect, and its subscriber is told of subscriptions in that dialect's shape."""
        return self.kind is MatcherKind.SELECTOR
