"""What a parent and its workers say to each other, as msgpack: one message a frame, tagged by its kind.

`handlers.links` sends and receives. Both ends are of one release and one machine, so there is no version in it. What is
sent down is counted by both sides, and `Ack` says how much of it has been handled; what is sent up is not.

Updates go as rows: what tokens and publishers may say (numbers without end, half a surrogate pair in a payload) is more
than msgpack can carry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from handlers.protocol.carried_items import carry_items, uncarry_items
from handlers.protocol.items import Item
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.update import ActiveSubscription, Presence, StoredUpdate, Update
from handlers.protocol.names import EventId, SubscriberId, Topic
from handlers.protocol.observed import Observed
from handlers.protocol.survey import Findings, Question


class LinkError(ValueError):
    """Bytes that are no message of this direction, or a value that cannot be made one."""


class UpdateRow(NamedTuple):
    """An update. `retry` is its digits, `presence` JSON."""

    topics: tuple[Topic, ...]
    id: EventId
    data: str
    private: bool
    type: str
    retry: str
    presence: str | None


class StoredRow(NamedTuple):
    """An update with its place."""

    seq: int
    update: UpdateRow


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What all messages have in common."""


# -- down: from the parent to a worker --------------------------------------------------------------------------------


class Welcome(Message, frozen=True, array_like=True, tag="W"):
    """The first message: from here on the worker gets everything. Place and id of the last update before that."""

    last_seq: int
    last_id: EventId


class Items(Message, frozen=True, array_like=True, tag="I"):
    """Items for the channels, in their order. With `once`, each session gets the first that reaches it.

    `is_carried` says that names had to be carried (`carried_name`); it is for this module alone.
    """

    items: tuple[Item, ...]
    once: bool = False
    is_carried: bool = False


class Committed(Message, frozen=True, array_like=True, tag="C"):
    """Updates that are stored, in the order of the hub."""

    rows: tuple[StoredRow, ...]

    @property
    def batch(self) -> tuple[StoredUpdate, ...]:
        """The updates."""
        return read_stored(self.rows)


class Stored(Message, frozen=True, array_like=True, tag="S"):
    """Answers an update of `Append`: it is stored, and a `Committed` before this had it."""

    number: int
    seq: int


class Refused(Message, frozen=True, array_like=True, tag="X"):
    """Answers any request: it failed. With `retry_after`, seconds, it is only not possible now."""

    number: int
    text: str
    retry_after: int = 0


class Place(Message, frozen=True, array_like=True, tag="P"):
    """Answers `Find` and `Oldest`."""

    number: int
    seq: int | None


class Page(Message, frozen=True, array_like=True, tag="R"):
    """Answers `Read`."""

    number: int
    rows: tuple[StoredRow, ...]

    @property
    def updates(self) -> tuple[StoredUpdate, ...]:
        """The updates."""
        return read_stored(self.rows)


class Selected(Message, frozen=True, array_like=True, tag="E"):
    """Answers `Select`."""

    number: int
    rows: tuple[StoredRow, ...]
    reached: int
    is_trimmed: bool

    @property
    def updates(self) -> tuple[StoredUpdate, ...]:
        """The updates."""
        return read_stored(self.rows)


class Roll(Message, frozen=True, array_like=True, tag="L"):
    """Answers `CallRoll`: every subscription at every worker as JSON, and the id of the update delivered last."""

    number: int
    subscriptions: tuple[str, ...]
    last_id: EventId


class Ask(Message, frozen=True, array_like=True, tag="Q"):
    """Say what is found among the connections held (`handlers.survey`). Its number is the parent's."""

    number: int
    question: Question


class Recover(Message, frozen=True, array_like=True, tag="V"):
    """Have held connections ask their backends again (`Edge.recover`)."""


class Reload(Message, frozen=True, array_like=True, tag="H"):
    """Load the routes again."""


class Drain(Message, frozen=True, array_like=True, tag="T"):
    """End all clients in good order, then say `Bye`."""


class Ping(Message, frozen=True, array_like=True, tag="N"):
    """Nothing: so that there is something to acknowledge."""


class Farewell(Message, frozen=True, array_like=True, tag="F"):
    """Everything up to `Bye` or `Failed` has been seen: the worker may end."""


Reply = Stored | Refused | Place | Page | Selected | Roll
Down = Welcome | Items | Committed | Reply | Ask | Recover | Reload | Drain | Ping | Farewell


# -- up: from a worker to the parent ----------------------------------------------------------------------------------


class Hello(Message, frozen=True, array_like=True, tag="h"):
    """The first message: the worker can be sent to."""


class Ready(Message, frozen=True, array_like=True, tag="r"):
    """The worker listens."""


class Failed(Message, frozen=True, array_like=True, tag="f"):
    """The worker cannot start. `text` is for the operator."""

    text: str


class Ack(Message, frozen=True, array_like=True, tag="a"):
    """So many messages have been handled since the first."""

    handled: int


class Append(Message, frozen=True, array_like=True, tag="u"):
    """Store updates, all of them in this order; their numbers are `first` and the following."""

    first: int
    rows: tuple[UpdateRow, ...]

    @property
    def updates(self) -> tuple[Update, ...]:
        """The updates."""
        return tuple(map(read_update, self.rows))


class Find(Message, frozen=True, array_like=True, tag="i"):
    """`Engine.find`."""

    number: int
    event_id: EventId


class Read(Message, frozen=True, array_like=True, tag="p"):
    """`Engine.read`."""

    number: int
    after: int
    upto: int
    limit: int
    with_presence: bool


