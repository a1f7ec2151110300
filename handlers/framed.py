"""A held connection that speaks WebSocket frames with its client: RFC 6455, and nothing about backends or channels.

Reads the client's frames and keeps it to the rules, writes frames in the form that was agreed on, keeps messages whole
while fragments of another one are on their way, and sees to the closing handshake. `websocket` says what it all means.
"""

from __future__ import annotations

import abc
import logging
import math
from typing import Unpack

from handlers.intake import FRAMES_A_TURN, Intake
from handlers.open_ended import OpenEndedSession, discard
from handlers.protocol.rate import TokenBucket
from handlers.protocol.ws_deflate import Deflate, deflate_frame
from handlers.protocol.ws_frames import (
    CloseCode,
    CloseReason,
    Frame,
    FrameError,
    FrameReader,
    Opcode,
    coded_close,
    encode_close,
    encode_frame,
    parse_close,
)
from handlers.session import Parts, guarded
from handlers.settings import WebSocketSettings

log = logging.getLogger("holdfast.websocket")

BURST_SECONDS = 10
"""Seconds' worth of `control_rate` that may come at once."""

RELAY_WATER = 65_536
"""Bytes waiting for the client from which on it counts as behind; long before it counts as slow."""


class FramedSession(OpenEndedSession):
    """One WebSocket, as its client sees it. `write` takes an encoded frame, compressed for one that `is_deflated`.

    Closing takes a close frame each way. `close` sends ours; whoever gets the client's, by `on_close`, answers with a
    call of `close`. A close frame that is not answered within `close_timeout` is not waited for any longer.
    """

    __slots__ = (
        "_client_close",
        "_close_later",
        "_close_until",
        "_deflate",
        "_heard",
        "_intake",
        "_is_refused",
        "_pings",
        "_reader",
        "is_close_sent",
        "is_deflated",
        "limits",
    )

    def __init__(
        self,
        *,
        limits: WebSocketSettings,
        message_limit: int | None,
        deflate: Deflate | None,
        **parts: Unpack[Parts],
    ) -> None:
        """`message_limit` is for a session that takes messages whole; else there is none beside `frame_limit`."""
        super().__init__(**parts)
        self.limits = limits
        self.is_deflated = deflate is not None
        self.is_close_sent = False
        self._deflate = deflate
        self._reader = FrameReader(
            masked=True,
            frame_limit=message_limit or limits.frame_limit,
            message_limit=message_limit,
            extensions=(deflate.extension,) if deflate else (),
        )
        self._heard = self.touched
        self._intake = Intake(self.transport)
        self._is_refused = False
        self._pings: TokenBucket | None = None
        self._client_close: CloseReason | None = None
        self._close_later: CloseReason | None = None
        self._close_until = math.inf

    @abc.abstractmethod
    def on_frame(self, frame: Frame) -> None:
        """The client has sent a ping, a pong, or a message or a fragment of one."""

    @abc.abstractmethod
    def on_close(self, frame: Frame, reason: CloseReason) -> None:
        """The client has sent its close frame, the last one. Unless `is_close_sent`, it wants one in return."""

    @abc.abstractmethod
    def on_gone(self) -> None:
        """The client is gone, or is no longer listened to, without a closing handshake. May be called twice."""

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport, and take the frames that have come already."""
        super().attach(b"", is_behind=is_behind)
        self.start_timers(self.site.clock.now())
        if kept:
            self.data_received(kept)

    @property
    def high_water(self) -> int:
        """Bytes in the transport's buffer from which on the client counts as behind."""
        return min(RELAY_WATER, self.site.settings.outbox_limit)

    def data_received(self, data: bytes) -> None:
        """Take each frame that is complete now."""
        if self._is_deaf():
            return
        self._heard = self.site.clock.now()
        try:
            for count, frame in enumerate(self._reader.receive(data), start=1):
                if frame.opcode is Opcode.CLOSE:
                    self._take_close(frame)
                else:
                    self.on_frame(frame)
                if self._is_deaf():
                    return
                if count >= FRAMES_A_TURN:
                    self._intake.put_off(self._take_rest)
                    return
        except FrameError as error:
            self.refuse(error.code, error.reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, whoever closed it."""
        super().connection_lost(exc)
        if self._client_close is None or not self.is_close_sent:
            self.on_gone()

    def leave(self) -> None:
        """Come off every channel and out of the timer wheel; behind a close frame nothing is written any more."""
        super().leave()
        if self.is_close_sent:
            self.write = discard

    def pause_reading(self) -> None:
        """Read no more from the client: there is enough to do."""
        self._intake.pause()

    def resume_reading(self) -> None:
        """Read on."""
        self._intake.resume()

    def encode(self, opcode: Opcode, content: bytes) -> bytes:
        """Encode a whole message, or a ping or pong, in the form that `write` takes."""
        return deflate_frame(opcode, content) if self.is_deflated else encode_frame(opcode, content)

    def send(self, opcode: Opcode, content: bytes) -> None:
        """Send a whole message, or a ping or pong, after what is on its way."""
        self.write(self.encode(opcode, content))
        self.touched = self.site.clock.now()

    def send_frame(self, frame: Frame) -> None:
        """Send a frame on as it came from elsewhere: a ping or pong at once, fragments one after the other."""
        if self.is_close_sent:
            return  # RFC 6455 section 5.5.1: nothing after a close frame
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            self._write_now(encode_frame(frame.opcode, bytes(frame.data)))
        elif frame.fin and frame.opcode is not Opcode.CONT:
            self.send(frame.opcode, bytes(frame.data))
        else:
            self._send_fragment(frame)

    def answer_ping(self, frame: Frame) -> None:
        """Answer a ping of the client's, unless that is one too many."""
        if self.take_ping():
            self.send_frame(Frame(Opcode.PONG, frame.data))

    def take_ping(self) -> bool:
        """Say whether one more ping or pong is within `control_rate`; one that is not ends the connection."""
        now = self.site.clock.now()
        if self._pings is None:
            self._pings = control_bucket(self.limits, now)
        if self._pings.take(now):
            return True
        self.refuse(CloseCode.POLICY_VIOLATION, "too many pings")
        return False

    def let_go(self) -> None:
        """Write what was kept back, then close if that has been asked for meanwhile."""
        super().let_go()
        if self._close_later is not None:
            self.close(self._close_later)

    def close(self, reason: CloseReason) -> None:
        """Send a close frame, or the echo of the client's. Only the first one counts, one put off included."""
        if self.is_close_sent or self.transport.is_closing():
            return
        if not self.is_attached:
            self.close_later(reason)
            return
        self._forget_waiting()
        self.transport.write(encode_close(coded_close(self._close_later or reason)))
        self.is_close_sent = self.is_ended = True
        self.leave()
        if self._client_close is None:
            self._await_close()
        else:
            self._end()

    def close_later(self, reason: CloseReason) -> None:
        """Send a close frame behind what is kept back now, and nothing that is published from here on."""
        self._close_later = self._close_later or reason
        self.site.index.leave(self)
        if self.is_attached:
            self._await_close()

    def echo(self) -> None:
        """Answer the client's close with its own code."""
        self.close(self._client_close or CloseReason())

    def refuse(self, code: int, why: str) -> None:
        """End the connection for what the client has sent; nothing more of it is read."""
        self.site.counters.websocket_client_faults += 1
        log.warning("%s closed with %d: %s", self.label, code, why)
        self._is_refused = True
        self.close(CloseReason(code=code, reason=why))
        self.on_gone()
        # RFC 6455 section 7.1.7 has the server close. Done with bytes of the client's unread, that would destroy the
        # close frame before it is seen; so only our half is closed, until the client closes its own or the time is up.
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()

    def on_deadline(self, now: float) -> None:
        """Wait no longer for a close, or do what all open-ended sessions do."""
        if self._close_until <= now:
            self._stop_waiting()
        else:
            super().on_deadline(now)

    @property
    def idle_since(self) -> float:
        """Since when nothing has come or gone."""
        return max(self.touched, self._heard)

    @property
    def next_due(self) -> float:
        """When the wheel is to wake this session."""
        return self._close_until if self.is_close_sent else min(super().next_due, self._close_until)

    def _take_rest(self) -> None:
        guarded(self, self.data_received, b"")

    def _is_deaf(self) -> bool:
        return self._is_refused or self.transport.is_closing()

    def _take_close(self, frame: Frame) -> None:
        reason = self._client_close = parse_close(bytes(frame.data))
        self.on_close(frame, reason)
        if self.is_close_sent:
            self._end()
        else:
            self._await_close()

    def _send_fragment(self, frame: Frame) -> None:
        # RFC 6455 section 5.4: no other message may come between the fragments of one. What is published meanwhile
        # waits for its end, where Pushpin drops it (reference 10.1, D12).
        self.hold_back()
        encode = self._deflate.encode if self._deflate else encode_fragment
        self._write_now(encode(frame))
        if frame.fin:
            self.let_go()

    def _write_now(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(data)
        self.touched = self.site.clock.now()
        if self.is_behind:
            self.look_at_outbox()

    def _await_close(self) -> None:
        self._close_until = self.site.clock.now() + self.limits.close_timeout
        self.set_deadline()

    def _stop_waiting(self) -> None:
        self._close_until = math.inf
        self.site.counters.websocket_close_timeouts += 1
        if self.is_close_sent:
            self.cut("no answer to the close")
            return
        log.warning("%s closed without waiting any longer for the backend", self.label)
        self.echo()

    def _forget_waiting(self) -> None:
        # The message whose end it waits for will have none.
        self.site.counters.websocket_unsent += self.drop_waiting()

    def _end(self) -> None:
        self.leave()
        self.site.door.close(self.transport)


def control_bucket(settings: WebSocketSettings, now: float) -> TokenBucket:
    """Return a new limit of `control_rate`."""
    return TokenBucket(rate=settings.control_rate, burst=settings.control_rate * BURST_SECONDS, now=now)


def encode_fragment(frame: Frame) -> bytes:
    """Encode a frame as it is."""
    return encode_frame(frame.opcode, bytes(frame.data), fin=frame.fin)
