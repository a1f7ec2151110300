"""What a subscriber asks for, by GET or by QUERY, in either dialect (reference 1.3, 1.11, 2.1, 6.2).

Called by the clients' door in two steps, for a subscriber with a bad token and a bad matcher is told of the token:
`read_parameters` before the token is looked at, `check_matchers` after it. Whether a pattern compiles is
`matching.Matching.check`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from handlers.errors import HubRefusal
from handlers.protocol.mercure.form import Pairs, first_value, parse_form, values_of
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.selector import count_variables
from handlers.protocol.mercure.text import is_plain_text, quote_go
from handlers.protocol.mercure.url_pattern import count_dynamic

MAX_MATCHER_BYTES: Final = 4096
MAX_SELECTORS: Final = 1000
MAX_QUERY_BODY: Final = 65_536
"""Bytes of a QUERY's body, which is read before its token is: what nobody has vouched for has to be small."""
MAX_NAME_ANSWERED: Final = 100
MAX_NAME_LOGGED: Final = 20
"""Characters of a name that is not understood: it may be a token that went astray, and its beginning tells nothing."""
MAX_PATTERN_BYTES: Final = 32 * 1024
MAX_DYNAMIC: Final = 256
"""Variables, names, wildcards and groups of all patterns of a request ..."""
ORDINARY: Final = 100
"""... where no more matchers are allowed; a higher `matcher_limit` raises all three limits."""
MAX_SIZE: Final = 40_960
"""Instructions of the regular expressions that these become: tens of milliseconds."""
TOO_COMPLEX: Final = "topic matcher patterns too complex in all"
MAX_POLL: Final = 300.0
DEFAULT_POLL: Final = 25.0

_KINDS: Final = {
    "match": MatcherKind.EXACT,
    "match_exact": MatcherKind.EXACT,
    "match_urlpattern": MatcherKind.URLPATTERN,
}
_SECONDS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,9})?")


