"""A publisher's request head: from bytes to what the publish port goes by.

Called by `publish_api.plan`, which remembers what it made of a head, and by `publish_api.connection` for heads that
come in pieces. The grammar is llhttp's in its strict form (through `httptools`): no bare LF, no folded lines, no
length beside a transfer coding. What it lets pass and two readers could take differently is refused here.
Bodies are not read here: a head's `content_length` says where its body ends.
"""

from __future__ import annotations

from typing import Final

import httptools
import msgspec

from handlers.protocol.http1 import Headers

HEAD_END: Final = b"\r\n\r\n"

MAX_HEADERS: Final = 128
"""Header lines a request may have."""

_SINGLE: Final = frozenset(
    (
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"etag",
        b"host",
        b"max-forwards",
        b"server",
        b"transfer-encoding",
        b"user-agent",
    )
)
"""Headers that may come once: whoever reads the first and whoever reads the last must read the same."""


class BadHead(Exception):
    """Bytes are no request. `text` is what the publisher reads, `reason` says more, for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def text(self) -> str:
        """The text of reference 6.1 for it, without a line end."""
        if self.reason.startswith("Too many"):
            return "Request header too large."
        return "Bad Content-Length." if "Content-Length" in self.reason else "Failed to parse request header."


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a head says."""

    method: str
    target: str
    """As it was sent: the grammar lets no byte above 127 pass."""

    version: bytes = b"1.1"
    """b"1.0", b"1.1", or another that the grammar knows."""

    headers: Headers = ()
    content_length: int | None = None
    """Bytes of the body, None when the head does not say."""

    has_coding: bool = False
    """The body has a transfer coding, so that only who decodes it knows where it ends."""

    asks_keep_alive: bool = False
    """The publisher says that it will use the connection again."""

    allows_more: bool = False
    """Another request may follow on the connection, asked for or not (RFC 9112 section 9.3)."""

    expects_continue: bool = False
    """The publisher may wait to be told to send its body (RFC 9110 section 10.1.1)."""


def check_behind(head: RequestHead, data: bytes) -> None:
    """Return if `data`, which follows a request with this head, may be a request or its beginning. Raises BadHead."""
    if not data.strip(b"\r\n"):
        return
    if not head.allows_more:
        raise BadHead("Data after `Connection: close`")
    HeadReader().feed(data.partition(HEAD_END)[0])


class HeadReader:
    """Reads one head, in as many pieces as it comes. Feed nothing behind its end."""

    __slots__ = ("_lines", "_parser")

    def __init__(self) -> None:
        self._lines = _Lines()  # the parser knows it and not this reader: no cycle for the collector
        self._parser = httptools.HttpRequestParser(self._lines)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises BadHead as soon as they cannot become a request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # RFC 9110 section 7.8: "A server MAY ignore a received Upgrade header field".
            return
        except httptools.HttpParserError as error:
            raise BadHead(str(error)) from error

    def finish(self) -> RequestHead:
        """Return what was read. Raises BadHead when it is no whole head, or none that everybody reads alike."""
        lines = self._lines
        if not lines.is_complete:
            raise BadHead("Incomplete head")
        # The white space in front is gone already (RFC 9112 section 5).
        headers = tuple([(name, value.rstrip(b" \t")) for name, value in lines.headers])
        version = self._parser.get_http_version().encode()
        method = self._parser.get_method()
        if lines.target == b"*" and method != b"OPTIONS":  # RFC 9112 section 3.2.4
            raise BadHead("Invalid target")
        by_name = _index(headers, version)
        options = [option.strip() for option in by_name.get(b"connection", b"").lower().split(b",")]
        # RFC 9112 section 9.3, in its order. The parser's own word on it is gone once the head is read.
        allows_more = b"close" not in options and (version == b"1.1" or b"keep-alive" in options)
        length = by_name.get(b"content-length")
        return RequestHead(
            method=method.decode(),
            target=lines.target.decode(),
            version=version,
            headers=headers,
            # Zeros in front have no end: `int` refuses more than 4,300 digits.
            content_length=None if length is None else int(length.lstrip(b"0") or b"0"),
            has_coding=b"transfer-encoding" in by_name,
            asks_keep_alive=allows_more and b"keep-alive" in options,
            allows_more=allows_more,
            expects_continue=by_name.get(b"expect", b"").lower() == b"100-continue" and version == b"1.1",
        )


def parse_head(data: bytes) -> RequestHead:
    """Return the one head, with its empty line, that `data` is. Raises BadHead."""
    reader = HeadReader()
    reader.feed(data)
    return reader.finish()


class PartialHead:
    """A head that comes in pieces, told at once when they cannot become one."""

    __slots__ = ("_buffer", "_limit", "_reader")

    def __init__(self, *, limit: int) -> None:
        """`limit` is in bytes."""
        self._limit = limit
        self._buffer = bytearray()
        self._reader = HeadReader()

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes; return all bytes so far once a whole head is among them. Raises BadHead."""
        known = len(self._buffer)
        self._buffer += data
        end = self._buffer.find(HEAD_END, max(known - len(HEAD_END) + 1, 0))
        length = len(self._buffer) if end < 0 else end + len(HEAD_END)
        self._reader.feed(bytes(self._buffer[known:length]))
        if length > self._limit:
            raise BadHead(f"Too many bytes: {length}")
        return None if end < 0 else bytes(self._buffer)


class _Lines:
    """What the parser calls: it collects a head's parts."""

    __slots__ = ("headers", "is_complete", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def _index(headers: Headers, version: bytes) -> dict[bytes, bytes]:
    """Return each name, in lower case, with its value, or with all its values as one list. Raises BadHead."""
    if len(headers) > MAX_HEADERS:
        raise BadHead(f"Too many headers: {len(headers)}")
    by_name: dict[bytes, bytes] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if name not in by_name:
            by_name[name] = value
        elif name in _SINGLE:
            raise BadHead(f"Duplicate {raw_name.decode('latin-1').title()}")
        else:
            by_name[name] += b"," + value
    # RFC 9112 section 3.2 wants it in every HTTP/1.1 request.
    if version == b"1.1" and b"host" not in by_name:
        raise BadHead("Missing Host")
    return by_name
