"""A publisher's connection: aiohttp's server, with this port's own texts for bytes that are no request.

Used by `publish_api.http`. The only file of the package that touches what aiohttp's server keeps to itself, and why:
aiohttp answers malformed requests with a text and a traceback of its own, takes a publisher's half-close for a lost
connection, closes on clients that are still sending, and adds headers to answers.
tests/publish_api/test_connection.py fails loudly when a release changes it, and pyproject.toml bounds the releases.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.http_writer import HttpVersion10
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.protocol.http1 import Headers, encode_head, standard_reason
from handlers.protocol.mercure.presenting import without_tokens
from handlers.timers import Clock
from publish_api.errors import RequestRefused
from publish_api.settings import PublishSettings

log = logging.getLogger("holdfast.publish")

READ_BUFFER = 65_536
"""Bytes of a body aiohttp reads ahead of us."""

UNREAD_LIMIT = 65_536
"""Bytes of answers a pipelining publisher may leave unread; behind them its connection ends."""

LENGTH_REQUIRED = RequestRefused(411, "Request requires Content-Length.")
HEAD_TOO_LARGE = RequestRefused(400, "Request header too large.")


class PublishResponse(StreamResponse):
    """A whole answer, written in one call with the headers given and those that frame it.

    `note` is added to the request's log line. Nothing of what StreamResponse could do besides is used.
    """

    def __init__(
        self, status: int, body: bytes, *, headers: Headers = (), content_type: bytes = b"text/plain", note: str = ""
    ) -> None:
        super().__init__(status=status)
        self.size = len(body)
        self.note = note
        self._content = body
        self._fields = (*headers, (b"Content-Type", content_type))
        self._keeps_open = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection serves another request; known once the answer is written."""
        return self._keeps_open

    async def prepare(self, request: BaseRequest) -> None:
        """Write the answer. Raises ConnectionResetError when the publisher is gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the publisher is gone")
        self._keeps_open = keeps_open(request) and transport.get_write_buffer_size() < UNREAD_LIMIT
        head = encode_head(
            # aiohttp gives what it could not parse an HTTP/1.0 of its own making.
            version=b"1.0" if request.version == HttpVersion10 and request.method != "UNKNOWN" else b"1.1",
            status=self.status,
            reason=standard_reason(self.status),
            headers=(
                *self._fields,
                (b"Connection", b"keep-alive" if self._keeps_open else b"close"),
                (b"Content-Length", b"%d" % self.size),
            ),
        )
        # Tools that know Pushpin read a body behind HEAD too. RFC 9110 section 9.3.2 forbids it, so it comes only where
        # it cannot be taken for the next answer: on a connection that ends here.
        is_bare = request.method == "HEAD" and self._keeps_open
        transport.write(head if is_bare else head + self._content)
        if not self._keeps_open and transport.can_write_eof():
            transport.write_eof()

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the answer is written."""


def keeps_open(request: BaseRequest) -> bool:
    """Say whether the connection may serve another request.

    Only a publisher that says `Connection: keep-alive` gets it, in HTTP/1.1 too: many read to the end, as Pushpin
    always closes. A body that is not here yet would have to be read first, by which time the answer is unwanted.
    """
    connection = request.protocol
    asked = "keep-alive" in [word.strip() for word in request.headers.get("Connection", "").lower().split(",")]
    return (
        asked
        and request.keep_alive
        and request.content.is_eof()
        and isinstance(connection, PublishConnection)
        and not connection.is_last
    )


class PublishConnectionServer(Server):
    """Makes a `PublishConnection` for each accepted socket; `answer` serves every well-formed request."""

    def __init__(
        self,
        answer: Callable[[BaseRequest], Awaitable[PublishResponse]],
        settings: PublishSettings,
        *,
        counters: Counters,
        clock: Clock,
    ) -> None:
        super().__init__(answer)
        self._settings = settings
        self._counters = counters
        self._clock = clock

    def __call__(self) -> PublishConnection:
        """Make the protocol of a new connection."""
        return PublishConnection(self, self._settings, counters=self._counters, clock=self._clock)


