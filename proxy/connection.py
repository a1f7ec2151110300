"""A client's connection while it speaks HTTP: aiohttp's server with our own framing under it.

aiohttp keeps what it is good at: one task a connection, keep-alive, flow control of bodies, closing. Its parser is
replaced by `proxy.protocol.framing`, because two parsers that may disagree are what request smuggling is made of,
because bytes of a next request must stay bytes until its turn (the connection may be held and given back), and
because aiohttp's refuses methods it does not know. Its request and response objects are replaced by `Exchange`.

This file and `feed` are the only ones that touch what aiohttp's server keeps to itself; tests/proxy/test_connection.py
fails loudly when a release changes it, and pyproject.toml bounds the releases.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.timers import Clock
from proxy.errors import RequestBodyError
from proxy.exchange import Exchange, refusal
from proxy.feed import Feed, Message
from proxy.protocol.framing import FramingLimits, RequestError, RequestHead
from proxy.request_body import RequestBody

log = logging.getLogger("holdfast.client")

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before it is cut; closing at once would destroy the answer."""

QUIET_SECONDS = 10.0
"""How long nothing more is said about clients for whom there is no room."""
BODY_TOO_SLOW = "Request body not received in time."

Serve = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """What all connections of a server share."""

    serve: Serve
    limits: FramingLimits
    keep_alive_timeout: float
    body_timeout: float
    clock: Clock
    counters: Counters
    log_from: bool
    """Whether a refused client's address is logged."""


class ClientServer(Server):
    """Makes a `ClientConnection` for each accepted socket, and again for each connection that was held.

    To held sessions it is the `handlers.door.Door`.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        super().__init__(take_turn, request_factory=make_turn, handler_cancellation=True)
        self.options = options
        self.is_draining = False
        self.connection_limit = 0
        """Clients that may be connected at once, held ones too; 0 for as many as come. Set before listening."""
        self._open: set[asyncio.Transport] = set()
        self._quiet_until = 0.0
        self._closed = asyncio.Event()

    @property
    def open_transports(self) -> frozenset[asyncio.Transport]:
        """The transports of all clients, those that are held too."""
        return frozenset(self._open)

    def admit(self, transport: asyncio.Transport) -> bool:
        """Note a client's transport, or cut it when there is no room; a held one that comes back is noted already."""
        if not self.connection_limit or len(self._open) < self.connection_limit or transport in self._open:
            self._open.add(transport)
            return True
        self.options.counters.connections_refused += 1
        now = self.options.clock.now()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            log.warning("no room for another client: %d are connected (said every 10 seconds)", self.connection_limit)
        transport.abort()
        return False

    def gone(self, transport: asyncio.Transport) -> None:
        """Forget a client's transport: it is closed, whoever held it last."""
        self._open.discard(transport)
        if not self._open:
            self._closed.set()

    async def all_closed(self) -> None:
        """Wait until no client is connected."""
        while self._open:
            self._closed.clear()
            await self._closed.wait()

    def __call__(self) -> ClientConnection:
        """Make the protocol of a new connection."""
        return ClientConnection(self)

    def take_back(self, transport: asyncio.Transport, kept: bytes, *, is_behind: bool) -> None:
        """Serve HTTP on a held transport again, beginning with `kept` (`handlers.door.Door`)."""
        self._adopt(transport, kept, is_retry=False, is_behind=is_behind)

    def retry(self, transport: asyncio.Transport, kept: bytes, request: bytes, *, is_behind: bool) -> None:
        """Serve the held request again, as bytes in front of those kept (`handlers.door.Door`)."""
        self._adopt(transport, request + kept, is_retry=True, is_behind=is_behind)

    def _adopt(self, transport: asyncio.Transport, data: bytes, *, is_retry: bool, is_behind: bool) -> None:
        connection = ClientConnection(self)
        connection.is_retry = is_retry
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if is_behind:
            connection.pause_writing()
        transport.set_write_buffer_limits()
        if data:
            connection.data_received(data)
        elif self.is_draining:
            connection.force_close()

    def cut_all(self) -> None:
        """Close every client's connection at once, whatever is under way."""
        for transport in self.open_transports:
            transport.abort()

    def drain(self) -> None:
        """Close idle connections now, and each other one after the answer it is waiting for."""
        self.is_draining = True
        for connection in self.connections:
            if isinstance(connection, ClientConnection) and connection.is_idle:
                connection.force_close()