class SubscribingSettings(Protocol):
    """What of the hub's settings decides how a subscriber is understood (`handlers.hub.settings.HubSettings`)."""

    @property
    def protocols(self) -> Sequence[str]: ...  # noqa: D102  # documented where they are set

    @property
    def speaks_current(self) -> bool: ...  # noqa: D102

    @property
    def speaks_selectors(self) -> bool: ...  # noqa: D102

    @property
    def matcher_limit(self) -> int: ...  # noqa: D102

    @property
    def body_limit(self) -> int: ...  # noqa: D102

    @property
    def subscriptions(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeRequest:
    """A subscription, as far as parameters tell. Its values are unchecked until `check_matchers` has let it pass."""

    matchers: tuple[Matcher, ...]
    """By name of parameter, then in order of appearance; duplicates stay."""

    cursor: str | None
    """The id to begin after. Empty: there was a cursor, and it was empty. None: there was none. Always valid UTF-8."""

    speaks_current: bool
    """Whether there are matchers of 1.0."""

    speaks_legacy: bool
    """Whether there are matchers of the older dialects; there may be both."""

    poll: float | None = None
    """Seconds to wait for an update, in the place of a stream. Our own; a strict 1.0 hub does not know it."""

    tokens: tuple[str, ...] = field(default=(), repr=False)
    """All values of the older dialects' parameter for a token; none where these are not spoken."""

    unknown: str | None = None
    """The first name that begins as a matcher's and is none, as it came; `check_matchers` refuses it."""

    fault: str = ""
    """What is wrong with `poll`; `check_matchers` refuses it."""


def query_limit(settings: SubscribingSettings) -> int:
    """Return how many bytes the body of a QUERY may have."""
    return min(settings.body_limit, MAX_QUERY_BODY)


def size_limit(settings: SubscribingSettings) -> float:
    """Return how many instructions the patterns of a request may have, compiled."""
    return MAX_SIZE * _room(settings.matcher_limit)


def read_parameters(
    query: bytes, body: bytes | None, last_event_id: bytes | None, *, settings: SubscribingSettings
) -> SubscribeRequest:
    """Read the parameters of a GET (`body` None) or of a QUERY. `last_event_id` is the header, None without it.

    Raises HubRefusal for a body that is too large or malformed, and for nothing else. Malformed pairs of the query
    string are dropped.
    """
    pairs = parse_form(query, strict=False) + _parse_body(body, settings)
    matchers, unknown = _read_matchers(pairs, settings)
    poll, fault = _read_poll(pairs) if settings.speaks_selectors else (None, "")
    return SubscribeRequest(
        matchers=matchers,
        cursor=_read_cursor(pairs, last_event_id, settings),
        speaks_current=any(not matcher.is_legacy for matcher in matchers),
        speaks_legacy=any(matcher.is_legacy for matcher in matchers),
        poll=poll,
        tokens=values_of(pairs, "authorization") if settings.speaks_selectors else (),
        unknown=unknown,
        fault=fault,
    )


def check_matchers(request: SubscribeRequest, settings: SubscribingSettings) -> None:
    """Raise HubRefusal unless there are matchers, not too many, and each of them could name a topic."""
    if request.unknown is not None:
        raise _unknown_name(request.unknown)
    if request.fault:
        raise HubRefusal(400, request.fault)
    if not request.matchers:
        current = settings.speaks_current
        raise HubRefusal(400, 'missing "match" subscription parameter' if current else 'Missing "topic" parameter.')
    selectors = sum(matcher.is_legacy for matcher in request.matchers)
    # Where subscriptions are told of, each makes updates as it comes and goes, whatever its dialect.
    counted = len(request.matchers) - (0 if settings.subscriptions else selectors)
    if counted > settings.matcher_limit:
        raise HubRefusal(400, f"too many matchers (max {settings.matcher_limit})")
    if selectors > MAX_SELECTORS:
        raise HubRefusal(400, 'Too many "topic" parameters.')
    for matcher in request.matchers:
        _check_value(matcher.value, is_told=settings.subscriptions)
    _check_patterns(tuple(matcher for matcher in request.matchers if matcher.is_pattern), settings.matcher_limit)


def _room(matcher_limit: int) -> float:
    return max(1.0, matcher_limit / ORDINARY)


def _check_patterns(patterns: tuple[Matcher, ...], limit: int) -> None:
    """Raise HubRefusal for more patterns, of whatever dialect, than anybody should compile for one request."""
    if len(patterns) > limit:
        raise HubRefusal(400, f"too many matchers (max {limit})")
    room = _room(limit)
    size = sum(len(each.value.encode()) for each in patterns)
    dynamic = sum((count_variables if each.is_legacy else count_dynamic)(each.value) for each in patterns)
    if size > MAX_PATTERN_BYTES * room or dynamic > MAX_DYNAMIC * room:
        raise HubRefusal(400, TOO_COMPLEX, reason=f"{size} bytes of patterns with {dynamic} dynamic parts")


def _check_value(value: str, *, is_told: bool) -> None:
    if len(value.encode("utf-8", "surrogateescape")) > MAX_MATCHER_BYTES:
        raise HubRefusal(400, f"pattern too long (max {MAX_MATCHER_BYTES} bytes)")
    # Selectors too, though older hubs let them pass: with NUL they could name the topics of targets.
    if not is_plain_text(value):
        raise HubRefusal(400, "topic matcher values must be valid UTF-8 without control characters")
    if is_told and value in {".", ".."}:
        # URL parsers drop it from a subscription's topic, `.../VALUE/SUBSCRIBER`: watchers would never hear of it.
        raise HubRefusal(400, f'"{value}": a topic matcher of this value is refused where subscriptions are told of')


def _parse_body(body: bytes | None, settings: SubscribingSettings) -> Pairs:
    if body is None:
        return ()
    if len(body) > query_limit(settings):
        raise HubRefusal(413, "Request Entity Too Large")
    try:
        return parse_form(body, strict=True)
    except ValueError as error:
        raise HubRefusal(400, "Bad Request", reason=str(error)) from error


def _unknown_name(name: str) -> HubRefusal:
    text = "unknown topic matcher query parameter: "
    hint = ' (use "match" or "match_urlpattern")' if name == "topic" else ""
    answered, logged = quote_go(name[:MAX_NAME_ANSWERED]), quote_go(name[:MAX_NAME_LOGGED])
    return HubRefusal(400, f"{text}{answered}{hint}", reason=f"{text}{logged}{hint}")


def _read_matchers(pairs: Pairs, settings: SubscribingSettings) -> tuple[tuple[Matcher, ...], str | None]:
    """Return the matchers, and the first name in lexical order that is no matcher's."""
    matchers: list[Matcher] = []
    for name, value in sorted(pairs, key=lambda pair: pair[0]):
        if name == "topic":
            if settings.speaks_selectors:
                matchers.append(Matcher(MatcherKind.SELECTOR, value))
            else:
                return (), name
        elif settings.speaks_current and name[:5].lower() == "match":
            kind = _KINDS.get(name)
            if kind is None:
                return (), name
            matchers.append(Matcher(kind, value))
    return tuple(matchers), None


def _read_cursor(pairs: Pairs, header: bytes | None, settings: SubscribingSettings) -> str | None:
    """Return the first cursor that is not empty, of the header and of the parameters that the hub's dialects have."""
    names = ["last_event_id"]
    if settings.speaks_selectors:
        # What a popular polyfill adds when it reconnects. It is newer than the cursor that the page's URL began with.
        names.insert(0, "lastEventId")
        names.append("lastEventID")
        if not {"7", "2019"}.isdisjoint(settings.protocols):
            names.append("Last-Event-ID")
    sent = None if header is None else _decode_header(header)
    given = [value for value in (sent, *(first_value(pairs, name) for name in names)) if value is not None]
    if not given:
        return None
    # What is not UTF-8 is no event's id, but it must not be taken for no cursor either, nor trouble a database.
    return next(filter(None, given), "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _decode_header(value: bytes) -> str:
    """Decode an id: EventSource sends UTF-8, and what is built on fetch Latin-1, as far as that goes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _read_poll(pairs: Pairs) -> tuple[float | None, str]:
    """Return how long to wait, and what is wrong with the parameter."""
    text = first_value(pairs, "poll")
    if text is None:
        return None, ""
    if not text:
        return DEFAULT_POLL, ""
    if not _SECONDS.fullmatch(text) or float(text) > MAX_POLL:
        return None, 'Invalid "poll" parameter'
    return float(text), ""
