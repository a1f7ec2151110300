"""Obeys the control messages of a WebSocket's backend: what it says behind `c:` (reference 5.3).

One `Controls` serves all WebSockets of a process. A message that cannot be obeyed is counted and logged, and the
connection goes on; only one that asks too much ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import assert_never

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.giving import OPCODES
from handlers.protocol.control import (
    ControlError,
    ControlMessage,
    Detach,
    FlushDelayed,
    OutgoingMessage,
    SendDelayed,
    SetKeepAlive,
    SetMeta,
    SetSession,
    Subscribe,
    TooManyFilters,
    Unsubscribe,
    parse_control,
)
from handlers.protocol.filters import OBEYED
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription, in_turn, with_place
from handlers.protocol.ws_frames import CloseCode, CloseReason
from handlers.settings import HoldSettings, WebSocketSettings
from handlers.websocket import WebSocketSession

log = logging.getLogger("holdfast.websocket")

TOLD_LIMIT = 100
"""Things that are not supported of which is said so; a backend could make up names without end."""
NameSession = Callable[[WebSocketSession, str | None], None]
"""Called with the GRIP session that a WebSocket belongs to from now on; None for no more."""

META_LIMIT = 100
"""Names of meta that one connection may have."""


class Controls:
    """Carries control messages out. Keeps nothing of a connection."""

    def __init__(
        self,
        *,
        edge: Edge,
        counters: Counters,
        hold: HoldSettings,
        websocket: WebSocketSettings,
        name_session: NameSession | None = None,
    ) -> None:
        """`name_session` is there where there are GRIP sessions."""
        self._name_session = name_session
        self._edge = edge
        self._counters = counters
        self._hold = hold
        self._websocket = websocket
        self._told: set[str] = set()

    def obey(self, session: WebSocketSession, data: bytes) -> None:
        """Do what a control message says. Past `control_rate` the connection ends."""
        if not session.take_control():
            self._end(session, CloseCode.POLICY_VIOLATION, "too many control messages")
            return
        try:
            message = parse_control(data)
        except TooManyFilters as error:
            self._end(session, CloseCode.INTERNAL_ERROR, error.reason)
        except ControlError as error:
            self._counters.websocket_controls_refused += 1
            log.warning("%s control message not obeyed: %s", session.label, error.reason)
        else:
            self._carry_out(session, message)

    def _carry_out(self, session: WebSocketSession, message: ControlMessage) -> None:
        match message:
            case Subscribe():
                self._subscribe(session, message)
            case Unsubscribe(channel=name):
                self._unsubscribe(session, Channel(session.prefix + name))
            case Detach():
                session.detach()
            case SetSession(id=sid):
                if self._name_session is None:
                    self._tell_unsupported(session, "session, without session.state")
                else:
                    self._name_session(session, sid)
            case SetMeta():
                self._set_meta(session, message)
            case SetKeepAlive(message=beat, timeout=timeout, mode=mode):
                data = encode(session, beat) if beat else b""
                session.set_keep_alive(KeepAlive(data=data, timeout=timeout, mode=mode) if beat else None)
            case SendDelayed(message=delayed, timeout=timeout):
                session.send_later(encode(session, delayed), timeout)
            case FlushDelayed():
                session.send_delayed()
            case _:
                assert_never(message)

    def _subscribe(self, session: WebSocketSession, message: Subscribe) -> None:
        channel = Channel(session.prefix + message.channel)
        own = [each.channel for each in session.subscriptions if each.channel not in session.implicit]
        limit = self._hold.subscription_limit
        if channel not in own and channel not in session.implicit and len(own) >= limit:
            self._counters.channels_over_limit += 1
            log.warning("%s: not subscribed, over subscription_limit=%d: %.1000s", session.label, limit, channel)
            if self._websocket.over_subscription == "close":
                self._end(session, CloseCode.POLICY_VIOLATION, "too many subscriptions")
            return
        for name in message.filters:
            if name not in OBEYED:
                self._tell_unsupported(session, f"filter {name:.100}")
        place = Subscription(channel=channel, filters=message.filters)
        for each in in_turn(with_place(session.subscriptions, place)):
            if each.channel == channel or each not in session.subscriptions:
                self._edge.subscribe(session, each)
        log.info("subscribe %s channel=%.200s", session.label, channel)

    def _set_meta(self, session: WebSocketSession, message: SetMeta) -> None:
        if message.value is not None and message.name not in session.meta and len(session.meta) >= META_LIMIT:
            self._counters.websocket_controls_refused += 1
            log.warning("%s: meta not set, there are %d names: %.100s", session.label, META_LIMIT, message.name)
        else:
            session.set_meta(message.name, message.value)

    def _unsubscribe(self, session: WebSocketSession, channel: Channel) -> None:
        if channel in session.implicit:
            log.info("%s: not unsubscribed, the route's own: %.200s", session.label, channel)
            return
        self._edge.unsubscribe(session, channel)
        log.info("unsubscribe %s channel=%.200s", session.label, channel)

    def _end(self, session: WebSocketSession, code: int, why: str) -> None:
        self._counters.websocket_backend_faults += 1
        log.warning("%s closed with %d: %s", session.label, code, why)
        session.close_by_us(CloseReason(code=code, reason=why))

    def _tell_unsupported(self, session: WebSocketSession, name: str) -> None:
        if name not in self._told and len(self._told) < TOLD_LIMIT:
            self._told.add(name)
            log.warning("%s: has no effect here: %s (said once)", session.label, name)


def encode(session: WebSocketSession, message: OutgoingMessage) -> bytes:
    """Encode a message for this session."""
    return session.encode(OPCODES[message.kind], message.content)
