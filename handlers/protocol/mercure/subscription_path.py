"""What a request to the subscription API asks for, and in which dialect (reference 1.12, 2.1, 6.2 point 10).

Used by the door of the API, once the token is known. It reads paths; who may ask is not decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from handlers.errors import HubRefusal
from handlers.protocol.mercure.headers import Dialects
from handlers.protocol.mercure.matcher import MatcherKind
from handlers.protocol.mercure.update import ActiveSubscription

NOT_FOUND: Final = "404 page not found"

_ROOT: Final = b"/subscriptions"
_MALFORMED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SUBSCRIBER: Final = "urn:uuid:"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionQuery:
    """What is asked for: all subscriptions, those of one matcher, or, with `subscriber`, a single one.

    `value` None is all. `kind` None is any: older paths do not tell it. `legacy` is the shape of the answer.
    """

    legacy: bool
    kind: MatcherKind | None = None
    value: str | None = None
    subscriber: str | None = None

    @property
    def is_single(self) -> bool:
        """Whether one subscription is asked for, and its absence is a 404."""
        return self.subscriber is not None

    def selects(self, subscription: ActiveSubscription) -> bool:
        """Say whether `subscription` is asked for."""
        return (
            self.value in {None, subscription.matcher.value}
            and self.kind in {None, subscription.matcher.kind}
            and self.subscriber in {None, subscription.subscriber}
        )


def prefers_legacy(accept: bytes, *, has_legacy_token: bool) -> bool:
    """Say whether a client is of the older dialect, by its `Accept` or by its token."""
    return has_legacy_token or b"application/ld+json" in accept.lower()


def parse_subscriptions_path(rest: bytes, *, settings: Dialects, prefers_legacy: bool) -> SubscriptionQuery:
    """Parse `rest`, which is the path behind the hub's, still escaped and without its query.

    Raises HubRefusal 404 where there is nothing, and 400 for an unknown match type or a bad escape. `prefers_legacy`
    decides where the path alone does not: for the list of all subscriptions, and where the second of two segments may
    be an older subscriber or a topic that looks like one.
    """
    current = "1.0" in settings.protocols
    older = any(dialect != "1.0" for dialect in settings.protocols)
    prefers_legacy = older and (prefers_legacy or not current)
    if _MALFORMED.search(rest):
        raise HubRefusal(400, "Bad Request", reason="a percent sign without two hex digits")
    if rest == _ROOT:
        return SubscriptionQuery(legacy=prefers_legacy)
    if not rest.startswith(_ROOT + b"/"):
        raise _not_found()
    match [_decoded(segment) for segment in rest.removeprefix(_ROOT + b"/").split(b"/")]:
        case [topic] if older and topic:
            return SubscriptionQuery(legacy=True, value=topic)
        case [topic, subscriber] if older and _is_older(topic, subscriber, prefers_legacy=prefers_legacy):
            return SubscriptionQuery(legacy=True, value=topic, subscriber=subscriber)
        case [kind, value] if current:
            return SubscriptionQuery(legacy=False, kind=_kind(kind, has_selectors=older), value=value)
        case [kind, value, subscriber] if current and subscriber:
            known = _kind(kind, has_selectors=older)
            return SubscriptionQuery(legacy=False, kind=known, value=value, subscriber=subscriber)
        case _:
            raise _not_found()


def _is_older(topic: str, subscriber: str, *, prefers_legacy: bool) -> bool:
    """Say whether two segments are an older client's topic and subscriber, and not a match type and a value.

    Subscribers are told by how their ids begin. That `urn:uuid:...` is a topic, matched exactly, is likelier than that
    a topic is called `exact`, so for clients of the current dialect a match type is one.
    """
    return subscriber.startswith(_SUBSCRIBER) and (prefers_legacy or topic not in _KINDS)


def _kind(name: str, *, has_selectors: bool) -> MatcherKind:
    kind = _KINDS.get(name)
    if kind is None or (kind is MatcherKind.SELECTOR and not has_selectors):
        raise HubRefusal(400, "unsupported topic matcher type")
    return kind


_KINDS: Final = {kind.value: kind for kind in MatcherKind}


def _decoded(segment: bytes) -> str:
    """Undo the escapes, and nothing else: a plus is a plus. What is not UTF-8 equals no matcher's value."""
    return unquote_to_bytes(segment).decode("utf-8", "surrogateescape")


def _not_found() -> HubRefusal:
    return HubRefusal(404, NOT_FOUND)
