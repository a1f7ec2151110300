"""A SockJS client's WebSocket with SockJS frames in it (`/SERVER/SESSION/websocket`): the whole session is on it."""

from __future__ import annotations

import asyncio

from handlers.framed import FramedSession
from handlers.protocol.sockjs import PayloadError, parse_socket_payload
from handlers.protocol.ws_frames import CloseCode, CloseReason, Frame, Opcode
from handlers.settings import WebSocketSettings
from handlers.sockjs.session import SockJsSession


class SockJsSocket(FramedSession):
    """One WebSocket, which is not on channels itself."""

    __slots__ = ("_of", "_text", "_text_limit")

    def __init__(
        self,
        *,
        of: SockJsSession,
        limits: WebSocketSettings,
        transport: asyncio.Transport,
        label: str,
    ) -> None:
        """A frame may have several messages in it, quoted, so it may be longer than a message."""
        super().__init__(
            site=of.shared.site,
            limits=limits,
            transport=transport,
            label=label,
            message_limit=limits.frame_limit,
            deflate=None,
        )
        self._of = of
        self._text = bytearray()

    # -- from the client ----------------------------------------------------------------------------------------------

    def on_frame(self, frame: Frame) -> None:
        """Answer a ping; hand the messages in a text on."""
        if frame.opcode is Opcode.PING:
            self.answer_ping(frame)
        elif frame.opcode is Opcode.BINARY:
            self.refuse(CloseCode.UNSUPPORTED_DATA, "SockJS has text only")
        elif frame.opcode is not Opcode.PONG:
            self._text += frame.data
            if frame.fin:
                text, self._text = bytes(self._text), bytearray()
                self._take_text(text)

    def on_close(self, frame: Frame, reason: CloseReason) -> None:
        """Hand the close to the backend, which answers it."""
        if not self.is_close_sent:
            self._of.client_closed(reason)

    def on_gone(self) -> None:
        """The client has gone without a close."""
        self._of.dropped(self)

    def pause_writing(self) -> None:
        """The client is behind."""
        super().pause_writing()
        self._of.behind(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._of.behind(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, whoever closed it."""
        super().connection_lost(exc)
        self._of.dropped(self)

    # -- from the session ---------------------------------------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """Whether the client has gone (`handlers.sockjs.session.Receiver`)."""
        return self.transport.is_closing()

    def deliver(self, frame: bytes) -> bool:
        """Send a frame."""
        self.send(Opcode.TEXT, frame)
        return True

    def end(self, frame: bytes, reason: CloseReason) -> None:
        """Send the last frame and close; to a client that has closed, the answer to that."""
        if self._client_close is not None:
            self.close(reason)
            return
        self.send(Opcode.TEXT, frame)
        self.close(CloseReason(code=CloseCode.NORMAL_CLOSURE))

    def drain(self) -> None:
        """The WebSocket session is drained, which ends this."""

    def end_silent(self, why: str) -> None:
        """Nothing moves, although heartbeats are written: without heartbeats only."""
        self.close(CloseReason(code=CloseCode.GOING_AWAY, reason=why))
        self._of.dropped(self)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _take_text(self, text: bytes) -> None:
        try:
            messages = parse_socket_payload(text, limit=self.limits.message_limit)
        except PayloadError as error:
            self.refuse(CloseCode.INVALID_DATA, str(error))
            return
        self._of.say(messages)
        if self._of.is_full:
            self.pause_reading()
            self._of.when_room(self.resume_reading)
