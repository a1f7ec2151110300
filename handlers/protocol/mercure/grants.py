"""What a token lets its bearer do (reference 1.9.3, 1.9.4, 2.1, 3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from handlers.protocol.mercure.matcher import Matcher


class TokenDialect(Enum):
    """Which claims a token speaks by."""

    CURRENT = "1.0"
    """RFC 9068 with `authorization_details`."""
    LEGACY = "8"
    """Any JWT with a `mercure` claim: 0.1 to 0.24."""


@dataclass(frozen=True, slots=True)
class SubscribeGrant:
    """Topics whose private updates may be received, and the payload that subscriptions they match are shown with."""

    matchers: tuple[Matcher, ...]
    payload: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """Everything a token grants, in the token's order. `publish` None is a legacy token without that claim."""

    dialect: TokenDialect
    publish: tuple[Matcher, ...] | None = None
    subscribe: tuple[SubscribeGrant, ...] = ()

    @property
    def readable(self) -> tuple[Matcher, ...]:
        """All matchers of topics whose private updates may be received."""
        return tuple(matcher for grant in self.subscribe for matcher in grant.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A verified token. `expires_at` is in seconds since 1970; None never expires. `name` is for log lines.

    `is_cookie`: a browser has sent it by itself, whichever page asked.
    """

    grants: Grants
    expires_at: float | None
    name: str
    is_cookie: bool = False
