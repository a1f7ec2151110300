"""The client's bytes turned into requests for aiohttp's server, in the place of aiohttp's own parser.

One `Feed` a connection. It hands out one request at a time: its head as soon as that is complete, its body as it comes,
and the next request only once this one is answered. Bytes of later requests stay bytes until their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from proxy.errors import RequestBodyError
from proxy.protocol.framing import FramingLimits, RequestError, RequestFramer, RequestHead

READ_BUFFER = 65_536
"""Bytes of a request body read ahead of a backend that takes them slowly; twice that is the most ever held."""
KEPT_LIMIT = 65_536
"""Bytes of later requests read ahead while one is answered."""
TURN_BYTES = 16_384
"""Bytes of a chunked body decoded in one turn of the loop. One-byte chunks cost 0.5 us a byte: a whole read of 256 KB
would keep everybody else waiting for a tenth of a second."""

Message = tuple[RequestHead | RequestError, StreamReader]


class FeedOwner(Protocol):
    """The connection, as its feed sees it."""

    def take_messages(self, messages: list[Message]) -> None:
        """Put requests that were kept behind the one just answered up for their turn."""
        ...

    def pause_for_kept(self) -> None:
        """Stop reading: enough of later requests is kept."""
        ...

    def resume_for_kept(self) -> None:
        """Read on after `pause_for_kept`."""
        ...

    def close(self) -> None:
        """Begin no further request, and close when what is under way is over."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take bytes as if they came from the client now."""
        ...


class Feed:
    """Stands where aiohttp keeps its parser: bytes in, requests out, one at a time."""

    def __init__(self, owner: FeedOwner, protocol: BaseProtocol, limits: FramingLimits) -> None:
        """`protocol` is what body readers pause and resume; in practice it is the owner itself."""
        self.framer = RequestFramer(limits)
        self._owner = owner
        self._protocol = protocol
        self._payload: StreamReader | None = None
        self._goes_on = False
        self._later = b""  # received, and left for the next turn of the loop
        self.is_answered = False
        self.is_refused = False

    @property
    def is_between_requests(self) -> bool:
        """Whether nothing that was received waits for its answer; part of a head counts as nothing."""
        return (self._payload is None or self.is_answered) and not self.is_refused

    def feed_data(self, data: bytes) -> tuple[list[Message], bool, bytes]:
        """Take bytes from the client; return the requests that begin with them (aiohttp's parser interface)."""
        if self.is_refused:
            return [], False, b""
        if self._later and data:
            self._later += data
            return [], False, b""
        if self._is_in_chunks and len(data) > TURN_BYTES:
            data = self._put_off(data)
        messages = self._step(lambda: self.framer.receive(data))
        if self._goes_on and self.framer.is_complete:
            messages += self._next()
        if self.framer.kept > KEPT_LIMIT:
            self._owner.pause_for_kept()
        return messages, False, b""

    def go_on(self) -> None:
        """The current request is answered: begin the next one, as soon as this one's body is here whole."""
        self._goes_on = True
        if self.framer.is_complete:
            self._owner.take_messages(self._next())

    def take_kept(self) -> bytes:
        """Return the bytes received beyond the current request, and forget them."""
        kept = self.framer.take_kept() + self._later
        self._later = b""
        return kept

    def end_body(self) -> None:
        """Call the current request's body complete, however it stands."""
        if self._payload is not None and not self._payload.is_eof():
            self._payload.feed_eof()

    def let_go(self) -> None:
        """Refer to the connection no more, so that both are freed at once and not when the collector next runs."""
        self._payload = None
        self._later = b""
        del self._owner, self._protocol

    def pause_reading(self) -> None:
        """Nothing is buffered here that a pause would hold back (aiohttp's parser interface)."""

    def message_consumed(self) -> None:
        """Requests are handed out one at a time, so there is no queue to free (aiohttp's parser interface)."""

    @property
    def _is_in_chunks(self) -> bool:
        head = self.framer.head
        return head is not None and head.chunked and not self.framer.is_complete

    def _put_off(self, data: bytes) -> bytes:
        self._later = data[TURN_BYTES:]
        self._owner.pause_for_kept()
        asyncio.get_running_loop().call_soon(self._go_on_later)
        return data[:TURN_BYTES]

    def _go_on_later(self) -> None:
        later, self._later = self._later, b""
        if not later:
            return  # the connection has been let go meanwhile
        self._owner.data_received(later)
        if not self._later and self.framer.kept <= KEPT_LIMIT:
            self._owner.resume_for_kept()

    def _next(self) -> list[Message]:
        self._goes_on = self.is_answered = False
        self._payload = None
        messages = self._step(self.framer.next)
        if self.framer.kept <= KEPT_LIMIT:
            self._owner.resume_for_kept()
        return messages

    def _step(self, advance: Callable[[], bytes]) -> list[Message]:
        try:
            data = advance()
        except RequestError as error:
            return self._refuse(error)
        messages: list[Message] = []
        if self._payload is None and self.framer.head is not None:
            self._payload = self._open_payload()
            messages.append((self.framer.head, self._payload))
        if self._payload is not None:
            self._fill(self._payload, data)
        return messages

    def _open_payload(self) -> StreamReader:
        if self.framer.is_complete and not self.framer.has_body:
            return EMPTY_PAYLOAD
        return StreamReader(self._protocol, READ_BUFFER, loop=asyncio.get_running_loop())

    def _fill(self, payload: StreamReader, data: bytes) -> None:
        if data:
            payload.feed_data(data)
        if self.framer.is_complete and not payload.is_eof():
            payload.feed_eof()

    def _refuse(self, error: RequestError) -> list[Message]:
        self.is_refused = True
        if self._payload is None:
            return [(error, EMPTY_PAYLOAD)]
        if self.is_answered:
            # Only aiohttp still reads, to throw it away, and would log the error as one of ours.
            self._payload.feed_eof()
            self._owner.close()
        else:
            self._payload.set_exception(RequestBodyError(error.text))
        return []
