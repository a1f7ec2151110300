"""A SockJS session: to its client a row of requests, to the room the transport of one WebSocket (reference 8.1).

The `WebSocketSession` on it is the one that every WebSocket has: it sits on channels, obeys control messages and knows
its backend by a link. What it writes is read here as frames, and kept in a `Mailbox` until a receiver takes it: a poll,
a stream, or a WebSocket with SockJS frames in it. What the client sends comes to it as a client's frames. The pings of
a backend are answered here, as a browser would.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from handlers.protocol.sockjs import HEARTBEAT, INTERRUPTED
from handlers.protocol.sockjs_mailbox import Due, Mailbox
from handlers.protocol.ws_frames import CloseReason, Frame, Opcode, encode_close_payload, encode_masked, parse_close
from handlers.session import Site
from handlers.settings import SockJsSettings
from handlers.sockjs.fragments import Fragments
from handlers.sockjs.translator import Piece, Translator
from handlers.sockjs.transport import VirtualTransport, soon
from handlers.timers import NOWHERE

log = logging.getLogger("holdfast.sockjs")

Key = tuple[bytes, bytes]
"""What knows a session: the path that SockJS is under, with the host; and the client's name for the session."""


class Receiver(Protocol):
    """A request, or a WebSocket, that a client gets frames by. It is held, and told synchronously."""

    @property
    def is_gone(self) -> bool:
        """Whether the client has gone, and `SockJsSession.dropped` is about to be called."""
        ...

    def deliver(self, frame: bytes) -> bool:
        """Send a frame; say whether this one takes another."""
        ...

    def end(self, frame: bytes, reason: CloseReason) -> None:
        """Send the last frame, which says why, and end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SockJsSite:
    """What all SockJS sessions of a process share."""

    site: Site
    settings: SockJsSettings
    message_limit: int
    """Bytes of a message of a backend's that comes in fragments."""
    translator: Translator = field(default_factory=Translator)
    sessions: dict[Key, SockJsSession] = field(default_factory=dict)
    """Those that are found again, by polls."""


