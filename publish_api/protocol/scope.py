"""What a request to the publish port is for, and what a token may be for: the claim `holdfast`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

CLAIM: Final = "holdfast"


class Scope(enum.Enum):
    """What somebody may do."""

    PUBLISH = "publish"
    """Send items, and have everybody ask again (`/recover`)."""

    READ = "read"
    """See who is there."""

    CLOSE = "close"
    """End connections."""


EVERYTHING: Final = frozenset(Scope)


def parse_scopes(claims: Mapping[str, object]) -> frozenset[Scope]:
    """Return what a token with these claims is for: all, unless it says what. Names of others' are passed over.

    Raises ValueError for a claim that is no list.
    """
    named = claims.get(CLAIM)
    if named is None:
        return EVERYTHING
    if not isinstance(named, list):
        raise ValueError(f"{CLAIM} is no list")
    return frozenset(scope for scope in Scope if scope.value in named)
