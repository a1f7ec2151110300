"""The link of a WebSocket to a backend that speaks WebSocket itself: frames are relayed, both ways, as they come.

Once the backend has switched protocols, this object is the protocol of its transport. Neither side is read faster than
the other takes it. A published close, a detach and a lost client end the backend's connection, too.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass

from handlers.counters import Counters
from handlers.intake import FRAMES_A_TURN, Intake
from handlers.protocol.ws_frames import (
    CloseReason,
    Frame,
    FrameError,
    FrameReader,
    Opcode,
    coded_close,
    encode_close_payload,
    encode_masked,
    parse_close,
)
from handlers.session import guarded
from handlers.settings import WebSocketSettings
from handlers.timers import NOWHERE, Clock, TimerWheel
from handlers.websocket import WebSocketSession

log = logging.getLogger("holdfast.websocket")

WRITE_WATER = 65_536
"""Bytes waiting for the backend from which on the client is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughSite:
    """What all links of this kind of a process share."""

    clock: Clock
    wheel: TimerWheel
    counters: Counters
    settings: WebSocketSettings


class ThroughLink(asyncio.Protocol):
    """One connection's link: a `handlers.door.WebSocketLink`, and `handlers.timers.Timed`.

    `adopt` a session and, once that is attached, `begin`; or `client_gone`.
    """

    __slots__ = (
        "_intake",
        "_is_close_received",
        "_is_close_sent",
        "_reader",
        "_session",
        "_site",
        "_tail",
        "_transport",
        "deadline",
        "label",
        "tick",
    )

    def __init__(self, *, site: ThroughSite, transport: asyncio.Transport, tail: bytes, label: str) -> None:
        """Become the protocol of `transport`; `tail` is what came behind the backend's 101."""
        self._site = site
        self._transport = transport
        self._tail = tail
        self._reader = FrameReader(masked=False, frame_limit=site.settings.frame_limit, message_limit=None)
        self._session: WebSocketSession | None = None
        self._intake = Intake(transport)
        self._is_close_sent = self._is_close_received = False
        self.label = label
        self.deadline = math.inf
        self.tick = NOWHERE
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=WRITE_WATER)

    # -- for the door -------------------------------------------------------------------------------------------------

    def adopt(self, session: WebSocketSession) -> None:
        """Belong to `session` from here on, which is not attached yet."""
        self._session = session

    def begin(self) -> None:
        """Relay what the backend has sent already."""
        tail, self._tail = self._tail, b""
        if tail:
            self.data_received(tail)

    # -- for the session ----------------------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> None:
        """Send a frame of the client's on."""
        if frame.opcode is Opcode.CLOSE:
            self._send_close(parse_close(bytes(frame.data)))
        elif not self._is_close_sent and not self._transport.is_closing():
            self._transport.write(encode_masked(frame.opcode, bytes(frame.data), fin=frame.fin))

    def close_by_us(self) -> None:
        """Close, without a code; what the backend still says is not relayed."""
        self._let_go()
        self._send_close(None)

    def client_gone(self) -> None:
        """End the backend's connection the way the client's has: without a word, but after the client's close."""
        self._let_go()
        if not self._is_close_sent:
            self._site.wheel.forget(self)
            self._transport.abort()

    def refresh(self) -> None:
        """Nobody is asked here (reference 4.7 is about requests)."""

    def client_behind(self, is_behind: bool) -> None:
        """Do not read the backend while the client is behind."""
        if is_behind:
            self._intake.pause()
        else:
            self._intake.resume()

    def expire(self, now: float) -> None:
        """The backend has not answered a close, or not closed behind one, in time (`handlers.timers.Timed`)."""
        # A session that has asked for it waits as long, and says so itself.
        if self._let_go() is None and not self._is_close_received:
            self._site.counters.websocket_close_timeouts += 1
            log.warning("%s: no answer of the backend's to the close", self.label)
        self._transport.abort()

    # -- from the backend ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Relay each frame that is complete now."""
        try:
            for count, frame in enumerate(self._reader.receive(data), start=1):
                if frame.opcode is Opcode.CLOSE:
                    self._take_close(frame)
                elif self._session is not None:
                    guarded(self._session, self._session.relay, frame)
                if count >= FRAMES_A_TURN:
                    self._intake.put_off(self._take_rest)
                    return
        except FrameError as error:
            self._fail(f"the backend sent what is no WebSocket frame: {error.reason}", error)

    def _take_rest(self) -> None:
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """The backend's connection is closed."""
        self._site.wheel.forget(self)
        if self._is_close_received or self._is_close_sent:
            # Whoever closed has been told, or hears now that a close was answered by hanging up.
            session = self._let_go()
            if session is not None:
                guarded(session, session.echo)
        else:
            self._fail("the backend closed the connection without a close frame", None)

    def pause_writing(self) -> None:
        """The backend is behind."""
        if self._session is not None:
            self._session.pause_reading()

    def resume_writing(self) -> None:
        """The backend has caught up."""
        if self._session is not None:
            self._session.resume_reading()

    def _take_close(self, frame: Frame) -> None:
        self._is_close_received = True
        session = self._session
        if session is not None:
            guarded(session, session.close, parse_close(bytes(frame.data)))
        if self._is_close_sent:
            # RFC 6455 section 7.1.1: the server closes first; it has a moment to.
            self._await_close()

    def _send_close(self, reason: CloseReason | None) -> None:
        """Send a close frame; None is one without a code, a client's without a code has 1000 (reference 5.1)."""
        if self._is_close_sent or self._transport.is_closing():
            return
        self._is_close_sent = True
        payload = b"" if reason is None else encode_close_payload(coded_close(reason))
        self._transport.write(encode_masked(Opcode.CLOSE, payload))
        self._await_close()

    def _await_close(self) -> None:
        self.deadline = self._site.clock.now() + self._site.settings.close_timeout
        self._site.wheel.watch(self)

    def _let_go(self) -> WebSocketSession | None:
        """Have no more to do with the session, which is returned; it may have been waiting for the backend."""
        session, self._session = self._session, None
        if session is not None:
            session.resume_reading()
        return session

    def _fail(self, why: str, error: FrameError | None) -> None:
        session = self._let_go()
        if error is not None:
            self._send_close(CloseReason(code=error.code, reason=error.reason))
        if session is not None:
            guarded(session, session.fail, why)
