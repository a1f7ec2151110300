"""Which keys verify whose tokens (reference 1.9.2, 6.2.5).

Made by `auth` from the settings. Each issuer has its own keys for each role, tokens of the dialects before 1.0 have
theirs, and no key is ever tried on a token that is not under it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import Enum
from typing import Final

from handlers.hub.jwks import KeyFetcher, RemoteKeySet, make_key_set
from handlers.hub.keys import SET_ALGORITHMS, KeySource, OneKey, load_key
from handlers.hub.settings import HubSettings, IssuerSettings
from handlers.timers import Clock

_log = logging.getLogger("holdfast.hub")


class Role(Enum):
    """What a request wants to do; a token's key is its role's."""

    PUBLISHER = "publisher"
    SUBSCRIBER = "subscriber"


_LEGACY: Final = None
"""Stands in the place of an issuer for the tokens before 1.0."""


class KeyRing:
    """All keys of the hub. Raises InvalidSetting, whose key is that of `[mercure]`: `issuers[0].publisher_key`."""

    def __init__(self, settings: HubSettings, *, clock: Clock) -> None:
        self._clock = clock
        self._fetcher = KeyFetcher()
        self._sources: dict[tuple[Role, str | None], KeySource] = {}
        self._weak: list[str] = []
        if settings.speaks_current:
            self._add_issuers(settings.issuers)
        if settings.speaks_selectors:
            self._add(_LEGACY, "", settings, SET_ALGORITHMS)
        if self._weak:
            _log.warning("shorter than the standards want, and easier to guess: %s", ", ".join(self._weak))

    def has_keys(self, role: Role) -> bool:
        """Whether any token can be verified for `role`."""
        return any(known is role for known, _ in self._sources)

    def of_issuer(self, role: Role, issuer: str) -> KeySource | None:
        """Return the keys for an issuer's tokens of 1.0; None when it has none for this role, or is unknown."""
        return self._sources.get((role, issuer))

    def of_legacy(self, role: Role) -> KeySource | None:
        """Return the keys for tokens before 1.0."""
        return self._sources.get((role, _LEGACY))

    async def close(self) -> None:
        """Stop fetching keys."""
        for source in self._sources.values():
            if isinstance(source, RemoteKeySet):
                await source.close()
        await self._fetcher.close()

    def _add_issuers(self, issuers: Sequence[IssuerSettings]) -> None:
        for index, issuer in enumerate(issuers):
            self._add(issuer.id, f"issuers[{index}].", issuer, issuer.jwks_algorithms or SET_ALGORITHMS)

    def _add(
        self, issuer: str | None, prefix: str, settings: HubSettings | IssuerSettings, algorithms: Sequence[str]
    ) -> None:
        publisher = (settings.publisher_key, settings.publisher_algorithm, settings.publisher_jwks)
        subscriber = (settings.subscriber_key, settings.subscriber_algorithm, settings.subscriber_jwks)
        for role, (key, algorithm, jwks) in ((Role.PUBLISHER, publisher), (Role.SUBSCRIBER, subscriber)):
            name = f"{prefix}{role.value}"
            if key:
                self._sources[role, issuer] = self._load(f"{name}_key", key, algorithm)
            elif jwks:
                self._sources[role, issuer] = make_key_set(
                    f"{name}_jwks", jwks, algorithms=algorithms, clock=self._clock, fetcher=self._fetcher
                )

    def _load(self, name: str, text: str, algorithm: str) -> OneKey:
        key = load_key(name, text, algorithm)
        if key.weakness:
            self._weak.append(name)
        return OneKey(key)
