"""A poll of a SockJS client, held until there is a frame for it: `xhr` and `jsonp` (reference 8.1)."""

from __future__ import annotations

import asyncio

from handlers.protocol.answers import Answer, AnswerForm, encode_answer
from handlers.protocol.http1 import Headers
from handlers.protocol.sockjs import Wrapping, wrap
from handlers.protocol.ws_frames import CloseReason
from handlers.session import Session
from handlers.sockjs.session import SockJsSession


class SockJsPoll(Session):
    """One poll. It has no deadline of its own: the SockJS session sees to heartbeats."""

    __slots__ = ("_callback", "_form", "_headers", "_of", "_wrapping")

    def __init__(
        self,
        *,
        of: SockJsSession,
        transport: asyncio.Transport,
        label: str,
        form: AnswerForm,
        headers: Headers,
        wrapping: Wrapping,
        callback: bytes,
    ) -> None:
        super().__init__(site=of.shared.site, transport=transport, reusable=form.reusable, label=label)
        self._of = of
        self._form = form
        self._headers = headers
        self._wrapping = wrapping
        self._callback = callback

    @property
    def is_gone(self) -> bool:
        """Whether the client has gone (`handlers.sockjs.session.Receiver`)."""
        return self.transport.is_closing()

    def deliver(self, frame: bytes) -> bool:
        """Answer with a frame; there is room for no other."""
        answer = frame_answer(wrap(self._wrapping, frame, self._callback), self._headers)
        self.leave()
        self.transport.write(encode_answer(answer, self._form))
        self.give_back()
        return False

    def end(self, frame: bytes, reason: CloseReason) -> None:
        """Answer with the last frame."""
        self.deliver(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, which ends the session unless the poll was answered."""
        super().connection_lost(exc)
        self._of.dropped(self)

    def on_deadline(self, now: float) -> None:
        """There is none."""

    def drain(self) -> None:
        """The WebSocket session is drained, which answers this."""


def frame_answer(body: bytes, headers: Headers) -> Answer:
    """Return what a poll is answered with."""
    return Answer(status=200, reason=b"OK", headers=headers, body=body)