class PublishConnection(RequestHandler):
    """One publisher's connection. Requests on it are answered one after the other."""

    __slots__ = (
        "_answered",
        "_clock",
        "_closed",
        "_counters",
        "_excess_behind",
        "_has_ended",
        "_is_refused",
        "_last_body",
        "_settings",
    )

    def __init__(
        self, server: PublishConnectionServer, settings: PublishSettings, *, counters: Counters, clock: Clock
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=log,
            # Also the time in which a new connection's first request must have come.
            keepalive_timeout=settings.keep_alive_timeout or settings.request_timeout,
            lingering_time=settings.linger_timeout,
            max_line_size=settings.max_head,
            max_field_size=settings.max_head,
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
        )
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self._answered = 0
        self._closed: asyncio.Future[None] | None = None
        self._excess_behind: RawRequestMessage | None = None
        self._has_ended = False
        self._is_refused = False
        self._last_body: StreamReader = EMPTY_PAYLOAD

    @property
    def is_last(self) -> bool:
        """Whether nothing follows the request being answered, or nothing is to follow."""
        return not self._settings.keep_alive_timeout or (self._has_ended and not self._messages)

    def data_received(self, data: bytes) -> None:
        """Parse what came. Behind bytes that are no request nothing is read as one."""
        if self._is_refused:
            return
        super().data_received(data)
        if not self._messages:
            return
        message, body = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._last_body = body
            return
        self._is_refused = True
        # A request that came in one piece with the bad bytes is not among the messages: aiohttp drops it.
        self._excess_behind = self._parse_head(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what still waits for the publisher."""
        super().connection_lost(exc)
        if not self._last_body.is_eof():
            # aiohttp tells only who reads a body while a request is answered, not who drains it after the answer.
            self._last_body.feed_eof()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Answer a publisher that closes its sending half behind its request (as `nc -N` does) before closing."""
        is_idle = self._answered == self._request_count
        if is_idle or self._is_refused or not self._last_body.is_eof():
            return None
        self._has_ended = True
        return True

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> PublishResponse:
        """Answer bytes that are no request, or a request whose serving raised."""
        if not isinstance(exc, HttpProcessingError):
            log.debug("a publisher's request failed", exc_info=exc)
            return PublishResponse(500, b"Internal server error.\n", note=f" error={exc!r}")
        refused = explain(exc, self._excess_behind)
        note = f" error={refused.text!r} ({exc.message.partition(':')[0]})"
        return PublishResponse(refused.status, f"{refused.text}\n".encode(), note=note)

    async def finish_response(
        self, request: BaseRequest, resp: StreamResponse, start_time: float | None
    ) -> tuple[StreamResponse, bool]:
        """Write the answer, log the request, and let who was refused finish sending for a moment."""
        finished = await super().finish_response(request, resp, start_time)
        self._answered += 1
        if self._is_refused and not self._messages:
            await self._linger()
        return finished

    def log_access(self, request: BaseRequest, response: StreamResponse, time: float | None) -> None:
        """Write the one line a request gets, in Pushpin's shape (reference 8.3)."""
        if not isinstance(response, PublishResponse):
            return
        if response.status >= 400:
            self._counters.publishes_refused += 1
        level = logging.INFO if response.status < 400 else logging.WARNING if response.status < 500 else logging.ERROR
        path = without_tokens(request.raw_path).encode("ascii", "backslashreplace").decode()
        log.log(
            level,
            "control: %s %.200s code=%d %d%.500s",
            request.method,
            path,
            response.status,
            response.size,
            response.note,
        )

    def log_exception(self, *args: object, **kw: object) -> None:
        """Write what aiohttp did not expect on one line."""
        log.error("publish connection failed: %s %r", args[0] if args else "", kw.get("exc_info"))

    async def _linger(self) -> None:
        """Wait until the publisher closes: closing first, on bytes not yet read, would destroy the answer."""
        seconds = self._settings.linger_timeout
        if not seconds or self.transport is None or self.transport.is_closing():
            return
        self._closed = asyncio.get_running_loop().create_future()
        try:
            async with Deadline(self._clock, seconds):
                await self._closed
        except TimeoutError:
            log.debug("a refused publisher went on sending; cut")

    def _parse_head(self, data: bytes) -> RawRequestMessage | None:
        """Return the request whose head `data` begins with: the bad bytes then stand behind it."""
        head, blank, _ = data.partition(b"\r\n\r\n")
        parser = HttpRequestParser(self, asyncio.get_running_loop(), READ_BUFFER)
        try:
            messages, _, _ = parser.feed_data(head + blank)
        except HttpProcessingError:
            return None
        return messages[0][0] if messages else None


def explain(error: HttpProcessingError, excess_behind: RawRequestMessage | None) -> RequestRefused:
    """Return this port's own status and text for what aiohttp's parser says (reference 6.1)."""
    what = error.message.partition(":")[0]
    if excess_behind is not None:
        return (
            LENGTH_REQUIRED if excess_behind.chunked else RequestRefused(400, "Request body exceeded Content-Length.")
        )
    if isinstance(error, LineTooLong) or what.startswith("Too many headers"):
        return HEAD_TOO_LARGE
    if "Content-Length" in what:
        return RequestRefused(400, "Bad Content-Length.")
    return RequestRefused(400, "Failed to parse request header.")
