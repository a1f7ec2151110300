"""Connections to backends: aiohttp's connector and response parser, with nothing of its client in between.

aiohttp's pool, resolver, TLS and parser are used as they are; `ClientSession`, `ClientRequest` and `ClientResponse`
are left out, because each of them changes a request or an answer (cookies, redirects, re-encoded paths, default
headers, UTF-8 only header values). Heads are written as bytes and answers are read from the parser's queue.

Everything here that is not aiohttp's public interface is held in place by tests/proxy/test_backend.py.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from weakref import WeakSet

from aiohttp import ClientConnectionError, ClientPayloadError, ClientTimeout, ServerDisconnectedError, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from yarl import URL

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from proxy.errors import RequestBodyError
from proxy.protocol.answer_head import AnswerHead, AnswerHeadError, check_answer_head
from proxy.request_body import RequestBody
from proxy.tls import is_hostname

log = logging.getLogger("holdfast.backend")

POOL_SECONDS = 55
"""How long an unused backend connection is kept (reference 1.7)."""
READ_BUFFER = 65_536
"""Bytes of an answer read ahead of a client that takes them slowly."""
HEAD_LIMIT = 65_536
HEADER_LIMIT = 512
INTERIM_LIMIT = 100
"""Interim answers (1xx) that a backend may send before its answer."""

NO_TIMEOUT = ClientTimeout(total=None)
"""Bounds are the caller's, on the process's clock."""


class ConnectFailed(Exception):
    """A target could not be connected to: refused, unreachable, unknown name, or TLS failed."""


class AnswerFailed(Exception):
    """The backend gave no usable answer. `is_stale` when a pooled connection died before its first byte."""

    def __init__(self, detail: str, *, is_stale: bool) -> None:
        super().__init__(detail)
        self.is_stale = is_stale


class AnswerTruncated(Exception):
    """The backend ended in the middle of its answer's body."""


class BackendProtocol(ResponseHandler):
    """aiohttp's, but an answer that turns out bad after its head fails whoever reads its body, too."""

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Fail the connection's readers. aiohttp 3.14 forgets the body's, who then waits for ever."""
        super().set_exception(exc, exc_cause or exc)
        payload = self._payload
        if payload is not None and not payload.is_eof():
            payload.set_exception(exc)

    @property
    def is_in_step(self) -> bool:
        """Whether nothing has come that nobody asked for. Ask before the connection is used again, and once.

        aiohttp 3.14 does not ask, and has an answer that arrived on an idle connection answer the next request.
        """
        if self.should_close:
            return False
        try:
            return self._parser is None or self._parser.feed_eof() is None
        except HttpProcessingError:
            return False


class BackendPool:
    """Connects to targets and keeps connections for the next request. There is no cap on their number."""

    def __init__(self) -> None:
        self._connector = TCPConnector(limit=0, keepalive_timeout=POOL_SECONDS, ttl_dns_cache=10)
        loop = asyncio.get_running_loop()
        self._connector._factory = partial(BackendProtocol, loop)  # type: ignore[assignment]  # noqa: SLF001  # pyright: ignore
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._connector.close()

    async def connect(self, address: BackendAddress) -> BackendConnection:
        """Return a pooled or a new connection. Raises ConnectFailed; the caller bounds the time."""
        while True:
            try:
                connection = await self._connector.connect(address.request, traces=[], timeout=NO_TIMEOUT)
            except (ClientConnectionError, OSError, ValueError) as error:  # ValueError: a name that no host can have
                raise ConnectFailed(str(error)) from error
            protocol = connection.protocol
            assert isinstance(protocol, BackendProtocol), "a connection just made has a protocol of ours"
            if protocol.is_in_step:
                break
            log.warning("%s: sent what nobody had asked for; connection closed", address.name)
            connection.close()
        is_reused = protocol in self._used
        self._used.add(protocol)
        return BackendConnection(connection, protocol, is_reused=is_reused)


class BackendAddress:
    """Where and how to connect: aiohttp's pool keys by a request object, so one is made per target and kept."""

    def __init__(
        self, *, host: str, port: int, tls: ssl.SSLContext | None = None, server_hostname: str | None = None
    ) -> None:
        """Raises ConnectFailed for what is not a host's name."""
        self.name = f"{host}:{port}"
        if server_hostname is not None and not is_hostname(server_hostname):
            raise ConnectFailed(f"{host}: no certificate can be for {server_hostname}")
        try:
            url = URL.build(scheme="https" if tls else "http", host=host, port=port)
            self.request = ClientRequest(
                "GET", url, loop=asyncio.get_running_loop(), ssl=tls or True, server_hostname=server_hostname
            )
        except ValueError as error:
            raise ConnectFailed(f"{host}: {error}") from error


