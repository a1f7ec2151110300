"""What is told of active subscriptions: topics, documents, and the headers of the API (reference 1.12, 2.1, 2.4).

Each subscription has a name in either dialect, and each dialect its own document, so that watchers of both generations
are told of every subscription (reference 6.2 points 9 and 10). `presence` and the audience use the first half, the door
of the API the second; the API's paths are read by `subscription_path`.

The older names are escaped like the current ones, a space as `%20`. The reference hub writes `+` there, and its own
watchers, who subscribe by a URI template, then never hear of topics with a space (defect B7).

In current names, a subscription made with `topic` has `selector` in the place of the match type.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from handlers.protocol.http1 import Headers
from handlers.protocol.mercure.grants import Grants, TokenDialect
from handlers.protocol.mercure.headers import event_id_bytes
from handlers.protocol.mercure.link_header import encode_attribute, encode_hub_link
from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.mercure.update import ActiveSubscription, Presence, Update
from handlers.protocol.names import EventId, Topic

EVENT_TYPE: Final = "mercure"
"""The event type of what current watchers are told; older ones are told without one."""

CONTENT_TYPE: Final = b"application/json"
LEGACY_CONTENT_TYPE: Final = b"application/ld+json"

LONGEST_ID: Final = 1024
"""Bytes of an id that go into the API's headers. Nothing limits ids, but clients and proxies limit headers (B19)."""

# RFC 9110 section 8.8.3, and the percent sign, so that there is no doubt about what is escaped.
_NOT_IN_TAGS: Final = re.compile(rb'[\x00-\x20"%\x7f]')
_CONTEXT: Final = "https://mercure.rocks/"

_Document = dict[str, object]


# -- events ---------------------------------------------------------------------------------------------------------


def subscription_topics(hub_path: str, subscription: ActiveSubscription) -> tuple[Topic, Topic]:
    """Return the topics of a subscription, which are its names too: the current dialect's and the older one's."""
    match, subscriber = _escaped(subscription.matcher.value), _escaped(subscription.subscriber)
    root = f"{hub_path}/subscriptions"
    current = f"{root}/{subscription.matcher.kind.value}/{match}/{subscriber}"
    return Topic(current), Topic(f"{root}/{match}/{subscriber}")


def presence_update(hub_path: str, presence: Presence) -> Update:
    """Make the update that tells of a subscription; its id is the hub's to fill in."""
    return Update(
        topics=subscription_topics(hub_path, presence.subscription), id=EventId(""), private=True, presence=presence
    )


def encode_presence(hub_path: str, update: Update, *, legacy: bool) -> Update:
    """Return `update` as one watcher sees it, with its data and its type; any other update is returned as it is."""
    if update.presence is None:
        return update
    document = _document(hub_path, update.presence, legacy=legacy)
    if legacy:
        document = {"@context": _CONTEXT, **document}
    return replace(update, data=_encode(document), type="" if legacy else EVENT_TYPE)


def payload_for(matcher: Matcher, grants: Grants, matches: Callable[[Matcher, Topic], bool]) -> object:
    """Return the payload that a subscription is shown with: that of the first grant that matches it.

    What is matched is the subscription's own value, taken as a topic. A legacy token has one payload, shown with every
    subscription: where no grant matches, that of its grant without matchers counts.
    """
    topic = Topic(matcher.value)
    for grant in grants.subscribe:
        if any(matches(granted, topic) for granted in grant.matchers):
            return grant.payload
    if grants.dialect is TokenDialect.LEGACY:
        return next((grant.payload for grant in grants.subscribe if not grant.matchers), None)
    return None


# -- the API --------------------------------------------------------------------------------------------------------


