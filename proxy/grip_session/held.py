"""Which held connections belong to which session of their backends, and what is about to be sent to those.

Used by `proxy.grip_session.tracking`. Connections are not watched: those that have ended are passed over, and forgotten
when as many have come again as there were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handlers.edge import Edge
from handlers.protocol.items import Action, Item
from handlers.protocol.names import Channel
from handlers.response import ResponseSession
from handlers.session import Session
from handlers.websocket import WebSocketSession

TIDY_FROM = 1000
"""Held connections noted from which on those that have ended are looked for."""

SidLastIds = dict[str, dict[str, str]]
"""Sessions, each with the last id of channels, which have their backend's names."""


class HeldSessions:
    """`add` each stream and long poll that is held, once. A WebSocket may be named and named otherwise (`name`)."""

    def __init__(self, edge: Edge, *, tidy_from: int = TIDY_FROM) -> None:
        self._edge = edge
        self._held: dict[Channel, dict[Session, str]] = {}
        self._sockets: dict[WebSocketSession, str] = {}
        self._tidy_from = self._tidy_at = tidy_from
        self._noted = 0

    def __len__(self) -> int:
        """Return how many are remembered, ended or not."""
        return len({session for held in self._held.values() for session in held}) + len(self._sockets)

    def add(self, held: object, sid: str) -> None:
        """Note that a connection belongs to a session; `held` is what has it now, which may be nothing that is held."""
        if not isinstance(held, Session) or held not in self._edge.sessions:
            return
        for subscription in held.subscriptions:
            self._held.setdefault(subscription.channel, {})[held] = sid
        self._count()

    def name(self, socket: WebSocketSession, sid: str | None) -> None:
        """Note that a WebSocket belongs to a session from now on, or with None to no one's."""
        self._sockets.pop(socket, None)
        if sid:
            self._count()  # before it is noted: it may not be held yet
            self._sockets[socket] = sid

    def receivers(self, items: Sequence[Item]) -> SidLastIds:
        """Return what sessions will have seen last once `items` are sent. Items without an id change nothing."""
        told: SidLastIds = {}
        answered: set[Session] = set()
        for item in items:
            if item.id is None:
                continue
            for session, sid in self._on(item.channel):
                if session in self._edge.sessions and session not in answered and _receives(session, item):
                    told.setdefault(sid, {})[item.channel.removeprefix(session.prefix)] = item.id
                    if isinstance(session, ResponseSession):
                        answered.add(session)  # and has nothing of what comes behind this
        return told

    def _on(self, channel: Channel) -> Iterator[tuple[Session, str]]:
        yield from self._held.get(channel, {}).items()
        rows = self._edge.channels.get(channel) if self._sockets else None
        if rows is not None:
            for socket in (*rows.messages.members, *rows.deflated.members):
                if socket in self._sockets:
                    yield socket, self._sockets[socket]

    def _count(self) -> None:
        self._noted += 1
        if self._noted >= self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        sessions = self._edge.sessions
        for channel, held in tuple(self._held.items()):
            left = {session: sid for session, sid in held.items() if session in sessions}
            if left:
                self._held[channel] = left
            else:
                del self._held[channel]
        self._sockets = {socket: sid for socket, sid in self._sockets.items() if socket in sessions}
        self._noted = len(self)
        self._tidy_at = max(self._tidy_from, 2 * self._noted)


def _receives(session: Session, item: Item) -> bool:
    """Say whether an item has something to send to a held connection of this kind."""
    if isinstance(session, WebSocketSession):
        return item.ws_message is not None and item.ws_message.action is Action.SEND
    published = item.http_response if isinstance(session, ResponseSession) else item.http_stream
    return published is not None and published.action is Action.SEND
