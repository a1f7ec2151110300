"""What a held session may ask of the door it came in by.

`handlers` never imports `proxy`: at hold time the door hands in one object of this shape, and sessions call
it synchronously from a publish or a timer. Every method returns at once; whatever needs awaiting, the door
does in a task of its own, counted and bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from handlers.protocol.http_filter import Question, Verdict
from handlers.protocol.subscribing import LastSeen
from handlers.protocol.ws_frames import Frame


class Door(Protocol):
    """The way back from a held connection to ordinary HTTP.

    `is_behind` says that the transport has told the session to pause writing, and not yet to resume.
    """

    def take_back(self, transport: asyncio.Transport, kept: bytes, *, is_behind: bool) -> None:
        """Serve HTTP on `transport` again, beginning with the bytes that came while it was held."""
        ...

    def retry(
        self, transport: asyncio.Transport, kept: bytes, request: bytes, *, last_seen: LastSeen, is_behind: bool
    ) -> None:
        """Send `request`, the bytes given at hold time, to the backend again for this client, and what it has seen."""
        ...

    def close(self, transport: asyncio.Transport) -> None:
        """Close a client's connection, once it has taken what was written; it does not have for ever to do so."""
        ...

    def gone(self, transport: asyncio.Transport) -> None:
        """Take note that a client's connection is closed."""
        ...


class GoneLink(Protocol):
    """Whoever wants to know that a hold has ended (`Grip-Link: rel=gone`). It is handed in with the session."""

    def ended(self) -> None:
        """The client is gone, or has had all that it is to have. Called once."""
        ...


class StreamLink(GoneLink, Protocol):
    """The way of one held stream to its backend (`Grip-Link: rel=next`), beside the request that it came by.

    It is handed in with the session (`handlers.linked_stream`), and calls `begin_part`, `append`, and then one of
    `hold_again`, `go_on` and `finish` on that. With `ended` it stops.
    """

    def fetch(self, last_seen: LastSeen) -> None:
        """Ask the backend for what comes behind that. Not again before the session has been told of the end of it."""
        ...

    def caught_up(self) -> None:
        """The client, which was behind, has taken what it was sent."""
        ...


class Asker(Protocol):
    """Whoever asks backends about items, for sessions whose filters are theirs (`http-check`, `http-modify`)."""

    def ask(self, question: Question, answered: Callable[[Verdict], None]) -> Callable[[], None]:
        """Ask, and call `answered` once, later: never within this call. What is returned calls it off."""
        ...


class WebSocketLink(Protocol):
    """The backend's side of one held WebSocket, whichever way the backend is spoken to.

    It is handed in with the session, and calls `relay`, `close`, `echo`, `fail` and `cut` on that, and `pause_reading`
    and `resume_reading` when it has enough to do and when it has not.
    """

    def receive(self, frame: Frame) -> None:
        """Take a frame of the client's, checked: fragments as they come, and its close frame as the last one."""
        ...

    def close_by_us(self) -> None:
        """Close towards the backend, without a code: the connection is being closed from here, or it has detached."""
        ...

    def client_gone(self) -> None:
        """The client's connection is lost, or was cut. Harmless after an end that the backend knows of."""
        ...

    def refresh(self) -> None:
        """Ask the backend once more (`action: refresh`), where it is one that is asked."""
        ...

    def client_behind(self, is_behind: bool) -> None:
        """The client takes less than it is sent, so send no more than must be; or it has caught up."""
        ...