class ClientConnection(RequestHandler):
    """One client connection. Implements `proxy.exchange.ClientTransport` for the request being answered."""

    __slots__ = ("_client", "_feed", "is_retry", "options", "server")

    def __init__(self, server: ClientServer) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            keepalive_timeout=server.options.keep_alive_timeout,
            logger=log,
        )
        self.server = server
        self.options = server.options
        self.is_retry = False
        self._client: asyncio.Transport | None = None
        self._feed = Feed(self, self, server.options.limits)
        self._parser = self._feed  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve the transport."""
        client = cast(asyncio.Transport, transport)
        if self.server.admit(client):
            super().connection_made(transport)
            self._client = client

    def connection_lost(self, exc: BaseException | None) -> None:
        """End this connection's task: the client is gone, or `detach` has given it away."""
        if self._manager is None:
            return  # as aiohttp does: it was lost before
        super().connection_lost(exc)
        self._feed.let_go()
        if self._client is not None:
            self.server.gone(self._client)
            self._client = None

    @property
    def peer(self) -> str:
        """The client's IP address; empty where there is none. IPv4 looks like IPv4, on a dual-stack socket too."""
        peer = self.peername
        return str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) else ""

    @property
    def is_idle(self) -> bool:
        """Whether no request waits for its answer, not even one whose task has yet to begin."""
        return self._feed.is_between_requests

    @property
    def is_draining(self) -> bool:
        """Whether this connection's next answer is its last: the process stops, or the client sent nonsense."""
        return self.server.is_draining or self._feed.is_refused

    @property
    def writable(self) -> asyncio.Transport:
        """The transport. Raises ConnectionResetError once the client is gone."""
        if self.transport is None:
            raise ConnectionResetError("the client is gone")
        return self.transport

    async def flushed(self) -> None:
        """Wait until the client has taken enough for more to be written. Whoever gives up waiting may wait again."""
        if self._drain_waiter is not None and self._drain_waiter.cancelled():
            self._drain_waiter = None  # aiohttp would have the next one wait for what was given up
        await self._drain_helper()

    def detach(self) -> bytes:
        """Let go of the transport and end this connection's task; return the bytes of requests not begun."""
        kept = self._feed.take_kept()
        transport, self.transport = self.writable, None
        if self._reading_paused or self._buffer_paused:
            transport.resume_reading()
        self._client = None
        self.connection_lost(None)
        return kept

    @property
    def head_bytes(self) -> bytes:
        """The head of the current request as it came."""
        return self._feed.framer.head_bytes

    @property
    def is_refused(self) -> bool:
        """Whether the client has sent bytes that are no request; nothing behind them is read."""
        return self._feed.is_refused

    def give_up_body(self) -> None:
        """Read no more of the current request, and nothing behind it."""
        self._feed.is_refused = True

    def end_body(self) -> None:
        """Leave nothing of a malformed body for aiohttp to read after the answer."""
        self._feed.end_body()

    def take_messages(self, messages: list[Message]) -> None:
        """Put requests that were kept behind the one just answered up for their turn."""
        self._messages.extend(messages)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def pause_for_kept(self) -> None:
        """Stop reading: enough of later requests is kept."""
        if not self._buffer_paused:
            self._pause_reading_for_buffer()

    def resume_for_kept(self) -> None:
        """Read on after `pause_for_kept`."""
        if self._buffer_paused:
            self._resume_reading_for_buffer()

    async def finish_response(self, request: Any, resp: Any, start_time: float | None) -> tuple[Any, bool]:
        """Let the next request begin once this one is answered, and the client has taken enough of the answer."""
        finished = await super().finish_response(request, resp, start_time)
        if self.transport is not None:
            self._feed.is_answered = True
            # A client that pipelines and does not read would otherwise gather answers here without end.
            await self.flushed()
        if self.transport is not None and resp.keep_alive:
            self.is_retry = False
            self._feed.go_on()
        return finished

    def _resume_reading_if_drained(self) -> None:
        """Leave it to the feed: aiohttp would read on with each request it begins, however much is kept behind it."""


