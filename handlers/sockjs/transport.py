"""A transport that is not a socket: what a WebSocket session takes for its client's connection.

Only the half of it towards the session is here; `session` says where what is written goes, and who the client is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from handlers.session import Session, guarded


class VirtualTransport(asyncio.Transport):
    """One session's. Everything is called from the event loop's thread, and returns at once.

    The subclass writes, closes and aborts; it calls `hear` with what the client sends as a client's frames, `press`
    when too much waits to be taken or no longer does, and `lose`, once, when the connection is over.
    """

    def __init__(self, extra: Mapping[str, object] | None = None) -> None:
        """`extra` is what `get_extra_info` knows of the client."""
        super().__init__(extra)
        self._protocol: Session | None = None
        self._is_reading = True
        self._is_writing_paused = False
        self._is_closing = self._is_lost = False
        self._readers: list[Callable[[], None]] = []

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
        """Whether the backend has enough to do, so that nothing more may be sent to it."""
        return not self._is_reading and not self._is_closing

    def when_room(self, act: Callable[[], None]) -> None:
        """Call `act` once, when it is no longer full, or over."""
        self._readers.append(act)

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
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            guarded(protocol, protocol.connection_lost, None)

    def _let_read(self) -> None:
        readers, self._readers = self._readers, []
        for act in readers:
            act()


def soon(act: Callable[..., None], *arguments: object) -> None:
    """Do something in the next turn of the loop, as a transport does that has a socket."""
    asyncio.get_running_loop().call_soon(act, *arguments)