class BackendConnection:
    """One connection, for one request. `exchange` once, then read the answer or `close`."""

    def __init__(self, connection: Connection, protocol: ResponseHandler, *, is_reused: bool) -> None:
        self._connection = connection
        self._protocol = protocol
        self._writer: asyncio.Task[None] | None = None
        self.is_reused = is_reused

    def close(self) -> None:
        """Give the connection up, in whatever state it is."""
        if self._writer is not None:
            self._writer.cancel()
        self._connection.close()

    async def exchange(
        self, *, method: bytes, head: bytes, body: RequestBody, progress: Callable[[], None], upgrades: bool = False
    ) -> BackendAnswer:
        """Send a request and return the answer's head. Interim (1xx) answers are skipped.

        `progress` is called after each piece of the body that the backend took. With `upgrades` the answer may be a
        101, which only `BackendAnswer.take_transport` or `close` can follow. Raises AnswerFailed, or what the body
        raised. On any exception, cancellation included, the connection is closed.
        """
        try:
            self._expect()
            self._send(head, body, progress)
            message, payload = await self._read_head()
            answer_head = read_head(message, may_switch=upgrades and self._protocol.upgraded)
        except BaseException:
            self.close()
            raise
        if method == b"HEAD":
            # Told of no body, aiohttp's parser takes one that a careless backend sends for its next answer, and
            # fails both. So it is told of one, and the connection is not used again.
            self.close()
            payload = EMPTY_PAYLOAD
        return BackendAnswer(self, answer_head, None if answer_head.status == 101 else payload)

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """Take the transport out of aiohttp's hands after a 101; return it with the bytes that came behind that.

        The caller sets a protocol of its own at once. Raises AnswerTruncated when the backend is gone already.
        """
        protocol = self._protocol
        transport, protocol.transport = protocol.transport, None
        tail, protocol._tail = protocol._tail, b""  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._connection.close()
        if transport is None or transport.is_closing():
            raise AnswerTruncated("the backend closed the connection behind its 101")
        if protocol._buffer_paused or protocol._reading_paused:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            transport.resume_reading()
        return transport, bytes(tail)

    def finish(self) -> None:
        """The answer was read to its end: keep the connection if it is in step, else close it."""
        if self._writer is not None and not self._writer.done():
            self.close()
        else:
            self._connection.release()

    def _expect(self) -> None:
        self._protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            max_line_size=HEAD_LIMIT,
            max_field_size=HEAD_LIMIT,
            max_headers=HEADER_LIMIT,
        )

    def _send(self, head: bytes, body: RequestBody, progress: Callable[[], None]) -> None:
        transport = self._protocol.transport
        if transport is None:
            return  # lost since it left the pool; reading the answer says so
        transport.write(head)
        if body.length != 0:
            self._writer = asyncio.create_task(self._send_body(body, progress), name="request body")

    async def _send_body(self, body: RequestBody, progress: Callable[[], None]) -> None:
        is_chunked = body.length is None
        try:
            async for data in body.chunks():
                await self._write(encode_chunk(data) if is_chunked else data)
                progress()
            if is_chunked:
                await self._write(LAST_CHUNK)
        except RequestBodyError as error:
            # The client's fault: wake whoever waits for the answer.
            self._protocol.set_exception(error)
        except (OSError, ClientConnectionError):
            # The client is gone, or the backend stopped taking the body. It may have answered already, so reading
            # decides what to tell the client; the connection must not be used again.
            self._protocol.force_close()
        except Exception as error:
            # The root of a task: nobody waits for it, and whoever waits for the answer must not wait for ever.
            log.exception("a request's body was not sent")
            self._protocol.set_exception(error)

    async def _write(self, data: bytes) -> None:
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the backend closed the connection")
        transport.write(data)
        await self._protocol._drain_helper()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    async def _read_head(self) -> tuple[RawResponseMessage, StreamReader]:
        try:
            # Bounded, because the queue is read without waiting while it is full: a flood would stop the loop.
            for _ in range(INTERIM_LIMIT):
                message, payload = await self._protocol.read()
                if not 100 <= message.code <= 199 or message.code == 101:
                    return message, payload
            raise AnswerFailed(f"more than {INTERIM_LIMIT} interim answers", is_stale=False)
        except HttpProcessingError as error:
            raise AnswerFailed(f"the backend's answer is not HTTP: {error.message}", is_stale=False) from error
        except (ClientConnectionError, OSError) as error:
            is_stale = self.is_reused and not is_answering(error)
            raise AnswerFailed("the backend closed the connection", is_stale=is_stale) from error


class BackendAnswer:
    """An answer's head, and its body as it comes."""

    def __init__(self, connection: BackendConnection, head: AnswerHead, payload: StreamReader | None) -> None:
        """`payload` is None for a 101, which has no body."""
        self._connection = connection
        self._payload = EMPTY_PAYLOAD if payload is None else payload
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.length = head.length
        self._is_switched = payload is None
        if payload is not None:
            payload.on_eof(connection.finish)

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """After a 101: see `BackendConnection.take_transport`."""
        self._is_switched = False
        return self._connection.take_transport()

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end. Raises AnswerTruncated."""
        try:
            return await self._payload.readany()
        except (ClientPayloadError, ClientConnectionError, HttpProcessingError) as error:
            raise AnswerTruncated(str(error)) from error

    @property
    def has_body_waiting(self) -> bool:
        """Say whether some of the body, or its end, came with the head, so that reading it will not wait."""
        return self._payload.is_eof() or self._payload.total_bytes > 0

    def close(self) -> None:
        """Stop reading; the connection is closed unless the body had already come whole."""
        if self._is_switched or not self._payload.is_eof():
            self._connection.close()


def is_answering(error: Exception) -> bool:
    """Say whether the connection was lost within the head of an answer, of which aiohttp hands on what there is."""
    return isinstance(error, ServerDisconnectedError) and isinstance(error.message, RawResponseMessage)


def read_head(message: RawResponseMessage, *, may_switch: bool = False) -> AnswerHead:
    """Check a head that aiohttp has parsed. Raises AnswerFailed."""
    if message.code == 101 and not may_switch:
        raise AnswerFailed("the backend switched protocols unasked", is_stale=False)
    try:
        reason = message.reason.encode("utf-8", "surrogateescape")
        return check_answer_head(
            status=message.code, reason=reason, headers=message.raw_headers, lowest=101 if may_switch else 200
        )
    except AnswerHeadError as error:
        raise AnswerFailed(f"the backend's answer is malformed: {error}", is_stale=False) from error
