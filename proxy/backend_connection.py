"""A connection to a backend, of our own: asyncio's protocol of it, and the answer to its current request.

Made by `proxy.backend_pool`, which keeps it while it is idle. It outlives its requests; an answer lets go of it as soon
as it has come to its end, which is why what an answer needs afterwards is in `backend_answer` alone.
"""

from __future__ import annotations

import asyncio
import logging
import select
from functools import partial
from typing import Protocol, cast

from handlers.timers import Clock
from proxy.backend import READ_BUFFER, AnswerFailed, AnswerTruncated, BackendAddress
from proxy.backend_answer import OwnAnswer
from proxy.backend_body import send_body
from proxy.backend_socket import poll_of, probe
from proxy.protocol.answer_head import AnswerHeadError
from proxy.protocol.answer_parser import AnswerParser, AnswerSyntaxError
from proxy.request_body import RequestBody

log = logging.getLogger("holdfast.backend")

CLOSED = "the backend closed the connection"


class Keeper(Protocol):
    """Whom a connection belongs to between its requests (`proxy.backend_pool.OwnPool`)."""

    def keep(self, connection: OwnConnection) -> None:
        """Keep it for another request."""
        ...

    def forget(self, connection: OwnConnection) -> None:
        """Have no more to do with it: it is lost, or somebody else's."""
        ...