def encode_collection(
    hub_path: str, subscriptions: Iterable[ActiveSubscription], *, path: str, last_event_id: EventId, legacy: bool
) -> bytes:
    """Encode a list of active subscriptions. `path` is the request's, as it stood there, without its query."""
    members = [_document(hub_path, _active(each), legacy=legacy) for each in subscriptions]
    document: _Document
    if legacy:
        document = {"@context": _CONTEXT, "id": path, "type": "Subscriptions", "lastEventID": last_event_id}
    else:
        document = {"id": path, "type": "subscriptions"}
    return _encode({**document, "subscriptions": members}).encode()


def encode_subscription(
    hub_path: str, subscription: ActiveSubscription, *, last_event_id: EventId, legacy: bool
) -> bytes:
    """Encode one active subscription: what the event of its coming said."""
    document = _document(hub_path, _active(subscription), legacy=legacy)
    if legacy:
        payload = {"payload": document.pop("payload")} if "payload" in document else {}
        document = {"@context": _CONTEXT, **document, "lastEventID": last_event_id, **payload}
    return _encode(document).encode()


def api_headers(event_id: EventId, hub_path: str, *, legacy: bool) -> Headers:
    """Return the headers of an answer of the API, which the hub's last event id (or `earliest`) goes with."""
    tag = etag_of(event_id, legacy=legacy)
    if legacy:
        return (b"Content-Type", LEGACY_CONTENT_TYPE), (b"ETag", tag)
    return (b"Content-Type", CONTENT_TYPE), (b"ETag", tag), (b"Link", link_of(event_id, hub_path))


def etag_of(event_id: EventId, *, legacy: bool) -> bytes:
    """Encode the entity tag of whatever the API says now: the last event id, for older clients without quotes.

    A long id is replaced by its digest.
    """
    tag = event_id.encode("utf-8", "replace")
    if len(tag) > LONGEST_ID:
        tag = hashlib.sha256(tag).hexdigest().encode()
    if legacy:
        return event_id_bytes(EventId(tag.decode()))
    return b'"%b"' % _NOT_IN_TAGS.sub(lambda found: b"%%%02X" % found[0][0], tag)


def is_unchanged(if_none_match: bytes | None, event_id: EventId, *, legacy: bool) -> bool:
    """Say whether the answer is 304. The header is compared as one whole; older clients may leave the quotes out."""
    if if_none_match is None:
        return False
    known = {etag_of(event_id, legacy=False)}
    if legacy:
        known.add(etag_of(event_id, legacy=True))
    return if_none_match in known


def link_of(event_id: EventId, hub_path: str) -> bytes:
    """Encode the link to the hub, with the cursor that a client goes on from. A long id is left out."""
    link = encode_hub_link(hub_path)
    cursor = event_id_bytes(event_id)
    if len(cursor) <= LONGEST_ID:
        link += encode_attribute(b"last-event-id", cursor)
    return link + encode_attribute(b"type", EVENT_TYPE.encode()) + encode_attribute(b"content-type", CONTENT_TYPE)


# -- documents ------------------------------------------------------------------------------------------------------


def _active(subscription: ActiveSubscription) -> Presence:
    return Presence(subscription=subscription, active=True)


def _document(hub_path: str, presence: Presence, *, legacy: bool) -> _Document:
    """Return a subscription's members, in their order."""
    subscription = presence.subscription
    kind, value = subscription.matcher
    current_id, legacy_id = subscription_topics(hub_path, subscription)
    document: _Document = {
        "id": legacy_id if legacy else current_id,
        "type": "Subscription" if legacy else "subscription",
        "subscriber": subscription.subscriber,
    }
    if legacy or subscription.matcher.is_legacy:
        document["topic"] = value
    else:
        document |= {"match": value, "match_type": kind.value}
    document["active"] = presence.active
    if subscription.payload is not None:
        document["payload"] = subscription.payload
    return document


def _escaped(text: str) -> str:
    """Escape all but the unreserved characters of RFC 3986, the slash and the plus too."""
    return quote(text, safe="")


def _encode(document: _Document) -> str:
    # A token's payload may hold half a surrogate pair, which JSON can spell and UTF-8 cannot.
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return text if _is_encodable(text) else json.dumps(document, indent=2)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
