"""Publications to the Mercure hub, on whichever port they come in (reference 1.7).

Authorises, reads and checks a publication, hands its updates to the hub, and says what they are called once they are
stored. Knows nothing of connections: the publish port calls it, and so does the clients' door for the hub's own path,
through the composition root.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from handlers.errors import Busy, Challenge, HubRefusal, StorageError
from handlers.hub.auth import Authority, Role
from handlers.hub.hub import Hub, bare_event_id
from handlers.hub.publication import Publication
from handlers.hub.settings import HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers
from handlers.protocol.mercure.dot_segments import has_dot_segments
from handlers.protocol.mercure.grants import Token, TokenDialect
from handlers.protocol.mercure.headers import TEXT_HEADERS
from handlers.protocol.mercure.publishing import PublishRequest, is_2019, is_form, make_update, read_publication
from handlers.protocol.mercure.target import target_topic
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.names import EventId
from publish_api.protocol.publish_grants import PublishGrants

JSON: Headers = ((b"Content-Type", b"application/json"),)


class MercurePublishing:
    """Takes publications. May be called any number of times at once."""

    def __init__(self, *, hub: Hub, authority: Authority, settings: HubSettings) -> None:
        self._hub = hub
        self._authority = authority
        self._settings = settings
        self._matching = hub.audience.matching

    @property
    def is_open(self) -> bool:
        """Whether there is a key that publishers' tokens could be verified with."""
        return self._authority.has_keys(Role.PUBLISHER)

    @property
    def is_healthy(self) -> bool:
        """Whether the history could be written when that was last tried."""
        return self._hub.is_healthy

    async def publish(self, publication: Publication) -> Answer:
        """Publish, and return the answer: the id, once the update is stored. Raises HubRefusal.

        A publisher that leaves meanwhile does not take back what it has sent (row P23): whoever calls this must not
        cancel it then. From the moment the body is here, nothing is awaited until the hub has the updates.
        """
        token = await self._authority.check(publication.shown, Role.PUBLISHER, resource=publication.resource)
        if token is None:
            raise HubRefusal(401, "Unauthorized", challenge=Challenge.NO_TOKEN, reason="no token")
        body = await publication.read()
        updates, is_list = self._read(publication, body, token)
        try:
            self._hub.check_room(len(updates))
        except Busy as error:
            raise refused_as_busy(error) from error
        futures = [self._hub.publish(update) for update in updates]
        return encode_ids(await settled(futures), is_list=is_list)

    def _read(self, publication: Publication, body: bytes, token: Token) -> tuple[tuple[Update, ...], bool]:
        """Check everything before anything is published: of a list, all updates are or none is."""
        is_old_path = publication.is_old_path
        requests = read_publication(publication.content_type, body, self._settings, is_old_path=is_old_path)
        is_list = not is_form(publication.content_type) and body.lstrip().startswith(b"[")
        granted = PublishGrants(token.grants.publish or (), self._matching)
        updates = []
        for request in requests:
            by_targets = is_2019(request, self._settings, is_old_path=is_old_path)
            self._check_scope(token, granted, request)
            update = make_update(
                request,
                hub_path=self._settings.path,
                settings=self._settings,
                legacy_token=token.grants.dialect is TokenDialect.LEGACY,
                is_2019=by_targets,
            )
            self._hub.audience.check_cost(update.topics)
            # Generated ids had no `urn:uuid:` in front then (row P27).
            updates.append(replace(update, id=bare_event_id()) if by_targets and not update.id else update)
        return tuple(updates), is_list

    def _check_scope(self, token: Token, granted: PublishGrants, request: PublishRequest) -> None:
        """Raise HubRefusal unless the token lets its bearer publish this (reference 1.9.4, 2.1, 2.3, 3)."""
        is_legacy = token.grants.dialect is TokenDialect.LEGACY
        if is_legacy and token.grants.publish is None:
            reason = f"{token.name}: the token has no publish claim"
            raise HubRefusal(401, "Unauthorized", challenge=Challenge.INVALID_TOKEN, reason=reason)
        topics = request.topics if not is_legacy or self._needs_topics(request) else ()
        for topic in (*topics, *map(target_topic, request.targets)):
            is_granted, why = granted.allow(topic), ""
            if is_granted and is_legacy and self._settings.speaks_current and has_dot_segments(topic):
                is_granted = granted.name(topic)
                why = ": it has dot segments, so that it takes a grant of the topic itself"
            if not is_granted:
                reason = f"{token.name}: the token does not allow to publish to {topic:.200}{why}"
                raise HubRefusal(403, "Forbidden", challenge=Challenge.INSUFFICIENT_SCOPE, reason=reason)

    def _needs_topics(self, request: PublishRequest) -> bool:
        """Whether a token from before 1.0 has to grant the topics, too: where 8 is spoken, and for private updates 7.

        What has targets is private. That the dialect of 2019 is spoken beside does not open what these close.
        """
        if "7" in self._settings.protocols:
            return request.private or bool(request.targets)
        return "8" in self._settings.protocols


async def settled(futures: Sequence[asyncio.Future[StoredUpdate]]) -> Sequence[StoredUpdate | BaseException]:
    """Wait until all are done; return what became of each. A caller that is cancelled takes back nothing."""
    if len(futures) > 1:
        return await asyncio.shield(asyncio.gather(*futures, return_exceptions=True))
    try:
        return (await futures[0],)
    except (StorageError, Busy) as error:
        return (error,)


def refused_as_busy(error: Busy) -> HubRefusal:
    """Return the answer to a publication that there is no room for now."""
    return HubRefusal(503, "Service Unavailable", reason=str(error), retry_after=error.retry_after)


def encode_ids(outcomes: Sequence[StoredUpdate | BaseException], *, is_list: bool) -> Answer:
    """Return the answer to a publication: its id, of a list all ids. Raises HubRefusal (500) if one is not stored."""
    ids: list[EventId] = []
    for outcome in outcomes:
        if isinstance(outcome, StorageError):
            raise HubRefusal(500, "Internal Server Error", reason=f"not stored: {outcome}") from outcome
        if isinstance(outcome, Busy):
            raise refused_as_busy(outcome) from outcome
        if isinstance(outcome, BaseException):
            raise outcome
        ids.append(outcome.update.id)
    if is_list:
        return Answer(status=200, reason=b"OK", headers=JSON, body=msgspec.json.encode(ids))
    return Answer(status=200, reason=b"OK", headers=TEXT_HEADERS, body=ids[0].encode())
