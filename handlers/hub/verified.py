"""Tokens whose signature was verified, remembered, so that who comes again with the same bytes costs a look-up.

Used by `auth` alone. What is remembered of a token can't change: what it says, what it grants, and the key that has
verified it. What can is asked each time: whether that key is still in use, the token's times, and its audience. Only
tokens that were accepted get here, so nobody without a key can fill it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from handlers.hub.key_ring import Role
from handlers.hub.keys import Key, KeySource
from handlers.hub.signed import SignedToken
from handlers.protocol.mercure.grants import Token

MOST_TOKENS: Final = 1000
"""Tokens remembered, the latest used."""

LONGEST_TOKEN: Final = 4096
"""Bytes of a token that is remembered; with what was read from it, some 20 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """A token, the key that its signature was verified with, and where that key came from."""

    signed: SignedToken
    is_current: bool
    source: KeySource
    key: Key
    token: Token


class VerifiedTokens:
    """The tokens of all roles: one that is good for one says nothing about the other."""

    def __init__(self) -> None:
        self._known: dict[tuple[Role, bytes], VerifiedToken] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, role: Role, value: bytes) -> VerifiedToken | None:
        """Return what is known of the token that consists of these bytes."""
        found = self._known.pop((role, value), None)
        if found is not None:
            self._known[role, value] = found  # at the end: the latest used
        return found

    def remember(self, role: Role, value: bytes, verified: VerifiedToken) -> None:
        """Remember a token, in the place of the one not used for longest if there are many."""
        if len(value) > LONGEST_TOKEN:
            return
        self._known.pop((role, value), None)
        if len(self._known) >= MOST_TOKENS:
            del self._known[next(iter(self._known))]
        self._known[role, value] = verified

    def forget(self, role: Role, value: bytes) -> None:
        """Forget a token."""
        self._known.pop((role, value), None)
