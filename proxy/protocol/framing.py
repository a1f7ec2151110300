"""The client's byte stream cut into requests, one at a time: the only parser between a client and us.

`RequestFramer` is fed what a client sends and hands out the current request's head, parsed, and its body, decoded;
`proxy.connection` feeds it and serves what it hands out. It is the only one because two parsers that may disagree are
what request smuggling is made of; and for the same reason what another one *before* us, in a CDN or balancer, could
have framed in another way is refused with a RequestError. Bytes after the current request stay raw bytes, so that
they can be given back when the connection is held.

It does not answer, decompress, pause the client (whoever feeds it watches `kept` and stops reading), or look at what
headers mean beyond `RequestHead`.

    data = framer.receive(received)     # bytes of the body; b"" while the head is incomplete
    framer.head                         # set as soon as the head is complete and sound
    framer.is_complete                  # the request has been received whole; answer it, hold it, or
    data = framer.next()                # go on to the next one, perhaps already here
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.protocol.chunked import ChunkedBody
from proxy.protocol.field_lines import CRLF, Buffer, find_stray
from proxy.protocol.repeated_head import HeadReader
from proxy.protocol.request_error import Refusal, RequestError, head_too_large
from proxy.protocol.request_head import RequestHead

__all__ = ["FramingLimits", "RequestError", "RequestFramer", "RequestHead"]

_HEAD_END = CRLF + CRLF


@dataclass(frozen=True, slots=True, kw_only=True)
class FramingLimits:
    """What one request may make us hold back before it is handed out, or refused."""

    head: int = 32768
    """Bytes of the request line and headers with their empty line."""

    headers: int = 128
    """Header lines, and again as many trailer lines."""

    chunk_line: int = 1024
    """Bytes of a chunk size with its extensions. Those in use carry one signature, about 90 bytes."""

    trailers: int = 8192
    """Bytes of a trailer section with its empty line."""

    empty_lines: int = 8
    """Empty lines skipped before a request line. RFC 9112 section 2.2 asks for "at least one"."""


class RequestFramer:
    """One client connection's requests, in turn.

    Whatever the splits of the input, the requests and the error are the same. What `receive` and `next` return,
    joined from one `next` to the following, is the body of one request, without its chunk framing and trailers.
    After a RequestError every further call raises it again.
    """

    __slots__ = (
        "_chunks",
        "_empty_lines",
        "_error",
        "_heads",
        "_left",
        "_limits",
        "_pending",
        "_scanned",
        "head",
        "head_bytes",
        "is_complete",
    )

    head: RequestHead | None
    """The current request's head; None until it is complete. Still set when its body turns out unsound."""

    head_bytes: bytes
    """The head as it was received, with its empty line; b"" while `head` is None. It parses to `head` again."""

    is_complete: bool
    """The current request has been received and handed out whole; what comes now is kept."""

    def __init__(self, limits: FramingLimits) -> None:
        self._limits = limits
        self._heads = HeadReader(max_headers=limits.headers)
        self._error: RequestError | None = None
        self._pending = bytearray()  # received, and neither handed out nor skipped
        self._begin()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the client; return what they hold of the current request's body.

        Raises RequestError: answer it and close. Bytes received with the faulty ones are then not handed out.
        """
        if self.is_complete:
            self._pending += data
            return b""
        if not self._pending:  # nearly always: then nothing is copied that need not be
            if self.head is None and self._error is None and self._heads.is_last(data):
                self.head, self.head_bytes, self.is_complete = self._heads.last, data, True
                return b""
            ready, used = self._advance(data)
            if used < len(data):
                self._pending += data[used:]
            return ready
        self._pending += data
        return self._advance_pending()

    def next(self) -> bytes:
        """Begin the next request; return what `receive` would for the kept bytes. Raises RequestError as it does.

        RuntimeError while the current request is incomplete: its rest would be read as a request.
        """
        if not self.is_complete:
            raise RuntimeError("the next request begins where the current one ends, which is not received yet")
        self._begin()
        return self._advance_pending() if self._pending else b""

    @property
    def has_body(self) -> bool:
        """Whether the current request announces a body: a length above 0, or chunks, though there may be none."""
        return self.head is not None and (self.head.chunked or bool(self.head.content_length))

    @property
    def is_part_way(self) -> bool:
        """Whether a part of the current request's head is here, and not all of it."""
        return self.head is None and bool(self._pending)

    @property
    def kept(self) -> int:
        """The number of bytes received beyond the current request; 0 while that is incomplete."""
        return len(self._pending) if self.is_complete else 0

    def take_kept(self) -> bytes:
        """Return the bytes received beyond the current request, and forget them; b"" while that is incomplete."""
        if not self.is_complete:
            return b""
        kept = bytes(self._pending)
        self._pending.clear()
        return kept

    def _begin(self) -> None:
        self.head = None
        self.head_bytes = b""
        self.is_complete = False
        self._chunks: ChunkedBody | None = None
        self._left = 0  # bytes of a Content-Length body still to come
        self._empty_lines = 0
        self._scanned = 0  # bytes of an incomplete head searched before

    def _advance_pending(self) -> bytes:
        ready, used = self._advance(self._pending)
        del self._pending[:used]
        return ready

    def _advance(self, buffer: Buffer) -> tuple[bytes, int]:
        """Return (bytes of the body, number of bytes of `buffer` done with)."""
        if self._error is not None:
            raise RequestError(self._error.status, self._error.text)
        try:
            return self._advance_head(buffer) if self.head is None else self._advance_body(buffer, 0)
        except RequestError as error:
            self._error = RequestError(error.status, error.text)  # `error` itself holds these frames and their buffers
            self._pending.clear()
            raise

    def _advance_head(self, buffer: Buffer) -> tuple[bytes, int]:
        start = self._skip_empty_lines(buffer) if buffer.startswith(CRLF) else 0
        end = self._find_head_end(buffer, start)
        if end is None:
            return b"", start
        head_bytes = bytes(buffer[start:end])
        self.head = head = self._heads.read(head_bytes)
        self.head_bytes = head_bytes
        # RFC 9112 section 6.3: Transfer-Encoding, else Content-Length, else (rule 7) no body. A head with both,
        # or with either in doubt, has been refused.
        if head.chunked:
            limits = self._limits
            self._chunks = ChunkedBody(
                line_limit=limits.chunk_line, trailers_limit=limits.trailers, max_trailers=limits.headers
            )
        elif head.content_length:
            self._left = head.content_length
        else:
            self.is_complete = True
            return b"", end
        return self._advance_body(buffer, end)

    def _skip_empty_lines(self, buffer: Buffer) -> int:
        # RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at
        # least one empty line (CRLF) received prior to the request-line."
        start = 0
        while buffer.startswith(CRLF, start):
            start += 2
            self._empty_lines += 1
            if self._empty_lines > self._limits.empty_lines:
                raise Refusal.EMPTY_LINES.error()
        return start

    def _find_head_end(self, buffer: Buffer, start: int) -> int | None:
        limit = start + self._limits.head
        end = buffer.find(_HEAD_END, max(start, start + self._scanned - 3), limit)
        if end >= 0:
            return end + 4
        # Something that is no HTTP, or ends its lines with LF, is told so now and not after a timeout.
        refusal = find_stray(buffer, max(start, start + self._scanned - 1), limit)
        if refusal is not None:
            raise refusal.error()
        if len(buffer) > limit:
            raise head_too_large(self._limits.head)
        self._scanned = len(buffer) - start
        return None

    def _advance_body(self, buffer: Buffer, body: int) -> tuple[bytes, int]:
        """Take what `buffer` holds of the body from index `body` on."""
        if self._chunks is not None:
            data, end = self._chunks.advance(buffer, body)
            self.is_complete = self._chunks.is_complete
            return data, end
        end = min(body + self._left, len(buffer))
        self._left -= end - body
        self.is_complete = not self._left
        return bytes(buffer[body:end]), end
