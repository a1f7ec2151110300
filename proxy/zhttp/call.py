"""One request to a ZHTTP worker: sends it, and fills the answer that the proxy reads.

What is sent when, and what a worker's message means, is decided by the machine in `proxy.protocol.zhttp_exchange`; here
its messages go to the sockets, the clock wakes it, and its answer becomes a `proxy.backend.BackendAnswer`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Protocol

from handlers.timers import Clock, TimerHandle
from proxy.backend import AnswerTruncated
from proxy.backend_answer import OwnAnswer
from proxy.errors import RequestBodyError
from proxy.protocol.zhttp import RequestStart, ZhttpAnswer
from proxy.protocol.zhttp_exchange import Failure, ZhttpExchange
from proxy.request_body import RequestBody

log = logging.getLogger("holdfast.zhttp")


class Calls(Protocol):
    """Who has the sockets (`proxy.zhttp.service`)."""

    async def pushed(self, call: Call, data: bytes) -> None:
        """Return once a worker has taken a first message. Raises what waiting for one may come to."""
        ...

    def send(self, call: Call, data: bytes) -> bool:
        """Send a later message; False when the worker cannot be reached now: `flush` is called then when it may."""
        ...

    def forget(self, call: Call) -> None:
        """Have no more to do with it."""
        ...


class Call:
    """One exchange. `ask` once; the answer closes it."""

    __slots__ = ("_answer", "_calls", "_clock", "_credited", "_is_over", "_timer", "_writer", "machine", "name", "wait")

    def __init__(self, calls: Calls, clock: Clock, machine: ZhttpExchange, name: bytes, wait: float) -> None:
        """`wait` is how many seconds it may wait for a worker to take it."""
        self._calls = calls
        self._clock = clock
        self._answer = OwnAnswer(self, machine.pieces)
        self._timer: TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._credited: asyncio.Future[None] | None = None  # what is waited for while no more of the body may be sent
        self._is_over = False
        self.machine = machine
        self.name = name
        self.wait = wait

    async def ask(self, start: RequestStart, first: bytes | None, body: RequestBody, *, limit: float) -> OwnAnswer:
        """Send a request and return the answer's head. `first` is the whole body, None where it is to be streamed.

        The head must have come `limit` seconds after the last piece of the request was taken; 0 is no bound. Raises
        Failure, TimeoutError, RequestBodyError, or what waiting for a worker came to.
        """
        answer = self._answer
        try:
            self.machine.open(self._clock.now(), start, first or b"", more=first is None)
            await self._calls.pushed(self, self.machine.outbox.pop())
            self.machine.reached(self._clock.now())
            self._arm()
            if first is None:
                self._writer = asyncio.create_task(self._send_body(body, limit), name="zhttp request body")
            await self._head(answer, limit)
        except BaseException:
            self.close()
            raise
        finally:
            if answer.timer is not None:
                answer.timer.cancel()
                answer.timer = None
        return answer

    def take(self, message: ZhttpAnswer, seq: int | None) -> None:
        """Take a worker's message."""
        machine, answer = self.machine, self._answer
        is_new = not machine.peer
        machine.receive(self._clock.now(), message, seq)
        if machine.head is not None and not answer.has_head:
            answer.begin(machine.head)
        if machine.credits > 0:
            self._release()
        if is_new:
            self._arm()  # from now on there is somebody to be told that we live
        self._go_on()

    def flush(self) -> None:
        """Send what is to be sent, as far as it can be."""
        outbox = self.machine.outbox
        sent = 0
        while sent < len(outbox) and self._calls.send(self, outbox[sent]):
            sent += 1
        del outbox[:sent]
        if not outbox:
            self._release()

    # -- for the answer (`proxy.backend_answer.Source`) ---------------------------------------------------------------

    @property
    def is_reading_paused(self) -> bool:
        """Whether the worker has sent what it gets new credits for once that is read."""
        return self.machine.owes

    def resume_reading(self) -> None:
        """Everything was read."""
        self.machine.grant()
        self.flush()

    def close(self) -> None:
        """Give it up; the worker is told."""
        if not self._is_over:
            self.machine.cancel()
            self.flush()
            self._end()

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """There is none: nobody asks a worker for another protocol."""
        raise AnswerTruncated("a ZHTTP worker has no connection to take over")

    # -- inner --------------------------------------------------------------------------------------------------------

    async def _head(self, answer: OwnAnswer, limit: float) -> None:
        if limit and answer.timer is None:
            answer.timer = self._clock.call_later(limit, answer.expire)
        while not answer.has_head:
            if answer.failure is not None:
                raise answer.failure
            answer.waiter = asyncio.get_running_loop().create_future()
            await answer.waiter

    async def _send_body(self, body: RequestBody, limit: float) -> None:
        """Send the body as the worker gives credits. The root of its task: it raises nothing but CancelledError."""
        try:
            async for data in body.chunks():
                await self._send_piece(data)
                self._progress(limit)
            self.machine.give(b"", more=False)
            self.flush()
        except RequestBodyError as error:
            self._answer.fail(error)  # the client's fault
        except OSError as error:
            self._answer.fail(error)  # the client is gone
        except Exception as error:
            log.exception("a request's body was not sent")
            self._answer.fail(error)

    async def _send_piece(self, data: bytes) -> None:
        while data:
            # What a worker has credits for and cannot be sent is not gathered here.
            while self.machine.credits <= 0 or self.machine.outbox:
                self._credited = asyncio.get_running_loop().create_future()
                await self._credited
            piece, data = data[: self.machine.credits], data[self.machine.credits :]
            self.machine.give(piece, more=True)
            self.flush()

    def _progress(self, limit: float) -> None:
        """A piece was taken: what bounds the wait for the answer begins anew, unless that is over."""
        answer = self._answer
        if answer.timer is not None:
            answer.timer.cancel()
            answer.timer = self._clock.call_later(limit, answer.expire)

    def _release(self) -> None:
        credited, self._credited = self._credited, None
        if credited is not None and not credited.done():
            credited.set_result(None)

    def _go_on(self) -> None:
        """Do what follows from the state that the machine has come to."""
        machine, answer = self.machine, self._answer
        self.flush()
        if machine.is_complete:
            answer.is_complete = True
        elif machine.failure is not None:
            answer.fail(_truncated(machine.failure) if answer.has_head else machine.failure)
        if machine.is_ended:
            self._end()
        answer.wake()

    def _end(self) -> None:
        self._is_over = True
        self._answer.connection = None
        self._calls.forget(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is not None:
            self._writer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.machine.deadline < math.inf:
            self._timer = self._clock.call_at(self.machine.deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.machine.tick(self._clock.now())
        self._go_on()
        self._arm()


def _truncated(failure: Failure) -> AnswerTruncated:
    error = AnswerTruncated(str(failure))
    error.__cause__ = failure
    return error
