"""The client's bytes turned into requests, one at a time.

One `Feed` a connection. It hands out one request at a time: its head as soon as that is complete, its body as it comes,
and the next request only once this one is answered. Bytes of later requests stay bytes until their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.body_reader import BodyOwner, BodyReader
from proxy.errors import RequestBodyError
from proxy.protocol.framing import FramingLimits, RequestError, RequestFramer, RequestHead

KEPT_LIMIT = 65_536
"""Bytes of later requests read ahead while one is answered."""
TURN_BYTES = 16_384
"""Bytes of a chunked body decoded in one turn of the loop. One-byte chunks cost 0.5 us a byte: a whole read of 256 KB
would keep everybody else waiting for a tenth of a second."""

Message = tuple[RequestHead | RequestError, BodyReader | bytes]
"""A request that begins, and its body: bytes where it is here whole, as it is where there is none."""


class FeedOwner(BodyOwner, Protocol):
    """The connection, as its feed sees it."""

    def pause_for_kept(self) -> None:
        """Stop reading: enough of later requests is kept."""
        ...

    def resume_for_kept(self) -> None:
        """Read on after `pause_for_kept`. Harmless without one."""
        ...

    def close(self) -> None:
        """Close: what comes is not worth waiting for."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take bytes as if they came from the client now."""
        ...


class Feed:
    """Bytes in, requests out, one at a time."""

    __slots__ = ("_goes_on", "_later", "_owner", "_reader", "framer", "is_answered", "is_begun", "is_refused")

    def __init__(self, owner: FeedOwner, limits: FramingLimits) -> None:
        self.framer = RequestFramer(limits)
        self._owner = owner
        self._reader: BodyReader | None = None
        """Of the current request's body, unless that was here whole at once."""
        self._goes_on = False
        self._later = b""  # received, and left for the next turn of the loop
        self.is_begun = False
        """Whether a request has been handed out, and not yet followed by the next one."""
        self.is_answered = False
        """Whether the current request has been answered; set by the connection."""
        self.is_refused = False

    @property
    def is_between_requests(self) -> bool:
        """Whether nothing that was received waits for its answer; part of a head counts as nothing."""
        return (not self.is_begun or self.is_answered) and not self.is_refused

    def receive(self, data: bytes) -> Message | None:
        """Take bytes from the client; return the request that begins with them, if one does."""
        if self.is_refused:
            return None
        if self._later:
            self._later += data
            return None
        framer = self.framer
        if len(data) > TURN_BYTES and (framer.head is None or self._is_in_chunks):
            message = self._step(self._receive_long, data)
        else:
            message = self._step(framer.receive, data)
        if self._goes_on and framer.is_complete:
            message = self._next()
        if framer.kept > KEPT_LIMIT:
            self._owner.pause_for_kept()
        return message

    def go_on(self) -> Message | None:
        """Begin the next request, the current one being answered: now, or as soon as this one's body is here whole."""
        self._goes_on = True
        return self._next() if self.framer.is_complete else None

    def take_kept(self) -> bytes:
        """Return the bytes received beyond the current request, and forget them."""
        kept = self.framer.take_kept() + self._later
        self._later = b""
        return kept

    def discard_body(self) -> None:
        """Throw away what comes of the current request's body."""
        if self._reader is not None:
            self._reader.discard()

    def fail_body(self, error: BaseException) -> None:
        """Have whoever reads the body see that no more will come; one that is here whole can still be read."""
        if self._reader is not None and not self._reader.is_ended:
            self._reader.fail(error)

    def let_go(self) -> None:
        """Refer to the connection no more, so that both are freed at once and not when the collector next runs."""
        self._reader = None
        self._later = b""
        del self._owner

    @property
    def _is_in_chunks(self) -> bool:
        head = self.framer.head
        return head is not None and head.chunked and not self.framer.is_complete

    def _receive_long(self, data: bytes) -> bytes:
        """Take more than is decoded of chunks in one turn; only whoever knows the head knows whether it is of those."""
        framer = self.framer
        while True:
            ready, data = framer.receive(data[:TURN_BYTES]), data[TURN_BYTES:]
            if framer.head is not None or not data:
                break
        if data and self._is_in_chunks:
            self._later = data
            self._owner.pause_for_kept()
            asyncio.get_running_loop().call_soon(self._go_on_later)
        elif data:
            ready += framer.receive(data)
        return ready

    def _begin_next(self) -> bytes:
        framer = self.framer
        if framer.kept <= TURN_BYTES:
            return framer.next()
        kept = framer.take_kept()
        framer.next()
        return self._receive_long(kept)

    def _go_on_later(self) -> None:
        later, self._later = self._later, b""
        if not later:
            return  # the connection has been let go meanwhile
        self._owner.data_received(later)
        if not self._later and self.framer.kept <= KEPT_LIMIT:
            self._owner.resume_for_kept()

    def _next(self) -> Message | None:
        self._goes_on = self.is_answered = self.is_begun = False
        self._reader = None
        message = self._step(self._begin_next)
        if not self._later and self.framer.kept <= KEPT_LIMIT:
            self._owner.resume_for_kept()
        return message

    def _step(self, advance: Callable[..., bytes], *received: bytes) -> Message | None:
        framer = self.framer
        try:
            data = advance(*received)
        except RequestError as error:
            return self._refuse(error)
        if self._reader is not None:
            self._fill(self._reader, data)
            return None
        if self.is_begun or framer.head is None:
            return None
        self.is_begun = True
        if framer.is_complete:
            return framer.head, data
        self._reader = BodyReader(self._owner)
        self._fill(self._reader, data)
        return framer.head, self._reader

    def _fill(self, reader: BodyReader, data: bytes) -> None:
        reader.feed(data)
        if self.framer.is_complete:
            reader.end()

    def _refuse(self, error: RequestError) -> Message | None:
        self.is_refused = True
        if not self.is_begun:
            self.is_begun = True
            return error, b""
        if self.is_answered:
            self._owner.close()
        elif self._reader is not None:
            self._reader.fail(RequestBodyError(error.text))
        return None