class Select(Message, frozen=True, array_like=True, tag="s"):
    """`Engine.select`; `topics` and `beginnings` are those of `Wanted`."""

    number: int
    after: int
    upto: int
    limit: int
    topics: tuple[str, ...]
    beginnings: tuple[str, ...]
    with_presence: bool


class Oldest(Message, frozen=True, array_like=True, tag="o"):
    """`Engine.oldest`."""

    number: int


class CallRoll(Message, frozen=True, array_like=True, tag="l"):
    """Who is subscribed to what, at all workers."""

    number: int


class Reloaded(Message, frozen=True, array_like=True, tag="d"):
    """The routes have been loaded again."""


class Told(Message, frozen=True, array_like=True, tag="q"):
    """Answers `Ask`."""

    number: int
    findings: Findings


class Seen(Message, frozen=True, array_like=True, tag="e"):
    """What has happened to channels and connections, and to items; only where an observer of the parent's asks."""

    events: tuple[Observed, ...]


class Counts(Message, frozen=True, array_like=True, tag="c"):
    """What the worker has counted since its start, by the names of `handlers.counters`."""

    values: dict[str, int]


class Bye(Message, frozen=True, array_like=True, tag="b"):
    """The worker has ended its clients, and says nothing more."""


Request = Append | Find | Read | Select | Oldest | CallRoll
Up = Hello | Ready | Failed | Ack | Request | Reloaded | Told | Seen | Counts | Bye

_encoder = msgspec.msgpack.Encoder()
_down: msgspec.msgpack.Decoder[Down] = msgspec.msgpack.Decoder(Down)
_up: msgspec.msgpack.Decoder[Up] = msgspec.msgpack.Decoder(Up)


def encode_down(message: Down) -> bytes:
    """Return a message for a worker. Raises LinkError for text that is not Unicode, but in names of items."""
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:
        # Nobody pays for such names but who uses them.
        return _encode(Items(carry_items(message.items), message.once, True) if isinstance(message, Items) else message)
    except OverflowError as error:
        raise LinkError(f"cannot be sent: {error}") from error


def encode_up(message: Up) -> bytes:
    """Return a message for the parent. Raises LinkError for text that is not Unicode."""
    return _encode(message)


def parse_down(data: bytes) -> Down:
    """Read a message of the parent. Raises LinkError."""
    try:
        message = _down.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LinkError(f"no message of a parent: {error}") from error
    if isinstance(message, Items) and message.is_carried:
        return Items(uncarry_items(message.items), message.once)
    return message


def parse_up(data: bytes) -> Up:
    """Read a message of a worker. Raises LinkError."""
    try:
        return _up.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LinkError(f"no message of a worker: {error}") from error


def update_row(update: Update) -> UpdateRow:
    """Return what `read_update` reads. Raises LinkError for a number or a payload that has no text."""
    presence = None
    try:
        if update.presence is not None:
            presence = json.dumps((update.presence.active, *_subscription_fields(update.presence.subscription)))
        retry = str(update.retry)
    except (ValueError, TypeError, RecursionError) as error:
        raise LinkError(f"cannot be sent: {error}") from error
    return UpdateRow(update.topics, update.id, update.data, update.private, update.type, retry, presence)


def read_update(row: UpdateRow) -> Update:
    """Return the update of a row. Raises LinkError for one that `update_row` has not made."""
    try:
        return Update(
            topics=row.topics,
            id=row.id,
            data=row.data,
            private=row.private,
            type=row.type,
            retry=int(row.retry),
            presence=None if row.presence is None else _read_presence(row.presence),
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise LinkError(f"no update: {error}") from error


def stored_rows(batch: Iterable[StoredUpdate]) -> tuple[StoredRow, ...]:
    """Return what `read_stored` reads."""
    return tuple([StoredRow(stored.seq, update_row(stored.update)) for stored in batch])


def read_stored(rows: Iterable[StoredRow]) -> tuple[StoredUpdate, ...]:
    """Return the updates of rows. Raises LinkError."""
    return tuple([StoredUpdate(seq=row.seq, update=read_update(row.update)) for row in rows])


def encode_subscription(subscription: ActiveSubscription) -> str:
    """Return a subscription of a `Roll`."""
    # The standard library's JSON: it gives back whatever a token's payload may hold, NaN and half pairs included.
    return json.dumps(_subscription_fields(subscription))


def parse_subscription(text: str) -> ActiveSubscription:
    """Read a subscription of a `Roll`. Raises LinkError."""
    try:
        return _read_subscription(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise LinkError(f"no subscription: {error}") from error


def _encode(message: Message) -> bytes:
    try:
        return _encoder.encode(message)
    except (UnicodeEncodeError, OverflowError) as error:
        raise LinkError(f"cannot be sent: {error}") from error


def _subscription_fields(subscription: ActiveSubscription) -> tuple[str, str, str, object]:
    matcher = subscription.matcher
    return subscription.subscriber, matcher.kind.value, matcher.value, subscription.payload


def _read_presence(text: str) -> Presence:
    active, *fields = json.loads(text)
    return Presence(subscription=_read_subscription(fields), active=bool(active))


def _read_subscription(fields: Iterable[object]) -> ActiveSubscription:
    subscriber, kind, value, payload = fields
    return ActiveSubscription(
        subscriber=SubscriberId(str(subscriber)), matcher=Matcher(MatcherKind(kind), str(value)), payload=payload
    )
