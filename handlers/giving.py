"""Gives one item to one session, where that is not part of a walk over a row.

That is when its content is the session's own, or when it has waited for a filter to be asked.
"""

from __future__ import annotations

import logging
from typing import assert_never

from msgspec.structs import replace

from handlers.channel_rows import Held
from handlers.counters import Counters
from handlers.open_ended import write_all
from handlers.protocol.format_json import may_be_sent
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel
from handlers.protocol.ws_frames import CloseReason, Opcode
from handlers.response import ResponseSession
from handlers.session import guarded
from handlers.stream import StreamSession
from handlers.timers import Clock
from handlers.websocket import WebSocketSession

log = logging.getLogger("holdfast.edge")

OPCODES = {
    MessageKind.TEXT: Opcode.TEXT,
    MessageKind.BINARY: Opcode.BINARY,
    MessageKind.PING: Opcode.PING,
    MessageKind.PONG: Opcode.PONG,
}


class Giving:
    """The ways of an item to a session of each kind. Content is what filters have made of it."""

    def __init__(self, *, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters

    def give(self, session: Held, item: Item, content: bytes | None) -> None:
        """Do what the item's format for this kind of session says; `content` is None where it has none."""
        match session:
            case StreamSession() if item.http_stream is not None:
                self._give_stream(session, item.http_stream, content)
            case ResponseSession() if item.http_response is not None:
                self._give_response(session, item.http_response, content)
            case WebSocketSession() if item.ws_message is not None:
                self._give_message(session, item.channel, item.ws_message, content)
            case _:
                pass

    def send_message(self, session: WebSocketSession, channel: Channel, kind: MessageKind, content: bytes) -> None:
        """Send a message, unless filters have made of it what no message may be."""
        if may_be_sent(kind, content):
            self._counters.deliveries += 1
            guarded(session, session.send, OPCODES[kind], content)
            return
        self._counters.filters_failed += 1
        log.warning("%s channel=%s item not delivered: filters have made it too long", session.label, channel)

    def _give_stream(self, session: StreamSession, published: HttpStreamFormat, content: bytes | None) -> None:
        match published.action:
            case Action.SEND:
                if content:
                    self._counters.deliveries += 1
                    write_all((session,), session.frame(content), self._clock.now())
            case Action.CLOSE:
                guarded(session, session.finish)
            case Action.HINT:
                guarded(session, session.update)
            case Action.REFRESH:
                pass
            case _:
                assert_never(published.action)

    def _give_response(self, session: ResponseSession, published: HttpResponseFormat, content: bytes | None) -> None:
        if published.action is Action.SEND:
            self._counters.deliveries += 1
            own = published if content is None else replace(published, body=content)
            guarded(session, session.publish, own, {})
        elif published.action is Action.HINT:
            guarded(session, session.hint)

    def _give_message(
        self, session: WebSocketSession, channel: Channel, published: WsMessageFormat, content: bytes | None
    ) -> None:
        match published.action:
            case Action.SEND:
                self.send_message(session, channel, published.kind, content or b"")
            case Action.CLOSE:
                guarded(session, session.close_by_us, CloseReason(code=published.code, reason=published.reason))
            case Action.REFRESH:
                guarded(session, session.refresh)
            case Action.HINT:
                pass
            case _:
                assert_never(published.action)
