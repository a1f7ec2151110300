"""Who sits on one channel, in rows by the form of what they get, so that a delivery encodes each form once.

The edge keeps one `ChannelRows` per channel with somebody on it, and no other module changes one.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, assert_never

from handlers.protocol.observed import Mode
from handlers.protocol.subscribing import Subscription
from handlers.response import ResponseSession
from handlers.session import Session
from handlers.stream import StreamSession
from handlers.websocket import WebSocketSession

Held = StreamSession | ResponseSession | WebSocketSession
S = TypeVar("S", bound=Session)


class Row(Generic[S]):
    """The sessions of one kind on one channel, with the subscription of each."""

    __slots__ = ("_selective", "_walk", "members")

    def __init__(self) -> None:
        self.members: dict[S, Subscription] = {}
        self._walk: tuple[S, ...] | None = None
        self._selective = 0

    @property
    def is_selective(self) -> bool:
        """Whether each item has to be looked at for somebody here."""
        return self._selective > 0

    def add(self, session: S, subscription: Subscription) -> None:
        """Put `session` at the end of the row, or give it a new subscription."""
        before = self.members.get(session)
        if before is None:
            self._walk = None
        elif before.is_selective:
            self._selective -= 1
        self._selective += subscription.is_selective
        self.members[session] = subscription

    def discard(self, session: S) -> None:
        """Take `session` out of the row if it is there."""
        before = self.members.pop(session, None)
        if before is not None:
            self._selective -= before.is_selective
            self._walk = None

    def update(self, other: Row[S]) -> None:
        """Put the members of another row at the end of this one; those that are here get the subscriptions of there."""
        for session in self.members.keys() & other.members.keys():
            self._selective -= self.members[session].is_selective
        self.members.update(other.members)
        self._selective += other._selective
        self._walk = None

    def walk(self) -> tuple[S, ...]:
        """Return the members as they stand now; the tuple never changes under a walker."""
        if self._walk is None:
            self._walk = tuple(self.members)
        return self._walk


class ChannelRows:
    """One channel's sessions. `chunked` and `raw` are streams, `messages` and `deflated` WebSockets."""

    __slots__ = ("chunked", "deflated", "messages", "published", "raw", "responses")

    def __init__(self) -> None:
        self.published = 0
        """Items that came on the channel since somebody is on it."""
        self.chunked: Row[StreamSession] = Row()
        self.raw: Row[StreamSession] = Row()
        self.responses: Row[ResponseSession] = Row()
        self.messages: Row[WebSocketSession] = Row()
        self.deflated: Row[WebSocketSession] = Row()

    @property
    def is_selective(self) -> bool:
        """Whether each item has to be looked at for somebody who takes many."""
        return any(row.is_selective for row in (self.chunked, self.raw, self.messages, self.deflated))

    @property
    def rows(self) -> tuple[Row[Any], ...]:
        """All of them, each at its own place."""
        return self.chunked, self.raw, self.responses, self.messages, self.deflated

    def note_published(self, items: int) -> None:
        """Note that so many items have come."""
        self.published += items

    def count(self, mode: Mode) -> int:
        """Return how many sessions are held that way."""
        match mode:
            case "stream":
                return len(self.chunked.members) + len(self.raw.members)
            case "response":
                return len(self.responses.members)
            case "ws":
                return len(self.messages.members) + len(self.deflated.members)
            case _:
                assert_never(mode)

    def is_empty(self) -> bool:
        """Say whether nobody is on the channel."""
        return not any(row.members for row in self.rows)


def row_of(rows: ChannelRows, session: Held) -> Row[Any]:
    """Return the row of `rows` that `session` belongs in, which takes sessions of its kind."""
    match session:
        case StreamSession(chunked=True):
            return rows.chunked
        case StreamSession():
            return rows.raw
        case ResponseSession():
            return rows.responses
        case WebSocketSession(is_deflated=True):
            return rows.deflated
        case WebSocketSession():
            return rows.messages
        case _:
            assert_never(session)
