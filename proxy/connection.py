"""A client's connection while it speaks HTTP: bytes to requests, requests to whoever serves them, one after the other.

The clients' door and its connections are ours down to the transport. One parser reads what a client sends
(`proxy.protocol.framing`), because two that may disagree are what request smuggling is made of; bytes of a next
request stay bytes until its turn, because the connection may be held and given back. A connection has a task while a
request is under way, and none between requests or once it is held.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import cast

from handlers.deadline import Deadline
from handlers.protocol.address import peer_ip
from handlers.protocol.subscribing import LastSeen
from handlers.timers import NOWHERE
from proxy.body_reader import BodyReader
from proxy.connection_owner import ConnectionOwner
from proxy.errors import RequestBodyError
from proxy.exchange import Exchange, refusal
from proxy.feed import Feed, Message
from proxy.incoming import Repetition
from proxy.protocol.framing import RequestError, RequestHead
from proxy.request_body import NO_BODY, RequestBody

log = logging.getLogger("holdfast.client")

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before it is cut; closing at once would destroy the answer."""

DISCARD_SECONDS = 10.0
"""How long the rest of a body that nobody wants may take to come, before its connection is closed."""

BODY_TOO_SLOW = "Request body not received in time."


class ClientConnection(asyncio.Protocol):
    """One client connection. Implements `proxy.exchange.ClientTransport` for the request being answered.

    It is the `handlers.timers.Timed` that closes an idle connection, and one whose unwanted body does not come.
    """

    __slots__ = (
        "_client",
        "_closes",
        "_earlier",
        "_feed",
        "_flush_waiter",
        "_is_body_paused",
        "_is_discarding",
        "_is_kept_paused",
        "_is_used",
        "_message",
        "_peer",
        "_task",
        "_transport",
        "deadline",
        "is_tls",
        "options",
        "outlives_client",
        "retried",
        "server",
        "tick",
        "writing_paused",
    )

    def __init__(self, server: ConnectionOwner) -> None:
        self.server = server
        self.options = server.options
        self.retried: LastSeen | None = None  # of a request that is sent again: what its client has seen
        self.is_tls = False
        self.writing_paused = False
        """Whether the transport has asked for no more to be written."""
        self.outlives_client = False
        self.deadline = 0.0
        self.tick = NOWHERE
        self._client: asyncio.Transport | None = None  # until it is lost or given away
        self._transport: asyncio.Transport | None = None  # until it is closed, lost or given away
        self._feed = Feed(self, server.options.limits)
        self._earlier = Repetition()
        self._message: Message | None = None  # the request whose turn has come, until the task takes it
        self._task: asyncio.Task[None] | None = None
        self._flush_waiter: asyncio.Future[None] | None = None
        self._is_body_paused = False
        self._is_kept_paused = False
        self._is_used = False  # a request has been answered
        self._is_discarding = False  # the current request is answered, and its body still coming
        self._closes = False  # and once it is here, the connection ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve the transport."""
        client = cast(asyncio.Transport, transport)
        self.is_tls = client.get_extra_info("sslcontext") is not None
        if not self.server.admit(self, client):
            return
        self._client = self._transport = client
        self._peer = peer_ip(client.get_extra_info("peername"))
        self._count_idle_time()

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._transport is None:
            return
        message = self._feed.receive(data)
        if message is not None:
            self._begin(message)
        elif self._is_discarding:
            self._look_whether_discarded()

    def pause_writing(self) -> None:
        """Note that the client is behind."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """Wake whoever waits for the client to catch up."""
        self.writing_paused = False
        if self._flush_waiter is not None and not self._flush_waiter.done():
            self._flush_waiter.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the request under way: the client is gone. However it was lost, whoever reads the body sees one error."""
        client, self._client = self._client, None
        if client is None:
            return  # there was no room for it
        self._feed.fail_body(ConnectionResetError(f"the client is gone: {exc or 'connection lost'}"))
        task, waiter = self._task, self._flush_waiter
        self._let_go()
        if task is not None and not self.outlives_client:
            task.cancel()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self.server.gone(client)

    def expire(self, now: float) -> None:
        """Close if nothing has come in time (`handlers.timers.Timed`)."""
        if self._task is not None:
            self._count_idle_time()
            return
        self.options.counters.connections_cut += self.server.is_draining and self._feed.framer.is_part_way
        self.close()

    def hurry(self, spared: float) -> None:
        """Wait `spared` seconds less for the next request; for a first one, or the rest of a head, anew from now."""
        now = self.options.clock.now()
        if self._is_used and not self._feed.framer.is_part_way:
            self.deadline -= spared
        else:
            self.deadline = now + self.server.patience
        if self.deadline <= now:
            self.expire(now)
        else:
            self.server.wheel.watch(self)

    @property
    def writable(self) -> asyncio.Transport:
        """The transport. Raises ConnectionResetError once the client is gone."""
        if self._transport is None:
            raise ConnectionResetError("the client is gone")
        return self._transport

    @property
    def is_draining(self) -> bool:
        """Whether this connection's next answer is its last: the process stops, or the client sent nonsense."""
        return self.server.is_draining or self._feed.is_refused

    async def flushed(self) -> None:
        """Wait until the client has taken enough for more to be written. Raises ConnectionResetError when it is gone.

        For one task at a time; whoever gives up waiting may wait again.
        """
        if self._transport is None:
            raise ConnectionResetError("the client is gone")
        if self.writing_paused:
            if self._flush_waiter is None or self._flush_waiter.done():
                self._flush_waiter = asyncio.get_running_loop().create_future()
            await self._flush_waiter

    def detach(self) -> bytes:
        """Let go of the transport; return the bytes of requests not begun."""
        transport = self.writable
        kept = self._feed.take_kept()
        if self._is_body_paused or self._is_kept_paused:
            transport.resume_reading()
        self._client = None
        self._let_go()
        return kept

    @property
    def is_idle(self) -> bool:
        """Whether no request waits for its answer, not even one whose task has yet to begin, and none still comes."""
        return self._feed.is_between_requests and not self._is_discarding

    def close(self) -> None:
        """Close, once what was written has left. A request under way is cancelled then."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self.server.close(transport)

    def pause_for_body(self) -> None:
        """Stop reading: enough of a body is here."""
        self._hold_back(body=True, kept=self._is_kept_paused)

    def resume_for_body(self) -> None:
        """Read on after `pause_for_body`."""
        self._hold_back(body=False, kept=self._is_kept_paused)

    def pause_for_kept(self) -> None:
        """Stop reading: enough of later requests is kept."""
        self._hold_back(body=self._is_body_paused, kept=True)

    def resume_for_kept(self) -> None:
        """Read on after `pause_for_kept`. Harmless without one."""
        if self._is_kept_paused:
            self._hold_back(body=self._is_body_paused, kept=False)

    def _hold_back(self, *, body: bool, kept: bool) -> None:
        was_held_back = self._is_body_paused or self._is_kept_paused
        self._is_body_paused, self._is_kept_paused = body, kept
        if self._client is None or self._client.is_closing() or was_held_back is (body or kept):
            return
        if was_held_back:
            self._client.resume_reading()
        else:
            self._client.pause_reading()

    def _let_go(self) -> None:
        """Refer to nothing any more that could refer to this, so that it is freed at once."""
        self._transport = self._message = self._task = None
        self.server.wheel.forget(self)
        self.server.left(self)
        self._feed.let_go()

    def _count_idle_time(self) -> None:
        self.deadline = self.options.clock.now() + self.server.patience
        if self.tick == NOWHERE:  # a deadline that moves away needs no telling
            self.server.wheel.watch(self)

    def _begin(self, message: Message) -> None:
        self._is_discarding = False
        self._message = message
        if self._task is None:
            # With its name, because a task without one prints a number for it: that takes as long as all the rest.
            self._task = asyncio.Task(self._serve(), loop=self.server.loop, name="request")

    async def _serve(self) -> None:
        """Serve the request whose turn has come, and those that are here already behind it."""
        try:
            while self._message is not None:
                (head, body), self._message = self._message, None
                keep_alive = await self._take_turn(head, body)
                if self._transport is None:
                    return  # closed, lost, or given away
                self._feed.is_answered = True
                if self.writing_paused:
                    # A client that pipelines and does not read would otherwise gather answers here without end.
                    await self.flushed()
                self._end_turn(keep_alive=keep_alive)
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._task = None

    async def _take_turn(self, head: RequestHead | RequestError, body: BodyReader | bytes) -> bool:
        """Answer one request, well-formed or not; say whether the connection may serve another."""
        if isinstance(head, RequestError):
            await self._refuse(head)
            return False
        exchange = Exchange(
            connection=self,
            head=head,
            head_bytes=self._feed.framer.head_bytes,
            body=self._body_of(head, body),
            peer=self._peer,
            is_tls=self.is_tls,
            retried=self.retried,
            earlier=self._earlier.unless_large(self._feed.framer.head_bytes),
        )
        try:
            await self.options.serve(exchange)
        except ConnectionError as error:
            log.debug("the client left: %s", error)
            return False
        except Exception:
            # The root of the request's task.
            log.exception("a request was not served")
            if self._transport is not None:
                self._transport.abort()
            return False
        if self._feed.is_refused and self._transport is not None:
            await self._linger()
        return exchange.keep_alive

    def _end_turn(self, *, keep_alive: bool) -> None:
        """Begin the next request, or wait for it, or for the rest of a body that nobody wanted, or close."""
        feed = self._feed
        if feed.is_refused or self._transport is None:
            self.close()
        elif not feed.framer.is_complete:
            self._discard_body(closes=not keep_alive)
        elif not keep_alive:
            self.close()
        else:
            self._go_on()

    def _go_on(self) -> None:
        self._is_used = True
        self.retried = None
        self._message = self._feed.go_on()
        if self._message is None:
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        if self.options.keep_alive_timeout > 0 and not self.server.is_draining:
            self._count_idle_time()
        else:
            self.close()

    def _discard_body(self, *, closes: bool) -> None:
        """Read the rest of the body for a while: closing at once would destroy the answer."""
        self._is_discarding = True
        self._closes = closes
        self._feed.discard_body()
        self.deadline = self.options.clock.now() + DISCARD_SECONDS
        self.server.wheel.watch(self)
        if not closes:
            self.retried = None
            self._feed.go_on()

    def _look_whether_discarded(self) -> None:
        if self._closes:
            if self._feed.framer.is_complete:
                self.close()
        elif not self._feed.is_begun:
            self._is_discarding = False
            self._wait_for_next()

    def _body_of(self, head: RequestHead, body: BodyReader | bytes) -> RequestBody:
        if isinstance(body, BodyReader):
            return RequestBody(partial(self._read, body), None if head.chunked else head.content_length)
        return RequestBody.of(body) if body else NO_BODY

    async def _read(self, body: BodyReader) -> bytes:
        if not body.is_waiting_needed:
            return await body.read()
        try:
            async with Deadline(self.options.clock, self.options.body_timeout):
                return await body.read()
        except TimeoutError as error:
            self._feed.is_refused = True  # nothing more is read, of this request or behind it
            raise RequestBodyError(BODY_TOO_SLOW, status=408) from error

    async def _refuse(self, error: RequestError) -> None:
        """Answer bytes that are no request, then close."""
        options = self.options
        options.counters.requests += 1
        options.counters.requests_refused += 1
        who = f" from={self._peer}" if options.log_from else ""
        log.info("refused%s code=%d: %s", who, error.status, error.text)
        self.writable.write(refusal(error.status, error.text))
        await self._linger()

    async def _linger(self) -> None:
        """Let a refused client finish sending for a moment; what it sends is thrown away."""
        transport = self.writable
        if transport.can_write_eof():
            transport.write_eof()
        try:
            async with Deadline(self.options.clock, LINGER_SECONDS):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            log.debug("a refused client went on sending; cut")
