"""What waits for one SockJS client, in its order, and what is due when (reference 8.1).

A pure machine: time comes in as `now`, in monotonic seconds. `handlers.sockjs.session` asks it what the client gets
next and wakes it at its `deadline`. A client is *there* while a poll or a stream of its waits for something; between
two polls it is not, and what comes then is kept.
"""

from __future__ import annotations

import enum
import math

from handlers.protocol.sockjs import OPEN, encode_closed, join_messages
from handlers.protocol.ws_frames import CloseReason


class Due(enum.Enum):
    """What a deadline was for."""

    HEARTBEAT = enum.auto()
    """The client is there and has heard nothing: it is to be told that all is well."""
    ABANDONED = enum.auto()
    """The client has not come back: the session is over, and the backend is to hear of it."""
    FORGOTTEN = enum.auto()
    """The session was closed, and whoever wanted to know how has had the time to ask."""
    BEHIND = enum.auto()
    """More than the limit has waited for longer than the grace."""


BURST = 4
"""Times the limit that may wait during the grace: a burst puts every client behind that polls."""


class Mailbox:
    """One session. Times are in seconds, no `heartbeat` is 0; `limit` is in bytes of JSON.

    More may wait for `grace` seconds; a client has to come for it meanwhile.
    """

    __slots__ = (
        "_behind_until",
        "_closed",
        "_grace",
        "_heartbeat",
        "_is_told",
        "_limit",
        "_messages",
        "_patience",
        "_until",
        "is_there",
        "size",
    )

    def __init__(self, *, heartbeat: float, patience: float, limit: int, grace: float) -> None:
        self._heartbeat = heartbeat or math.inf
        self._patience = patience
        self._limit = limit
        self._grace = grace
        self._messages: list[bytes] = []
        self._is_told = False  # of its being open
        self._closed: bytes | None = None
        self._until = self._behind_until = math.inf
        self.size = 0
        """Bytes of messages that wait."""
        self.is_there = False

    @property
    def deadline(self) -> float:
        """When `due` is to be asked."""
        return min(self._until, self._behind_until)

    @property
    def is_closed(self) -> bool:
        """Whether nothing comes behind what waits now but how the session has ended."""
        return self._closed is not None

    @property
    def is_behind(self) -> bool:
        """Whether more waits than the limit."""
        return self.size > self._limit

    def put(self, message: bytes, now: float) -> bool:
        """Keep a message; say whether there was room. What is larger than `BURST` times the limit has room alone."""
        if self.is_closed:
            return True
        if self._messages and self.size + len(message) > BURST * self._limit:
            return False
        self._messages.append(message)
        self.size += len(message)
        if self.is_behind and self._behind_until == math.inf:
            self._behind_until = now + self._grace
        return True

    def close(self, reason: CloseReason, now: float) -> None:
        """End the session behind what waits; from here on it is remembered for `patience`, whoever asks meanwhile.

        Only the first reason counts.
        """
        if self._closed is None:
            self._until = now + self._patience
            self._closed = encode_closed(reason)

    def fail(self, reason: CloseReason, now: float) -> int:
        """End the session at once; return how many messages nobody gets any more."""
        lost = len(self._messages)
        self._empty()
        self._is_told = True
        self.close(reason, now)
        return lost

    def came(self, now: float) -> None:
        """The client is there."""
        self.is_there = True
        self._wait(now + self._heartbeat)

    def left(self, now: float) -> None:
        """The client has got what it waited for, and may come back."""
        self.is_there = False
        self._wait(now + self._patience)

    def take(self, now: float) -> bytes | None:
        """Return the frame that the client gets next, if there is one. How the session has ended is told again."""
        frame = self._next()
        if frame is not None and self.is_there:
            self._wait(now + self._heartbeat)
        return frame

    def due(self, now: float) -> Due | None:
        """Say what the deadline was for, if it has come. The client is told of a heartbeat by `HEARTBEAT`."""
        if self._behind_until <= now:
            self._behind_until = math.inf
            return Due.BEHIND
        if self._until > now:
            return None
        if self.is_there and not self.is_closed:
            self._until = now + self._heartbeat
            return Due.HEARTBEAT
        self._until = math.inf
        return Due.FORGOTTEN if self.is_closed else Due.ABANDONED

    def _next(self) -> bytes | None:
        if not self._is_told:
            self._is_told = True
            return OPEN
        if self._messages:
            frame = join_messages(self._messages)
            self._empty()
            return frame
        return self._closed

    def _empty(self) -> None:
        self._messages = []
        self.size = 0
        self._behind_until = math.inf

    def _wait(self, until: float) -> None:
        if not self.is_closed:
            self._until = until
