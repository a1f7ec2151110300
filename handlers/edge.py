"""All sessions of this process, indexed by channel, and the fan-out to them.

`deliver` is the hot path. It is synchronous, encodes each form of an item once, writes it to each receiver with one
call and touches nobody else. Rows are walked as tuples made when membership last changed, so a session may
leave (or be cut, or be given back and held again) in the middle of a delivery without disturbing it.
"""

from __future__ import annotations

import logging
from collections.abc import Set
from typing import Any, Generic, TypeVar, assert_never

from handlers.counters import Counters
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item
from handlers.protocol.names import Channel
from handlers.response import Encoded, ResponseSession
from handlers.session import Session, failed, guarded
from handlers.stream import StreamSession
from handlers.timers import Clock

log = logging.getLogger("holdfast.edge")

Held = StreamSession | ResponseSession
S = TypeVar("S", bound=Session)
Filters = tuple[str, ...]


class Row(Generic[S]):
    """The sessions of one kind on one channel, with the content filters of each."""

    __slots__ = ("_walk", "members")

    def __init__(self) -> None:
        self.members: dict[S, Filters] = {}
        self._walk: tuple[S, ...] | None = None

    def add(self, session: S, filters: Filters) -> None:
        """Put `session` at the end of the row, or give it new filters."""
        self.members[session] = filters
        self._walk = None

    def discard(self, session: S) -> None:
        """Take `session` out of the row if it is there."""
        if self.members.pop(session, None) is not None:
            self._walk = None

    def walk(self) -> tuple[S, ...]:
        """Return the members as they stand now; the tuple never changes under a walker."""
        if self._walk is None:
            self._walk = tuple(self.members)
        return self._walk


class ChannelRows:
    """One channel's sessions, in rows by the form of what they get."""

    __slots__ = ("chunked", "raw", "responses")

    def __init__(self) -> None:
        self.chunked: Row[StreamSession] = Row()
        self.raw: Row[StreamSession] = Row()
        self.responses: Row[ResponseSession] = Row()

    def is_empty(self) -> bool:
        """Say whether nobody is on the channel."""
        return not (self.chunked.members or self.raw.members or self.responses.members)


class Edge:
    """Subscribes sessions and delivers items to them."""

    def __init__(self, *, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._channels: dict[Channel, ChannelRows] = {}
        self._sessions: set[Session] = set()

    @property
    def sessions(self) -> Set[Session]:
        """Every session held now: a live view, to be copied before a walk on which sessions end."""
        return self._sessions

    def join(self, session: Held) -> None:
        """Put `session` on the channels of its subscriptions; from here on it receives."""
        self._sessions.add(session)
        self._counters.sessions_opened += 1
        self._count(session, 1)
        for subscription in session.subscriptions:
            rows = self._channels.get(subscription.channel)
            if rows is None:
                rows = self._channels[subscription.channel] = ChannelRows()
            row_of(rows, session).add(session, subscription.content_filters)

    def leave(self, session: Session) -> None:
        """Take `session` off all its channels; harmless when it is on none."""
        if session not in self._sessions:
            return
        assert isinstance(session, Held), "nothing else can join"
        self._sessions.discard(session)
        self._count(session, -1)
        for subscription in session.subscriptions:
            rows = self._channels.get(subscription.channel)
            if rows is None:
                continue
            row_of(rows, session).discard(session)
            if rows.is_empty():
                del self._channels[subscription.channel]

    def deliver(self, item: Item) -> int:
        """Give `item` to every session on its channel, each in its own format; return how many there were."""
        rows = self._channels.get(item.channel)
        if rows is None:
            return 0
        receivers = 0
        if item.http_stream is not None:
            receivers += self._deliver_stream(item.channel, rows, item.http_stream)
        if item.http_response is not None:
            receivers += self._deliver_response(item.channel, rows, item.http_response)
        return receivers

    def _deliver_stream(self, channel: Channel, rows: ChannelRows, published: HttpStreamFormat) -> int:
        chunked = self._receivers(channel, rows.chunked, published.content_filters)
        raw = self._receivers(channel, rows.raw, published.content_filters)
        if published.action is Action.SEND:
            if published.content:
                self._counters.deliveries += len(chunked) + len(raw)
                now = self._clock.now()
                write_all(chunked, encode_chunk(published.content), now)
                write_all(raw, published.content, now)
        elif published.action is Action.CLOSE:
            for session in chunked + raw:
                guarded(session, session.finish)
        return len(chunked) + len(raw)

    def _deliver_response(self, channel: Channel, rows: ChannelRows, published: HttpResponseFormat) -> int:
        sessions = self._receivers(channel, rows.responses, published.content_filters)
        if published.action is Action.SEND:
            self._counters.deliveries += len(sessions)
            encoded: Encoded = {}
            for session in sessions:
                guarded(session, session.publish, published, encoded)
        elif published.action is Action.HINT:
            for session in sessions:
                guarded(session, session.hint)
        return len(sessions)

    def _receivers(self, channel: Channel, row: Row[S], wanted: Filters | None) -> tuple[S, ...]:
        if wanted is None:
            return row.walk()
        receivers = []
        for session in row.walk():
            filters = row.members.get(session, ())
            if filters == wanted:
                receivers.append(session)
            else:
                self._counters.deliveries_filtered += 1
                guarded(session, mismatch, session, channel, filters, wanted)
        return tuple(receivers)

    def _count(self, session: Held, step: int) -> None:
        match session:
            case StreamSession():
                self._counters.sessions_stream += step
            case ResponseSession():
                self._counters.sessions_response += step
            case _:
                assert_never(session)


def row_of(rows: ChannelRows, session: Held) -> Row[Any]:
    """Return the row of `rows` that `session` belongs in, which takes sessions of its kind."""
    match session:
        case StreamSession(chunked=True):
            return rows.chunked
        case StreamSession():
            return rows.raw
        case ResponseSession():
            return rows.responses
        case _:
            assert_never(session)


def write_all(sessions: tuple[StreamSession, ...], frame: bytes, now: float) -> None:
    """Write `frame` to each stream. `guarded`, less its call: the one loop in which that would cost something."""
    for session in sessions:
        try:
            session.write(frame)
        except Exception as error:  # noqa: BLE001  # `failed` logs it
            failed(session, error)
        else:
            session.touched = now


def mismatch(session: Session, channel: Channel, filters: Filters, wanted: Filters) -> None:
    """Tell of an item that this session's filters do not fit; on a debug route the client is told, and ended."""
    log.debug("%s channel=%s content filter mismatch", session.label, channel)
    if isinstance(session, StreamSession) and session.debug:
        text = f"\n\ncontent filter mismatch: subscription={','.join(filters)} message={','.join(wanted)}\n"
        session.finish(text.encode())