class OwnConnection(asyncio.Protocol):
    """A `proxy.backend.BackendConnection`, and the `proxy.backend_body.BodyTaker` of its request."""

    __slots__ = (
        "_answer",
        "_clock",
        "_is_silent",
        "_is_spoiled",
        "_keeper",
        "_loop",
        "_parser",
        "_poll",
        "_reading_paused",
        "_taken",
        "_transport",
        "_writer",
        "address",
        "idle_since",
        "is_reused",
    )

    def __init__(self, *, keeper: Keeper, clock: Clock, address: BackendAddress) -> None:
        self._keeper = keeper
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._parser = AnswerParser()
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None  # of its socket, from the first time that it is idle
        self._answer: OwnAnswer | None = None
        self._writer: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[None] | None = None  # what is waited for while the backend is behind
        self._reading_paused = False
        self._is_spoiled = False
        self._is_silent = True  # since the request
        self.address = address
        self.is_reused = False
        self.idle_since = 0.0

    # -- for whoever asks ---------------------------------------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Whether a request may be sent, as far as is known here."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether it is usable, and the backend has neither closed it nor sent what nobody had asked for.

        The socket is looked at: the event loop may not have come to read it yet. Only for an idle connection. What is
        there ends the connection as soon as it is read.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if self._poll is None:
            self._poll = poll_of(transport)
        return not self._poll.poll(0)

    @property
    def is_reading_paused(self) -> bool:
        """Whether more has come than was read."""
        return self._reading_paused

    def close(self) -> None:
        """Give the connection up, in whatever state it is."""
        if self._writer is not None:
            self._writer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def exchange(
        self, *, method: bytes, head: bytes, body: RequestBody, limit: float = 0, upgrades: bool = False
    ) -> OwnAnswer:
        """Send a request and return the answer's head."""
        parser = self._parser
        parser.begin(method == b"HEAD", upgrades)
        answer = self._answer = OwnAnswer(self, parser.pieces)
        self._is_silent = True
        try:
            self._send(head, body, answer, limit)
            answer.waiter = waiter = self._loop.create_future()
            if limit:
                answer.timer = self._clock.call_later(limit, answer.expire)
            await waiter
            if not answer.has_head:
                assert answer.failure is not None, "nobody is woken for nothing"
                raise answer.failure
        except BaseException:
            answer.close()
            raise
        finally:
            # Kept with the answer: the connection may be another's already.
            if answer.timer is not None:
                answer.timer.cancel()
                answer.timer = None
        return answer

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """Let go of the transport after a 101."""
        transport, self._transport = self._transport, None
        self._answer = None
        if transport is None or transport.is_closing():
            raise AnswerTruncated("the backend closed the connection behind its 101")
        self._keeper.forget(self)
        if self._reading_paused:
            transport.resume_reading()
        return transport, self._parser.tail

    def resume_reading(self) -> None:
        """Go on: what had come was read."""
        self._reading_paused = False
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    # -- the request's body -------------------------------------------------------------------------------------------

    def _send(self, head: bytes, body: RequestBody, answer: OwnAnswer, limit: float) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise AnswerFailed(CLOSED, is_stale=self.is_reused)
        if body.length == 0:
            transport.write(head)
            return
        data = body.ready()
        if data is not None:
            transport.write(head + data)
            return
        transport.write(head)
        progress = partial(self._progress, answer, limit)
        self._writer = asyncio.create_task(send_body(body, self, progress), name="request body")

    def _progress(self, answer: OwnAnswer, limit: float) -> None:
        """A piece was taken: what bounds the wait for the answer begins anew, unless that is over."""
        if answer.timer is not None:
            answer.timer.cancel()
            answer.timer = self._clock.call_later(limit, answer.expire)

    async def write(self, data: bytes) -> None:
        """Write a piece of the request's body, then wait while the backend is behind."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError(CLOSED)
        self._transport.write(data)
        if self._taken is not None:
            await self._taken
            if not self.is_usable:
                raise ConnectionResetError(CLOSED)

    def fail(self, error: Exception) -> None:
        """Have whoever waits for the answer get `error`."""
        self._is_spoiled = True
        if self._answer is not None:
            self._answer.fail(error)

    def spoil(self) -> None:
        """Do not use the connection again."""
        self._is_spoiled = True

    # -- for asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        probe(transport)

    def data_received(self, data: bytes) -> None:
        """Take what the backend sent."""
        answer = self._answer
        if answer is None:
            self._refuse_stray()
            return
        parser = self._parser
        taken = len(parser.pieces)
        self._is_silent = False
        if parser.is_switched:
            parser.tail += data
            self._pause_beyond(len(parser.tail))
            return
        try:
            parser.feed(data)
        except AnswerSyntaxError as error:
            self._end(f"the backend's answer is not HTTP: {error}", error)
            return
        except AnswerHeadError as error:
            self._end(f"the backend's answer is malformed: {error}", error)
            return
        head = parser.head
        if head is None:
            return
        if not answer.has_head:
            if head.status == 101 and not parser.is_switched:
                self._end("the backend switched protocols unasked", None)
                return
            answer.begin(head)
        if parser.is_complete:
            self._complete(answer)
        else:
            answer.waiting += sum(map(len, parser.pieces[taken:]))
            self._pause_beyond(answer.waiting)
        answer.wake()

    def eof_received(self) -> None:
        """Take the end of what the backend sends: of a body that has no other, too."""
        if self._answer is not None and not self._parser.is_switched and self._parser.end():
            answer = self._answer
            self._complete(answer)
            answer.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._transport = None
        self._keeper.forget(self)
        self.resume_writing()
        self._end(CLOSED, exc)
        self._parser.drop()

    def pause_writing(self) -> None:
        """The backend is behind."""
        self._taken = self._loop.create_future()

    def resume_writing(self) -> None:
        """The backend has caught up."""
        taken, self._taken = self._taken, None
        if taken is not None and not taken.done():
            taken.set_result(None)

    # -- the answer ---------------------------------------------------------------------------------------------------

    def _complete(self, answer: OwnAnswer) -> None:
        """The answer is here to its end; the connection is another's if it is in step."""
        answer.is_complete = True
        if self._parser.is_switched:
            return
        answer.connection = self._answer = None
        writer, self._writer = self._writer, None
        if self._reading_paused:
            self.resume_reading()
        if self._parser.keeps_connection and not self._is_spoiled and (writer is None or writer.done()):
            self._keeper.keep(self)
        else:
            self._writer = writer
            self.close()

    def _end(self, why: str, cause: Exception | None) -> None:
        """There will be no more of the answer."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        answer.connection = None
        if answer.has_head:
            error: Exception = AnswerTruncated(why)
        else:
            error = AnswerFailed(why, is_stale=self.is_reused and self._is_silent)
        error.__cause__ = cause
        answer.fail(error)
        self.close()

    def _pause_beyond(self, size: int) -> None:
        if size > READ_BUFFER and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _refuse_stray(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            log.warning("%s: sent what nobody had asked for; connection closed", self.address.name)
            self.close()
