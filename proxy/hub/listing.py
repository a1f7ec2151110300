"""The API that lists active subscriptions (reference 1.12; 2.1 for the older shape)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from handlers.errors import Challenge, HubRefusal, StorageError
from handlers.hub.auth import Authority, Role
from handlers.hub.hub import Hub
from handlers.hub.settings import HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.mercure.form import parse_form, values_of
from handlers.protocol.mercure.grants import Token, TokenDialect
from handlers.protocol.mercure.headers import TEXT_HEADERS
from handlers.protocol.mercure.subscription import (
    api_headers,
    encode_collection,
    encode_subscription,
    etag_of,
    is_unchanged,
)
from handlers.protocol.mercure.subscription_path import (
    NOT_FOUND,
    SubscriptionQuery,
    parse_subscriptions_path,
    prefers_legacy,
)
from handlers.protocol.mercure.update import ActiveSubscription
from handlers.protocol.names import EventId, Topic
from proxy.hub.request import HubRequest


class Roll(Protocol):
    """Who knows of every subscriber: the hub of this process, or a parent that knows those of several."""

    async def call_roll(self) -> tuple[tuple[ActiveSubscription, ...], EventId]:
        """Return all subscriptions in the order of their coming, and the id of the last update delivered then.

        Raises StorageError when that cannot be found out any more.
        """
        ...


class LocalRoll:
    """The subscribers of this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def call_roll(self) -> tuple[tuple[ActiveSubscription, ...], EventId]:
        """Return what those who are connected have subscribed to."""
        sessions = self._hub.audience.subscribers
        subscriptions = tuple(subscription for session in sessions for subscription in session.subscriber.subscriptions)
        return subscriptions, self._hub.last_id


class Listing:
    """Answers requests for what is subscribed to now."""

    def __init__(self, *, hub: Hub, authority: Authority, settings: HubSettings, roll: Roll) -> None:
        self._hub = hub
        self._roll = roll
        self._authority = authority
        self._settings = settings

    async def answer(self, request: HubRequest, rest: bytes) -> None:
        """Answer a GET; `rest` is the path behind the hub's. Raises HubRefusal."""
        token = await self._check_token(request)
        is_legacy_token = token.grants.dialect is TokenDialect.LEGACY
        legacy_by_hand = prefers_legacy(request.header(b"accept") or b"", has_legacy_token=is_legacy_token)
        query = parse_subscriptions_path(rest, settings=self._settings, prefers_legacy=legacy_by_hand)
        subscriptions, last_id = await self._call_roll()
        if is_unchanged(request.header(b"if-none-match"), last_id, legacy=query.legacy):
            tag = (b"ETag", etag_of(last_id, legacy=query.legacy))
            request.answer(Answer(status=304, reason=b"Not Modified", headers=(tag,), body=b""))
            return
        # Of ten thousand subscriptions that takes a third of a second, in which others would wait.
        path = request.path.decode("latin-1")
        status, body = await asyncio.to_thread(self._encode, query, path, subscriptions, last_id)
        headers = api_headers(last_id, self._settings.path, legacy=query.legacy)
        if status == 404:
            headers = (*TEXT_HEADERS, *headers[1:])
        reason = b"OK" if status == 200 else b"Not Found"
        request.answer(Answer(status=status, reason=reason, headers=headers, body=body))

    def _encode(
        self, query: SubscriptionQuery, path: str, subscriptions: tuple[ActiveSubscription, ...], last_id: EventId
    ) -> tuple[int, bytes]:
        found = tuple(each for each in subscriptions if query.selects(each))
        if not query.is_single:
            body = encode_collection(self._settings.path, found, path=path, last_event_id=last_id, legacy=query.legacy)
            return 200, body
        if not found:
            return 404, b"" if query.legacy else NOT_FOUND.encode() + b"\n"
        body = encode_subscription(self._settings.path, found[0], last_event_id=last_id, legacy=query.legacy)
        return 200, body

    async def _call_roll(self) -> tuple[tuple[ActiveSubscription, ...], EventId]:
        try:
            return await self._roll.call_roll()
        except StorageError as error:
            raise HubRefusal(500, "Internal Server Error", reason=f"subscribers not known: {error}") from error

    async def _check_token(self, request: HubRequest) -> Token:
        """Return a token that may read the document at this path, as it stands in the request. Raises HubRefusal."""
        tokens: tuple[str, ...] = ()
        if self._settings.speaks_selectors:
            tokens = values_of(parse_form(request.query, strict=False), "authorization")
        token = await self._authority.check(request.shown(tokens), Role.SUBSCRIBER, resource=request.resource)
        if token is None:
            raise HubRefusal(401, "Unauthorized", challenge=Challenge.NO_TOKEN, reason="no token")
        name = request.path
        if token.grants.dialect is TokenDialect.LEGACY and not self._settings.speaks_current and request.query:
            name += b"?" + request.query  # before 1.0, the whole of the URI was what had to be granted (row L16)
        topic = Topic(name.decode("latin-1"))
        if not any(self._hub.audience.matching.matches(matcher, topic) for matcher in token.grants.readable):
            reason = f"{token.name}: the token does not allow to read {topic:.200}"
            raise HubRefusal(403, "Forbidden", challenge=Challenge.INSUFFICIENT_SCOPE, reason=reason)
        return token
