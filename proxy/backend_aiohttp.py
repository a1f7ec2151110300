"""Connections to backends by aiohttp: its connector and response parser, with nothing of its client in between.

aiohttp's pool, resolver, TLS and parser are used as they are; `ClientSession`, `ClientRequest` and `ClientResponse`
are left out, because each of them changes a request or an answer (cookies, redirects, re-encoded paths, default
headers, UTF-8 only header values). Heads are written as bytes and answers are read from the parser's queue.

The way to backends as it was before `backend_pool`, kept to be switched back to. Everything here that is not aiohttp's
public interface is held in place by tests/proxy/test_backend.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from weakref import WeakKeyDictionary, WeakSet

from aiohttp import ClientConnectionError, ClientPayloadError, ClientTimeout, ServerDisconnectedError, TCPConnector
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.tracing import Trace

from handlers.deadline import Deadline
from handlers.timers import Clock
from proxy.backend import (
    DNS_SECONDS,
    POOL_SECONDS,
    READ_BUFFER,
    AddressBlocked,
    AnswerFailed,
    AnswerTruncated,
    BackendAddress,
    ConnectFailed,
)
from proxy.backend_body import send_body
from proxy.backend_socket import probe
from proxy.protocol.answer_head import AnswerHead, AnswerHeadError, check_answer_head
from proxy.protocol.answer_parser import HEAD_LIMIT, HEADER_LIMIT, INTERIM_LIMIT
from proxy.protocol.public_address import is_public
from proxy.request_body import RequestBody

log = logging.getLogger("holdfast.backend")

NO_TIMEOUT = ClientTimeout(total=None)
"""Bounds are the caller's, on the process's clock."""


class AiohttpProtocol(ResponseHandler):
    """aiohttp's, but an answer that turns out bad after its head fails whoever reads its body, too."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        probe(transport)

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


class PublicConnector(TCPConnector):
    """aiohttp's, for targets that may have public addresses only. It connects to the very addresses it was told of."""

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Trace] | None = None) -> list[ResolveResult]:
        """Return the addresses of a host that are public. Raises AddressBlocked where there is none."""
        infos = await super()._resolve_host(host, port, traces)
        found = [info for info in infos if is_public(info["host"])]
        if not found:
            raise AddressBlocked(info["host"] for info in infos)
        return found


class AiohttpPool:
    """A `proxy.backend.BackendPool`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._connector = _make(TCPConnector)
        self._public = _make(PublicConnector)
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._requests: WeakKeyDictionary[BackendAddress, ClientRequest] = WeakKeyDictionary()

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._connector.close()
        await self._public.close()

    def take(self, address: BackendAddress, *, rested: bool = False) -> AiohttpConnection | None:
        """Return nothing: aiohttp's pool is asked by `connect`, in one go with a new connection."""
        return None

    async def connect(self, address: BackendAddress) -> AiohttpConnection:
        """Return a pooled or a new connection. Raises ConnectFailed; the caller bounds the time."""
        connector = self._public if address.only_public else self._connector
        while True:
            try:
                connection = await connector.connect(self._request(address), traces=[], timeout=NO_TIMEOUT)
            except (ClientConnectionError, OSError, ValueError) as error:  # ValueError: a name that no host can have
                raise ConnectFailed(str(error)) from error
            protocol = connection.protocol
            assert isinstance(protocol, AiohttpProtocol), "a connection just made has a protocol of ours"
            if protocol.is_in_step:
                break
            log.warning("%s: sent what nobody had asked for; connection closed", address.name)
            connection.close()
        is_reused = protocol in self._used
        self._used.add(protocol)
        return AiohttpConnection(self._clock, connection, protocol, is_reused=is_reused)

    def _request(self, address: BackendAddress) -> ClientRequest:
        """Make a request object, which aiohttp's pool keys by, one per address."""
        request = self._requests.get(address)
        if request is None:
            request = self._requests[address] = ClientRequest(
                "GET",
                address.url,
                loop=asyncio.get_running_loop(),
                ssl=address.tls or True,
                server_hostname=address.server_hostname,
            )
        return request


def _make(kind: type[TCPConnector]) -> TCPConnector:
    connector = kind(limit=0, keepalive_timeout=POOL_SECONDS, ttl_dns_cache=DNS_SECONDS)
    loop = asyncio.get_running_loop()
    connector._factory = partial(AiohttpProtocol, loop)  # type: ignore[assignment]  # noqa: SLF001  # pyright: ignore
    return connector


class AiohttpConnection:
    """A `proxy.backend.BackendConnection`, and the `proxy.backend_body.BodyTaker` of its request."""

    def __init__(self, clock: Clock, connection: Connection, protocol: ResponseHandler, *, is_reused: bool) -> None:
        self._clock = clock
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
        self, *, method: bytes, head: bytes, body: RequestBody, limit: float = 0, upgrades: bool = False
    ) -> AiohttpAnswer:
        """Send a request and return the answer's head."""
        try:
            self._expect()
            async with Deadline(self._clock, limit) as deadline:
                self._send(head, body, lambda: deadline.restart(limit))
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
        return AiohttpAnswer(self, answer_head, None if answer_head.status == 101 else payload)

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
            self._writer = asyncio.create_task(send_body(body, self, progress), name="request body")

    async def write(self, data: bytes) -> None:
        """Write a piece of the request's body."""
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the backend closed the connection")
        transport.write(data)
        try:
            await self._protocol._drain_helper()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        except ClientConnectionError as error:
            raise ConnectionResetError(str(error)) from error

    def fail(self, error: Exception) -> None:
        """Have whoever waits for the answer get `error`."""
        self._protocol.set_exception(error)

    def spoil(self) -> None:
        """Never use the connection again."""
        self._protocol.force_close()

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


class AiohttpAnswer:
    """A `proxy.backend.BackendAnswer`."""

    def __init__(self, connection: AiohttpConnection, head: AnswerHead, payload: StreamReader | None) -> None:
        """`payload` is None for a 101, which has no body."""
        self._connection = connection
        self._payload = EMPTY_PAYLOAD if payload is None else payload
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.length = head.length
        self.dropped = head.dropped
        self._is_switched = payload is None
        if payload is not None:
            payload.on_eof(connection.finish)

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """After a 101: see `AiohttpConnection.take_transport`."""
        self._is_switched = False
        return self._connection.take_transport()

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end. Raises AnswerTruncated."""
        try:
            return await self._payload.readany()
        except (ClientPayloadError, ClientConnectionError, HttpProcessingError) as error:
            raise AnswerTruncated(str(error)) from error

    def whole(self) -> bytes | None:
        """Return the complete body if it is here already, else None."""
        payload = self._payload
        if not payload.is_eof() or payload.exception() is not None:
            return None
        return payload.read_nowait(-1)

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
