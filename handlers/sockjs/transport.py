"""A transport that is not a socket: what a WebSocket session takes for its client's connection.

Only the half of it towards the session is here; `session` says where what is written goes, and who the client is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from handlers.protocol.ws_frames import CloseReason, Opcode, encode_close_payload, encode_masked
from handlers.session import Session, guarded

log = logging.getLogger("holdfast.sockjs")

MESSAGES_A_TURN = 64
"""Messages of a client's handed on in one turn of the loop: a request may have hundreds of thousands, all empty."""


class VirtualTransport(asyncio.Transport):
    """One session's. Everything is called from the event loop's thread, and returns at once.

    The subclass writes, closes and aborts; it calls `begin` once the session is attached, `hear` with frames that the
    client has not sent itself, `press` when too much waits to be taken or no longer does, and `lose`, once, when the
    connection is over.
    """

    def __init__(self, extra: Mapping[str, object] | None = None) -> None:
        """`extra` is what `get_extra_info` knows of the client."""
        super().__init__(extra)
        self._protocol: Session | None = None
        self._is_reading = True
        self._is_writing_paused = False
        self._is_closing = self._is_lost = False
        self._readers: list[Callable[[], None]] = []
        self._unsaid: deque[bytes] = deque()
        self._unsaid_close: CloseReason | None = None
        self._is_saying = False

    # -- for the WebSocket session ------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Say whether nothing more is taken."""
        return self._is_closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Belong to the WebSocket session."""
        assert isinstance(protocol, Session), "nothing else is held"
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the WebSocket session."""
        assert self._protocol is not None, "not yet, or no longer"
        return self._protocol

    def pause_reading(self) -> None:
        """Take no more of the client's messages."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Take the client's messages again."""
        self._is_reading = True
        self._say_soon()
        self._let_read()

    def is_reading(self) -> bool:
        """Say whether the client's messages are taken."""
        return self._is_reading

    def can_write_eof(self) -> bool:
        """There is no half of such a connection."""
        return False

    # -- for whoever has the client -----------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be sent to the backend: it has not accepted yet, or has enough to do."""
        return (self._protocol is None or not self._is_reading or bool(self._unsaid)) and not self._is_closing

    def when_room(self, act: Callable[[], None]) -> None:
        """Call `act` once, when it is no longer full, or over."""
        self._readers.append(act)

    def no_longer(self, act: Callable[[], None]) -> None:
        """Forget `act`: whoever waited for room has gone. Harmless when it was called."""
        if act in self._readers:
            self._readers.remove(act)

    def say(self, messages: Iterable[bytes]) -> None:
        """Have the session take the client's messages, in this turn of the loop as many as fit into one."""
        if not self._is_closing:
            self._unsaid.extend(messages)
            self._say_on()

    def say_close(self, reason: CloseReason) -> None:
        """Have the session take the client's close, behind its messages."""
        self._unsaid_close = reason
        if not self._unsaid:
            self._hear_close()

    def begin(self) -> None:
        """The session is attached: in the next turn of the loop, when its link has begun as well, there is room."""
        if self._readers:
            soon(self._let_read)

    def hear(self, data: bytes) -> None:
        """Have the session take what its client sends; nothing only tells it that the client lives."""
        if self._protocol is not None and not self._is_closing:
            guarded(self._protocol, self._protocol.data_received, data)

    def press(self, is_too_much: bool) -> None:
        """Ask the session to write no more while too much waits, and to go on then."""
        if self._protocol is None or is_too_much is self._is_writing_paused or self._is_closing:
            return
        self._is_writing_paused = is_too_much
        if is_too_much:
            self._protocol.pause_writing()
        else:
            self._protocol.resume_writing()

    def begin_end(self) -> None:
        """Take no more; the session hears in the next turn of the loop that its connection is closed."""
        self._is_closing = True
        self._let_read()
        soon(self.lose)

    def lose(self) -> None:
        """Tell the session that its connection is closed. Once is enough."""
        self._is_closing = True
        self._let_read()
        if self._is_lost:
            return
        self._is_lost = True
        self._count_unsaid()
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            guarded(protocol, protocol.connection_lost, None)

    def _let_read(self) -> None:
        if self.is_full:
            return
        readers, self._readers = self._readers, []
        for act in readers:
            act()

    def _say_soon(self) -> None:
        # In a turn of its own: whoever has the reading go on is in the middle of taking what came before.
        if self._unsaid and not self._is_saying:
            self._is_saying = True
            soon(self._say_more)

    def _say_more(self) -> None:
        self._is_saying = False
        self._say_on()
        self._let_read()

    def _say_on(self) -> None:
        if self._is_saying or not self._is_reading or self._protocol is None or self._is_closing:
            return
        messages = [self._unsaid.popleft() for _ in range(min(len(self._unsaid), MESSAGES_A_TURN))]
        if messages:
            self.hear(b"".join([encode_masked(Opcode.TEXT, message) for message in messages]))
        if self._unsaid:
            self._say_soon()
        else:
            self._hear_close()

    def _hear_close(self) -> None:
        close, self._unsaid_close = self._unsaid_close, None
        if close is not None:
            self.hear(encode_masked(Opcode.CLOSE, encode_close_payload(close)))

    def _count_unsaid(self) -> None:
        unsaid, session = len(self._unsaid), self._protocol
        self._unsaid.clear()
        if unsaid and session is not None:
            session.site.counters.websocket_discarded += unsaid
            log.info("%s %d messages of the client came too late: the session is over", session.label, unsaid)


def soon(act: Callable[..., None], *arguments: object) -> None:
    """Do something in the next turn of the loop, as a transport does that has a socket."""
    asyncio.get_running_loop().call_soon(act, *arguments)
