"""What the claims of a token say: its dialect, for whom and how long it is, and what it grants (reference 1.9, 2.4, 3).

Called by `handlers.hub.auth`, which verifies the signature. A claim that cannot be obeyed rejects the whole token as
TokenError: nothing is accepted in part, and a token of 1.0 is never read as an older one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, cast

from handlers.protocol.fields import printable
from handlers.protocol.mercure.grants import Grants, SubscribeGrant, TokenDialect
from handlers.protocol.mercure.identity import DETAIL_TYPE
from handlers.protocol.mercure.matcher import WILDCARD, Matcher, MatcherKind
from handlers.protocol.mercure.subscribing import MAX_MATCHER_BYTES
from handlers.protocol.mercure.target import target_topic
from handlers.protocol.mercure.text import is_plain_text
from handlers.protocol.mercure.url_pattern import MatcherError

DETAILS_CLAIM: Final = "authorization_details"
TOPIC_LIMIT: Final = 100
"""Topics of all Mercure details of a token. Each has one at least, so there are no more details than that."""

LEGACY_CLAIM: Final = "mercure"
NAMESPACED_CLAIM: Final = "https://mercure.rocks/"
LEGACY_LIMIT: Final = 1000
"""Entries of `publish`, and of `subscribe`."""

CheckMatcher = Callable[[Matcher], None]
"""Returns when the matcher can be used; raises MatcherError."""

_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_KINDS: Final = {"": MatcherKind.EXACT, "exact": MatcherKind.EXACT, "urlpattern": MatcherKind.URLPATTERN}


class TokenError(Exception):
    """A token cannot be accepted. `str(error)` says why, for the log; it never holds the token."""


def find_dialect(
    claims: Mapping[str, object], *, typ: object, speaks_current: bool, speaks_legacy: bool
) -> TokenDialect:
    """Return which rules a token is under, by its header's `typ` and its claims. Raises TokenError (reference 6.2.5).

    Where 1.0 is spoken, what looks like one of its tokens has to be one. Where it is not, a hub knows nothing of it,
    as those before 1.0 do.
    """
    if not speaks_current:
        return TokenDialect.LEGACY
    if isinstance(typ, str) and typ.lower() in _ACCESS_TOKEN_TYPES:
        return TokenDialect.CURRENT
    if DETAILS_CLAIM in claims or not speaks_legacy:
        raise TokenError(f"its 'typ' is {_quoted(typ)}, expected 'at+jwt'")
    return TokenDialect.LEGACY


def check_times(claims: Mapping[str, object], now: float, *, required: bool) -> float | None:
    """Return when the token expires, in seconds since 1970; None is never. Raises TokenError when this is not its time.

    `required`: it has to have an `exp`. There is no leeway, and an `iat` to come is nobody's business.
    """
    expires_at = _moment(claims, "exp")
    if expires_at is None and required:
        raise TokenError("it has no 'exp'")
    if expires_at is not None and expires_at <= now:
        raise TokenError(f"it expired {now - expires_at:.0f} seconds ago")
    begins_at = _moment(claims, "nbf")
    if begins_at is not None and begins_at > now:
        raise TokenError(f"it is valid only in {begins_at - now:.0f} seconds")
    return expires_at


def check_audience(claims: Mapping[str, object], resource: str) -> None:
    """Return if the token is for this hub; raises TokenError."""
    audience = claims.get("aud")
    if audience == resource or (isinstance(audience, list) and resource in audience):
        return
    raise TokenError(f"its 'aud' is {_quoted(audience)}, expected '{printable(resource)}'")


def parse_grants(
    claims: Mapping[str, object], dialect: TokenDialect, *, speaks_2019: bool, check: CheckMatcher
) -> Grants:
    """Return what the token grants; raises TokenError.

    Where the dialect of 2019 is spoken, each string of an older token is also the target of that name.
    """
    if dialect is TokenDialect.CURRENT:
        return _parse_details(claims.get(DETAILS_CLAIM), check)
    return _LegacyClaim(claims, speaks_2019=speaks_2019, check=check).grants()


# -- 1.0 ------------------------------------------------------------------------------------------------------------


def _parse_details(claim: object, check: CheckMatcher) -> Grants:
    details = [] if claim is None else _list(claim, DETAILS_CLAIM)
    publish: list[Matcher] = []
    subscribe: list[SubscribeGrant] = []
    topics = 0
    for index, detail in enumerate(details):
        where = f"{DETAILS_CLAIM}[{index}]"
        if detail is None:
            continue
        members = _object(detail, where)
        if members.get("type") != DETAIL_TYPE:
            continue
        actions, matchers = _actions(members, where), _topics(members, where, check)
        topics += len(matchers)
        if topics > TOPIC_LIMIT:
            raise TokenError(f"'{DETAILS_CLAIM}' has more than {TOPIC_LIMIT} topics")
        if "publish" in actions:
            publish.extend(matchers)
        if "subscribe" in actions:
            subscribe.append(SubscribeGrant(matchers, members.get("payload")))
    return Grants(dialect=TokenDialect.CURRENT, publish=tuple(publish), subscribe=tuple(subscribe))


def _actions(members: Mapping[str, object], where: str) -> list[object]:
    """Return the actions. Those nobody knows grant nothing."""
    actions = _list(members.get("actions"), f"{where}.actions", least=1)
    if not all(isinstance(action, str) for action in actions):
        raise TokenError(f"'{where}.actions' holds something else than strings")
    return actions


def _topics(members: Mapping[str, object], where: str, check: CheckMatcher) -> tuple[Matcher, ...]:
    topics = _list(members.get("topics"), f"{where}.topics", least=1, most=TOPIC_LIMIT)
    return tuple(
        _matcher(_object(topic, f"{where}.topics[{index}]"), f"{where}.topics[{index}]", check)
        for index, topic in enumerate(topics)
    )


def _matcher(members: Mapping[str, object], where: str, check: CheckMatcher) -> Matcher:
    """Read `{match, match_type}`. `*` is every topic whatever its type is called (reference 1.17 row 2)."""
    value, name = members.get("match"), members.get("match_type")
    if not isinstance(value, str) or not value:
        raise TokenError(f"'{where}.match' is not a string, or empty")
    name = "" if name is None else name
    if not isinstance(name, str):
        raise TokenError(f"'{where}.match_type' is not a string")
    kind = _KINDS.get(name, MatcherKind.EXACT if value == WILDCARD else None)
    if kind is None:
        raise TokenError(f"'{where}.match_type' is unknown: {_quoted(name)}")
    return _checked(Matcher(kind, value), where, check)


# -- before 1.0 -----------------------------------------------------------------------------------------------------


class _LegacyClaim:
    """The claim `mercure` of one token, or the namespaced one, which stands in its place."""

    def __init__(self, claims: Mapping[str, object], *, speaks_2019: bool, check: CheckMatcher) -> None:
        self._name = LEGACY_CLAIM if claims.get(NAMESPACED_CLAIM) is None else NAMESPACED_CLAIM
        claim = claims.get(self._name)
        self._members = {} if claim is None else _object(claim, self._name)
        self._payload = self._members.get("payload")
        self._speaks_2019 = speaks_2019
        self._check = check

    def grants(self) -> Grants:
        """Return what it grants: publishing as None where it says nothing of it."""
        publish = self._entries("publish")
        subscribe = self._entries("subscribe") or []
        if self._payload is not None:
            # Shown with every subscription, those too that no grant matches (reference 2.1).
            subscribe.append(SubscribeGrant((), self._payload))
        return Grants(
            dialect=TokenDialect.LEGACY,
            publish=None if publish is None else tuple(one for grant in publish for one in grant.matchers),
            subscribe=tuple(subscribe),
        )

    def _entries(self, member: str) -> list[SubscribeGrant] | None:
        value = self._members.get(member)
        if value is None:
            return None
        entries = _list(value, f"{self._name}.{member}", most=LEGACY_LIMIT)
        return [self._entry(entry, f"{self._name}.{member}[{index}]") for index, entry in enumerate(entries)]

    def _entry(self, entry: object, where: str) -> SubscribeGrant:
        if isinstance(entry, str):
            selector = _checked(Matcher(MatcherKind.SELECTOR, entry), where, self._check)
            if not self._speaks_2019 or selector.is_wildcard:
                return SubscribeGrant((selector,), self._payload)
            # Not checked: it holds a control character on purpose.
            target = Matcher(MatcherKind.EXACT, target_topic(entry))
            return SubscribeGrant((selector, target), self._payload)
        members = _object(entry, where)
        payload = members.get("payload")
        return SubscribeGrant((_matcher(members, where, self._check),), self._payload if payload is None else payload)


# -- JSON -----------------------------------------------------------------------------------------------------------


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TokenError(f"'{where}' is not an object")
    return cast("dict[str, object]", value)


def _list(value: object, where: str, *, least: int = 0, most: int | None = None) -> list[object]:
    if not isinstance(value, list):
        raise TokenError(f"'{where}' is not an array")
    if len(value) < least:
        raise TokenError(f"'{where}' is empty")
    if most is not None and len(value) > most:
        raise TokenError(f"'{where}' has {len(value)} entries, more than {most}")
    return value


def _moment(claims: Mapping[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"its '{name}' is not a number")
    try:
        moment = float(value)
    except OverflowError:
        moment = math.inf
    if not math.isfinite(moment):
        raise TokenError(f"its '{name}' is too large")
    return moment


def _checked(matcher: Matcher, where: str, check: CheckMatcher) -> Matcher:
    if not is_plain_text(matcher.value):
        # No topic can hold it, but those of targets.
        raise TokenError(f"'{where}' holds a control character")
    if matcher.kind is MatcherKind.URLPATTERN and len(matcher.value.encode()) > MAX_MATCHER_BYTES:
        raise TokenError(f"'{where}' is longer than {MAX_MATCHER_BYTES} bytes")
    try:
        check(matcher)
    except MatcherError as error:
        raise TokenError(f"'{where}' is not a matcher: {error}") from error
    return matcher


def _quoted(value: object) -> str:
    """Return a client's value fit for a log line: short, and without control characters."""
    if isinstance(value, str):
        return f"'{printable(value[:100])}'"
    return "missing" if value is None else f"a {type(value).__name__}"
