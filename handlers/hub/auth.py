"""Who may do what at the hub: the token of a request, verified (reference 1.9, 2.1, 2.4, 3, 6.2).

Asked by the hub's doors before anything else of a request is looked at. It says who the bearer is and what is granted;
whether a request without a token is let in, and what topics an update has, is the door's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from handlers.errors import Challenge, HubRefusal
from handlers.hub.key_ring import KeyRing, Role
from handlers.hub.keys import Key, KeySource
from handlers.hub.settings import HubSettings
from handlers.hub.signed import SignedToken, open_token
from handlers.hub.verified import VerifiedToken, VerifiedTokens
from handlers.protocol.fields import printable
from handlers.protocol.http1 import Headers, first_header, header_values
from handlers.protocol.mercure.claims import (
    CheckMatcher,
    TokenError,
    check_audience,
    check_times,
    find_dialect,
    parse_grants,
)
from handlers.protocol.mercure.grants import Token, TokenDialect
from handlers.protocol.mercure.presenting import (
    CURRENT_COOKIE,
    LEGACY_COOKIE,
    PresentingRules,
    TokenSource,
    check_origin,
    find_token,
    refusal,
)
from handlers.timers import Clock

__all__ = ["Authority", "Role", "Shown", "shown_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What of a request can hold a token, or tells where it comes from: every value of each header, in order.

    `query_tokens`: each `authorization` of the URL's query, decoded.
    """

    method: str
    authorization: tuple[bytes, ...] = ()
    cookies: tuple[bytes, ...] = ()
    query_tokens: tuple[str, ...] = ()
    origin: bytes | None = None
    referer: bytes | None = None


def shown_by(headers: Headers, *, method: str, query_tokens: tuple[str, ...] = ()) -> Shown:
    """Return what a request with these headers shows."""
    return Shown(
        method=method,
        authorization=header_values(headers, b"authorization"),
        cookies=header_values(headers, b"cookie"),
        query_tokens=query_tokens,
        origin=first_header(headers, b"origin"),
        referer=first_header(headers, b"referer"),
    )


class Authority:
    """Verifies tokens. May be asked by any number of requests at once; `close` it at the end.

    `matching_check` raises MatcherError for a matcher that cannot be used. Raises InvalidSetting, whose key is that of
    `[mercure]`.
    """

    def __init__(self, settings: HubSettings, *, clock: Clock, matching_check: CheckMatcher) -> None:
        self._settings = settings
        self._clock = clock
        self._matching_check = matching_check
        self._ring = KeyRing(settings, clock=clock)
        self._verified = VerifiedTokens()
        self._rules = _presenting_rules(settings)

    def has_keys(self, role: Role) -> bool:
        """Whether any token can be verified for `role`. Without, tokens are not looked at."""
        return self._ring.has_keys(role)

    async def check(self, shown: Shown, role: Role, *, resource: str) -> Token | None:
        """Return the verified token; None when none was shown, or when there are no keys for `role`.

        `resource` is the hub's identifier, which a token of 1.0 has to be for. Raises HubRefusal, with a challenge for
        what is wrong with a token: where a hub before 1.0 would not send one, leave it out.
        """
        if not self.has_keys(role):
            return None
        try:
            found = find_token(
                authorization=shown.authorization,
                cookies=shown.cookies,
                query_tokens=shown.query_tokens,
                rules=self._rules,
            )
            if found is None:
                return None
            if found.source is TokenSource.COOKIE and shown.method == "POST":
                check_origin(shown.origin, shown.referer, self._settings.publish_origins)
            token = await self._verify(found.value, role, resource)
            return replace(token, is_cookie=True) if found.source is TokenSource.COOKIE else token
        except TokenError as error:
            raise refusal(Challenge.INVALID_TOKEN, f"{role.value}'s token refused: {error}") from error

    async def close(self) -> None:
        """Stop fetching keys."""
        await self._ring.close()

    async def _verify(self, value: bytes, role: Role, resource: str) -> Token:
        known = self._verified.find(role, value)
        if known is None or not await _is_in_use(known):
            self._verified.forget(role, value)
            known = await self._verify_anew(open_token(value), role, resource)
            self._verified.remember(role, value, known)
        else:
            self._check_claims(known.signed, resource, is_current=known.is_current)
        return known.token

    async def _verify_anew(self, signed: SignedToken, role: Role, resource: str) -> VerifiedToken:
        settings = self._settings
        dialect = find_dialect(
            signed.claims,
            typ=signed.header.get("typ"),
            speaks_current=settings.speaks_current,
            speaks_legacy=settings.speaks_selectors,
        )
        is_current = dialect is TokenDialect.CURRENT
        source = self._source(signed, role, is_current=is_current)
        key = await _find_key(signed, source)
        expires_at = self._check_claims(signed, resource, is_current=is_current)
        grants = parse_grants(signed.claims, dialect, speaks_2019=settings.speaks_2019, check=self._matching_check)
        if role is Role.PUBLISHER and grants.publish is None:
            raise TokenError("its 'mercure' claim has no 'publish'")
        token = Token(grants=grants, expires_at=expires_at, name=signed.name)
        return VerifiedToken(signed=signed, is_current=is_current, source=source, key=key, token=token)

    def _check_claims(self, signed: SignedToken, resource: str, *, is_current: bool) -> float | None:
        """Check what can change between two requests with one token; return when it expires."""
        if is_current:
            check_audience(signed.claims, resource)
        return check_times(signed.claims, self._clock.wall(), required=is_current)

    def _source(self, signed: SignedToken, role: Role, *, is_current: bool) -> KeySource:
        """Return the keys that the token is under. What it says of its issuer only selects them."""
        if not is_current:
            source = self._ring.of_legacy(role)
            if source is None:
                raise TokenError("it is of a dialect before 1.0, and there is no key for those")
            return source
        issuer = signed.claims.get("iss")
        if not isinstance(issuer, str):
            raise TokenError("it has no 'iss'")
        source = self._ring.of_issuer(role, issuer)
        if source is None:
            raise TokenError(f"its 'iss', '{printable(issuer[:100])}', has no key for this role")
        return source


async def _is_in_use(known: VerifiedToken) -> bool:
    """Say whether the key that has verified a token still would: keys that were read anew are others."""
    found = await known.source.candidates(known.signed.algorithm, known.signed.kid)
    return any(key is known.key for key in found.keys)


async def _find_key(signed: SignedToken, source: KeySource) -> Key:
    """Return the key that verifies the signature."""
    found = await source.candidates(signed.algorithm, signed.kid)
    for key in found.keys:
        if key.verifies(signed.signed, signed.signature):
            return key
    if found.retry_after:
        # Others' made-up keys have used up the fetch: this one may be the issuer's new key, and nobody can say yet.
        reason = "a token's 'kid' is not in the key set, which cannot be fetched again yet"
        raise HubRefusal(503, "Service Unavailable", reason=reason, retry_after=math.ceil(found.retry_after))
    raise TokenError("its signature is wrong" if found.keys else "no key goes with its 'alg'")


def _presenting_rules(settings: HubSettings) -> PresentingRules:
    legacy = (LEGACY_COOKIE,) if settings.speaks_selectors else ()
    return PresentingRules(
        cookie_names=tuple(dict.fromkeys((settings.cookie_name, CURRENT_COOKIE, *legacy))),
        strict_legacy=not settings.speaks_current,
        # It came with 0.14.
        query="8" in settings.protocols,
    )