class SockJsSession(VirtualTransport):
    """One session; also `handlers.timers.Timed`. Opened by the door, which has a WebSocket session made on it."""

    def __init__(
        self, *, shared: SockJsSite, key: Key | None, label: str, extra: Mapping[str, object] | None = None
    ) -> None:
        """`key` is None for a session that is one connection, and is not found again.

        `extra` is what is known of the client that opens it, as transports know it.
        """
        super().__init__(extra)
        self.shared = shared
        self.label = label
        self.deadline = math.inf
        self.tick = NOWHERE
        self._key = key
        settings = shared.settings
        self._mailbox = Mailbox(
            heartbeat=settings.heartbeat,
            patience=settings.disconnect_delay,
            limit=settings.outbox_limit,
            grace=shared.site.settings.slow_grace,
        )
        self._fragments = Fragments(shared.message_limit)
        self._receiver: Receiver | None = None
        self._reason = CloseReason()
        self._high = settings.outbox_limit
        self._is_opening = True
        self._is_receiver_behind = self._is_flushing = self._has_client_closed = False
        if key is not None:
            shared.sessions[key] = self

    # -- for the door -------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """The backend has accepted: the WebSocket session is attached."""
        self._is_opening = False
        self.begin()
        self._mailbox.left(self._now())
        self._watch()
        self.shared.site.counters.sockjs_opened += 1

    def discard(self) -> None:
        """There is to be no session: the backend has refused, or the client has gone before it could say."""
        self._forget()
        self.begin_end()

    @property
    def is_taken(self) -> bool:
        """Whether a receiver is there already, or the first one still waits for the backend."""
        return self._is_opening or self._receiver is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing that the client sends reaches the backend any more."""
        return self._is_closing or self._mailbox.is_closed

    def take(self) -> bytes | None:
        """Return the frame that waits, for a poll that need not be held then; it counts as one that has come and gone.

        Not while `is_taken`.
        """
        now = self._now()
        frame = self._mailbox.take(now)
        if frame is not None:
            self.hear(b"")
            self._mailbox.left(now)
            self._watch()
            self._weigh()
        return frame

    def receive_by(self, receiver: Receiver) -> None:
        """Send frames by `receiver` from here on. Not while `is_taken`."""
        self._receiver = receiver
        self._mailbox.came(self._now())
        self.hear(b"")
        self._watch()
        self._flush_soon()

    # -- for the receiver ---------------------------------------------------------------------------------------------

    def client_closed(self, reason: CloseReason) -> None:
        """The client's close, which the backend is to answer."""
        self._has_client_closed = True
        self.say_close(reason)

    def dropped(self, receiver: Receiver) -> None:
        """The client has gone while it was to receive: that ends the session."""
        if receiver is not self._receiver:
            return
        self._receiver = None
        self._is_receiver_behind = False
        self._abandon()
        self._mailbox.left(self._now())
        self._watch()

    def behind(self, is_behind: bool) -> None:
        """The receiver takes less than it is sent, or has caught up."""
        self._is_receiver_behind = is_behind
        self._weigh()

    # -- the transport ------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take frames for the client: whole ones, as a session writes them."""
        if self._is_closing:
            return
        for piece in self.shared.translator.translate(data if isinstance(data, bytes) else bytes(data)):
            self._take_piece(piece)
        if self._mailbox.is_behind:
            self._flush()
            self._watch()
        self._weigh()
        self._flush_soon()

    def close(self) -> None:
        """End behind what waits."""
        if not self._is_closing:
            self._mailbox.close(self._reason, self._now())
            self._begin_end()

    def abort(self) -> None:
        """End at once. What waits is not sent: a client that has missed something must not think otherwise."""
        if not self._is_lost:
            self._reason = INTERRUPTED
            self._count_lost(self._mailbox.fail(INTERRUPTED, self._now()))
            self._begin_end()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say how many bytes may wait before the session is asked to write no more."""
        limit = self.shared.settings.outbox_limit
        self._high = limit if high is None else min(high, limit)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait for a receiver; what a receiver has taken is its own affair."""
        return self._mailbox.size

    # -- the wheel ----------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Send a heartbeat, or end a session whose client stays away (`handlers.timers.Timed`)."""
        match self._mailbox.due(now):
            case Due.HEARTBEAT:
                self._beat(now)
            case Due.ABANDONED:
                log.info("%s ended: no poll for %g seconds", self.label, self.shared.settings.disconnect_delay)
                self._forget()
                self._abandon()
                return
            case Due.BEHIND:
                self._cut_slow()
            case Due.FORGOTTEN:
                self._count_lost(self._mailbox.fail(self._reason, now))
                self._forget()
                return
            case None:
                pass
        self._watch()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _take_piece(self, piece: Piece) -> None:
        message: bytes | None
        if isinstance(piece, bytes):
            message = piece
        elif piece.opcode is Opcode.CLOSE:
            self._take_close(piece)
            return
        elif piece.opcode is Opcode.PING:
            soon(self.hear, encode_masked(Opcode.PONG, bytes(piece.data)))
            return
        elif piece.opcode is Opcode.PONG:
            return
        else:
            found = self._fragments.take(piece)
            if found is None:
                return
            message = found if isinstance(found, bytes) else None
        if message is None:
            self._tell_unsendable()
        elif not self._mailbox.put(message, self._now()):
            self._cut_slow()

    def _take_close(self, frame: Frame) -> None:
        reason = self._reason = parse_close(bytes(frame.data))
        self._mailbox.close(reason, self._now())
        self._watch()
        if not self._has_client_closed:
            soon(self.hear, encode_masked(Opcode.CLOSE, encode_close_payload(reason)))

    def _flush_soon(self) -> None:
        # What comes in one turn of the loop goes in one frame: a poll takes only one, and the next is a round trip off.
        if self._receiver is not None and not self._is_flushing:
            self._is_flushing = True
            soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        now = self._now()
        while (receiver := self._receiver) is not None and not receiver.is_gone:
            frame = self._mailbox.take(now)
            if frame is None:
                break
            if frame.startswith(b"c"):
                self._leave_receiver(now)
                receiver.end(frame, self._reason)
            elif not receiver.deliver(frame):
                self._leave_receiver(now)
        self._weigh()

    def _beat(self, now: float) -> None:
        self.hear(b"")  # a client that is sent something is not idle
        receiver = self._receiver
        if receiver is not None and not receiver.is_gone and not receiver.deliver(HEARTBEAT):
            self._leave_receiver(now)

    def _leave_receiver(self, now: float) -> None:
        self._receiver = None
        self._is_receiver_behind = False
        self._mailbox.left(now)
        self._watch()

    def _weigh(self) -> None:
        self.press(self._is_receiver_behind or self._mailbox.size > self._high)

    def _cut_slow(self) -> None:
        if self._protocol is not None and not self._is_closing:
            self.shared.site.counters.slow_clients += 1
            self._protocol.cut(f"too slow, more than {self.shared.settings.outbox_limit} bytes wait for its next poll")

    def _tell_unsendable(self) -> None:
        self.shared.site.counters.sockjs_unsendable += 1
        log.info(
            "%s a message is not sent: SockJS has text only, of at most %d bytes", self.label, self._fragments.limit
        )

    def _abandon(self) -> None:
        """The client is gone."""
        if not self._is_lost and not self._is_closing:
            self.shared.site.counters.sockjs_abandoned += 1
        self._reason = INTERRUPTED if not self._mailbox.is_closed else self._reason
        self._count_lost(self._mailbox.fail(INTERRUPTED, self._now()))
        self.lose()

    def _begin_end(self) -> None:
        self.begin_end()
        self._watch()
        self._flush_soon()

    def _count_lost(self, messages: int) -> None:
        if messages:
            self.shared.site.counters.sockjs_lost += messages
            log.info("%s %d messages were waiting for the client", self.label, messages)

    def _forget(self) -> None:
        self.deadline = math.inf
        self.shared.site.wheel.forget(self)
        if self._key is not None and self.shared.sessions.get(self._key) is self:
            del self.shared.sessions[self._key]

    def _watch(self) -> None:
        if self._key is None and self._receiver is None:
            self._forget()  # nobody can come back to it
            return
        self.deadline = self._mailbox.deadline
        self.shared.site.wheel.watch(self)

    def _now(self) -> float:
        return self.shared.site.clock.now()