class Turn:
    """A request in aiohttp's hands: what its server asks of a request object, and no more."""

    def __init__(
        self, message: RequestHead | RequestError, payload: StreamReader, connection: ClientConnection
    ) -> None:
        self.message = message
        self.connection = connection
        self._payload = payload
        self._task: asyncio.Task[None] | None = None

    def exchange(self, head: RequestHead) -> Exchange:
        """Return the exchange for a well-formed request."""
        length = None if head.chunked else head.content_length or 0
        return Exchange(
            connection=self.connection,
            head=head,
            head_bytes=self.connection.head_bytes,
            body=RequestBody(self._read, length),
            peer=self.connection.peer,
            is_tls=self.connection.ssl_context is not None,
            is_retry=self.connection.is_retry,
        )

    async def _read(self) -> bytes:
        options = self.connection.options
        try:
            async with Deadline(options.clock, options.body_timeout):
                return await self._payload.readany()
        except TimeoutError as error:
            self.connection.give_up_body()
            raise RequestBodyError(BODY_TOO_SLOW, status=408) from error

    def _finish(self) -> None:
        """Called when the answer is complete."""

    def _cancel(self, error: BaseException) -> None:
        """Called when the connection is lost. However it was lost, whoever reads the body sees the same error.

        A body that is here whole can still be read, by a publication that goes on without its publisher.
        """
        if not self._payload.is_eof():
            self._payload.set_exception(ConnectionResetError(f"the client is gone: {error}"))


class Written:
    """What a handler returns to aiohttp: an answer of which nothing is left to write."""

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, request: Turn) -> None:
        """The head is written."""

    async def write_eof(self) -> None:
        """The body is written."""


def make_turn(message: Any, payload: StreamReader, protocol: Any, writer: object, task: object) -> Any:
    """Make aiohttp's request object; the signature is aiohttp's."""
    return Turn(message, payload, protocol)


async def take_turn(turn: Any) -> Any:
    """Answer one request, well-formed or not; the signature is aiohttp's."""
    connection: ClientConnection = turn.connection
    if isinstance(turn.message, RequestError):
        await refuse(connection, turn.message)
        return Written(keep_alive=False)
    exchange: Exchange = turn.exchange(turn.message)
    try:
        await connection.options.serve(exchange)
    except ConnectionError as error:
        log.debug("the client left: %s", error)
        return Written(keep_alive=False)
    except Exception:
        # The root of the request's task: aiohttp would answer on its own, with a request object that is not its own.
        log.exception("a request was not served")
        exchange.abort()
        return Written(keep_alive=False)
    if connection.is_refused and not exchange.is_handed_over:
        await linger(connection)
    return Written(keep_alive=exchange.keep_alive)


async def refuse(connection: ClientConnection, error: RequestError) -> None:
    """Answer bytes that are no request, then close."""
    options = connection.options
    options.counters.requests += 1
    options.counters.requests_refused += 1
    who = f" from={connection.peer}" if options.log_from else ""
    log.info("refused%s code=%d: %s", who, error.status, error.text)
    connection.writable.write(refusal(error.status, error.text))
    await linger(connection)


async def linger(connection: ClientConnection) -> None:
    """Let a refused client finish sending for a moment; what it sends is thrown away."""
    transport = connection.writable
    if transport.can_write_eof():
        transport.write_eof()
    connection.end_body()
    try:
        async with Deadline(connection.options.clock, LINGER_SECONDS):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        log.debug("a refused client went on sending; cut")
