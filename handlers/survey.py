"""Looks at what is held in this process, for whoever asks who is there, and ends single connections.

Asked by the publishers' door through `LocalSurvey`, or by the parent through `handlers.links`. A question is answered
by one walk over what it is about, within the turn: it costs whoever asks, and nothing while nobody does. There is no
index by id, as it would cost every connection.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import assert_never

from handlers.channel_rows import ChannelRows, S
from handlers.connection_events import id_of, peer_of
from handlers.counters import Counters
from handlers.edge import Edge
from handlers.framed import FramedSession
from handlers.hub.audience import Audience
from handlers.hub.poll import HubPoll
from handlers.hub.topic_index import HubSession
from handlers.protocol.carried_name import carry, is_text, show, uncarry
from handlers.protocol.fields import encode_field
from handlers.protocol.hold_id import HoldId, parse_hold_id
from handlers.protocol.mercure.presenting import without_tokens
from handlers.protocol.names import Channel
from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    ConnectionRow,
    CountChannel,
    FindConnections,
    Findings,
    Kind,
    ListChannels,
    ListConnections,
    Question,
    RefreshConnection,
)
from handlers.protocol.ws_frames import CloseCode, CloseReason
from handlers.response import ResponseSession
from handlers.session import Session, guarded
from handlers.websocket import WebSocketSession

log = logging.getLogger("holdfast.session")


class Survey:
    """The held connections of this process, which is worker number `worker`."""

    def __init__(self, *, edge: Edge, audience: Audience | None, counters: Counters, worker: int = 1) -> None:
        self._edge = edge
        self._audience = audience
        self._counters = counters
        self._worker = worker

    def answer(self, question: Question) -> Findings:
        """Answer a question; do what it asks for."""
        match question:
            case ListChannels():
                return Findings(channels=tuple(self._list_channels(question)))
            case CountChannel():
                rows = self._edge.channels.get(Channel(uncarry(question.channel)))
                return Findings(channels=() if rows is None else (count(question.channel, rows),))
            case ListConnections():
                return self._found(self._list_connections(question))
            case FindConnections():
                return self._found(self._find(question.ids))
            case CloseConnection():
                return self._act(self._find((question.id,)), lambda session: self._close(session, question))
            case RefreshConnection():
                sockets = [each for each in self._find((question.id,)) if isinstance(each, WebSocketSession)]
                return self._act(sockets, WebSocketSession.refresh)
            case _:
                assert_never(question)

    def _list_channels(self, question: ListChannels) -> Iterator[ChannelRow]:
        prefix, after = uncarry(question.prefix), question.after
        channels = ((name, rows) for name, rows in self._edge.channels.items() if begins_with(name, prefix))
        named = ((carry(name), rows) for name, rows in channels)
        wanted = (each for each in named if after is None or each[0] > after)
        for name, rows in heapq.nsmallest(question.limit, wanted, key=itemgetter(0)):
            yield count(name, rows)

    def _list_connections(self, question: ListConnections) -> list[Session]:
        sessions = self._everybody() if question.channel is None else self._on(Channel(uncarry(question.channel)))
        # A stamp alone says who comes behind; only of two with the same one does the worker's number.
        earliest = question.after.stamp + (self._worker <= question.after.worker)
        kind = question.kind
        wanted = (
            session for session in sessions if session.stamp >= earliest and (kind is None or kind_of(session) is kind)
        )
        return heapq.nsmallest(question.limit, wanted, key=attrgetter("stamp"))

    def _find(self, ids: Iterable[str]) -> list[Session]:
        """Return who has one of these ids, in one walk however many they are."""
        parsed = {each: parse_hold_id(each) for each in ids}
        stamps = {each.stamp for each in parsed.values() if each is not None and each.worker == self._worker}
        names = {text.encode("utf-8", "replace") for text, each in parsed.items() if text and each is None}
        found = {session: None for session in self._everybody() if session.stamp in stamps} if stamps else {}
        if names:
            sockets = (each for each in self._edge.sessions if isinstance(each, WebSocketSession))
            found.update((each, None) for each in sockets if each.connection_id in names)
        return list(found)

    def _act(self, sessions: Sequence[S], act: Callable[[S], None]) -> Findings:
        found = self._found(sessions)
        for session in sessions:
            guarded(session, act, session)
        return found

    def _close(self, session: Session, question: CloseConnection) -> None:
        self._counters.sessions_disconnected += 1
        log.info("%s ended on request, id=%s", session.label, question.id)
        if isinstance(session, WebSocketSession):
            session.close_by_us(CloseReason(code=question.code or CloseCode.GOING_AWAY, reason=question.reason))
        elif isinstance(session, FramedSession):
            session.close(CloseReason(code=question.code or CloseCode.GOING_AWAY, reason=question.reason))
        else:
            session.drain()

    def _everybody(self) -> Iterable[Session]:
        audience = () if self._audience is None else self._audience.sessions
        return chain(self._edge.sessions, audience)

    def _on(self, channel: Channel) -> Iterator[Session]:
        rows = self._edge.channels.get(channel)
        if rows is not None:
            for row in rows.rows:
                yield from row.members

    def _found(self, sessions: Iterable[Session]) -> Findings:
        rows = sorted((self._describe(session) for session in sessions), key=attrgetter("hold_id"))
        return Findings(connections=tuple(rows))

    def _describe(self, session: Session) -> ConnectionRow:
        subscriber = session.subscriber if isinstance(session, HubSession) else None
        channels: tuple[str, ...]
        if subscriber is None:
            channels = tuple(each.channel for each in session.subscriptions)
        else:
            channels = tuple(matcher.value for matcher in subscriber.matchers)
        return ConnectionRow(
            hold_id=HoldId(session.stamp, self._worker),
            id=id_of(session, worker=self._worker),
            kind=kind_of(session),
            protocol="grip" if subscriber is None else "mercure",
            peer=peer_of(session),
            route=show(session.route),
            uri=show(without_tokens(session.label)),
            channels=tuple(map(carry, channels)),
        )


class LocalSurvey:
    """A `publish_api.control.Surveyor` of this process alone. Use it on the loop it was made on."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._loop = asyncio.get_running_loop()

    def ask(self, question: Question) -> asyncio.Future[Findings]:
        """Return what was found."""
        found: asyncio.Future[Findings] = self._loop.create_future()
        found.set_result(self._survey.answer(question))
        return found


def count(channel: str, rows: ChannelRows) -> ChannelRow:
    """Return how many are on a channel."""
    return ChannelRow(channel, stream=rows.count("stream"), response=rows.count("response"), ws=rows.count("ws"))


def begins_with(name: str, beginning: str) -> bool:
    """Say whether the bytes of a name begin with those of another, which may end within a character."""
    if name.startswith(beginning):
        return True
    return not is_text(beginning) and encode_field(name).startswith(encode_field(beginning))


def kind_of(session: Session) -> Kind:
    """Return how a session is held."""
    if isinstance(session, FramedSession):
        return Kind.WS
    return Kind.RESPONSE if isinstance(session, (ResponseSession, HubPoll)) else Kind.STREAM
