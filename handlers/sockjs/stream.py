"""A streaming answer to a SockJS client: `xhr_streaming`, `eventsource` and `htmlfile`. Pushpin has none of them.

It ends by itself once it is long, because browsers keep all of it; the client asks anew.
"""

from __future__ import annotations

import asyncio

from handlers.protocol.sockjs import Wrapping, wrap
from handlers.protocol.ws_frames import CloseReason
from handlers.sockjs.session import SockJsSession
from handlers.stream import StreamSession


class SockJsStream(StreamSession):
    """One streaming answer, whose head and prelude were sent by the door."""

    __slots__ = ("_left", "_of", "_wrapping")

    def __init__(
        self,
        *,
        of: SockJsSession,
        transport: asyncio.Transport,
        label: str,
        reusable: bool,
        chunked: bool,
        wrapping: Wrapping,
    ) -> None:
        self._of = of
        self._wrapping = wrapping
        self._left = of.shared.settings.response_limit
        super().__init__(site=of.shared.site, transport=transport, reusable=reusable, label=label, chunked=chunked)

    @property
    def is_gone(self) -> bool:
        """Whether the client has gone (`handlers.sockjs.session.Receiver`)."""
        return self.transport.is_closing()

    def deliver(self, frame: bytes) -> bool:
        """Append a frame; behind the one that fills the answer up it ends."""
        data = wrap(self._wrapping, frame)
        self._left -= len(data)
        if self._left <= 0:
            self.finish(data)
            return False
        self.write(self.frame(data))
        self.touched = self.site.clock.now()
        return True

    def end(self, frame: bytes, reason: CloseReason) -> None:
        """Append the last frame."""
        self.finish(wrap(self._wrapping, frame))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, which ends the session unless the answer had ended."""
        super().connection_lost(exc)
        self._of.dropped(self)

    def pause_writing(self) -> None:
        """The client is behind."""
        super().pause_writing()
        self._tell()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._tell()

    def drain(self) -> None:
        """The WebSocket session is drained, which ends this."""

    def _tell(self) -> None:
        if not self.is_ended:
            self._of.behind(self.is_behind)
