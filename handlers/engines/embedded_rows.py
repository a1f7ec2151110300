"""Updates as rows of the embedded history, and back.

Columns are text that an operator can read with any SQLite tool: lists and payloads are JSON, and a `retry`, which may
be larger than SQLite's integers, is its digits. Refuses text that is not Unicode (half a surrogate pair): such text
could be sent to nobody.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import msgspec

from handlers.engines.engine import Wanted
from handlers.errors import StorageError
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.update import ActiveSubscription, Presence, StoredUpdate, Update
from handlers.protocol.names import EventId, SubscriberId, Topic

READ_COLUMNS: Final = "seq, private, retry, type, id, topics, presence, data"
"""What `decode_rows` wants of a row, as arrays in a JSON array."""

_Read = tuple[int, int, str, str, EventId, str, str | None, str]
_rows: Final = msgspec.json.Decoder(list[_Read])
_topics: Final = msgspec.json.Decoder(tuple[str, ...])


class LiveKey(NamedTuple):
    """Which subscription it is."""

    subscriber: str
    kind: str
    value: str


class Row(NamedTuple):
    """An update without its place. `size` is what it counts for the limit by bytes."""

    at: float
    size: int
    private: int
    retry: str
    type: str
    id: str
    topics: str
    presence: str | None
    data: str
    key: LiveKey | None
    """The subscription that has come or gone."""
    payload: str | None
    """Its payload as JSON; None when it has gone."""


def encode_row(update: Update, *, at: float) -> Row:
    """Return `update` as a row. Raises StorageError for what can't be written."""
    try:
        presence, key, payload = _encode_presence(update.presence)
        topics = msgspec.json.encode(update.topics).decode()
        return Row(
            at=at,
            size=sum(len(text.encode()) for text in (update.id, topics, update.type, update.data, presence or "")),
            private=int(update.private),
            retry=str(update.retry),
            type=update.type,
            id=update.id,
            topics=topics,
            presence=presence,
            data=update.data,
            key=key,
            payload=payload,
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise StorageError(f"the update cannot be stored: {error}") from error


def decode_rows(array: bytes) -> tuple[StoredUpdate, ...]:
    """Return what a JSON array of rows of READ_COLUMNS holds. Raises StorageError when something else wrote it."""
    try:
        return tuple(_decode(row) for row in _rows.decode(array))
    except (msgspec.MsgspecError, ValueError) as error:
        raise StorageError(f"an update cannot be read: {error}") from error


def needles_of(wanted: Wanted) -> tuple[str, ...]:
    """Return texts of which the column `topics` holds at least one if a topic is wanted; mostly only then."""
    whole = (msgspec.json.encode(topic).decode() for topic in wanted.topics)
    begun = (msgspec.json.encode(beginning).decode()[:-1] for beginning in wanted.beginnings)
    return (*whole, *begun)


def decode_subscription(key: LiveKey, payload: str) -> ActiveSubscription:
    """Return the subscription of a row. Raises StorageError when something else wrote it."""
    try:
        return _subscription(key, json.loads(payload))
    except ValueError as error:
        raise StorageError(f"a subscription cannot be read: {error}") from error


def _decode(row: _Read) -> StoredUpdate:
    seq, private, retry, type_, id_, topics, presence, data = row
    update = Update(
        topics=tuple(map(Topic, _topics.decode(topics))),
        id=id_,
        data=data,
        private=bool(private),
        type=type_,
        retry=int(retry),
        presence=None if presence is None else _decode_presence(presence),
    )
    return StoredUpdate(seq=seq, update=update)


def _encode_presence(presence: Presence | None) -> tuple[str | None, LiveKey | None, str | None]:
    """Return the column, and what the table of live subscriptions is to know."""
    if presence is None:
        return None, None, None
    subscription = presence.subscription
    key = LiveKey(subscription.subscriber, subscription.matcher.kind.value, subscription.matcher.value)
    for text in key:
        text.encode()
    # The standard library's JSON: it gives back whatever a token's payload may hold, NaN and half pairs included.
    column = json.dumps((*key, presence.active, subscription.payload))
    return column, key, json.dumps(subscription.payload) if presence.active else None


def _decode_presence(column: str) -> Presence:
    subscriber, kind, value, active, payload = json.loads(column)
    return Presence(subscription=_subscription(LiveKey(subscriber, kind, value), payload), active=active)


def _subscription(key: LiveKey, payload: object) -> ActiveSubscription:
    return ActiveSubscription(
        subscriber=SubscriberId(key.subscriber), matcher=Matcher(MatcherKind(key.kind), key.value), payload=payload
    )
