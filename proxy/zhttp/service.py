"""The workers of one ZHTTP target: who waits for one, and whose answer a message is.

Made by `proxy.zhttp.services`, one for each spec of the routes file. It does not know how many workers there are: what
is pushed goes to whichever takes it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.timers import Clock, TimerHandle
from proxy.backend import ConnectFailed
from proxy.backend_answer import OwnAnswer
from proxy.protocol.zhttp import (
    CANCEL,
    DATA,
    ERROR,
    RequestStart,
    ZhttpAnswer,
    ZhttpError,
    ZhttpRequest,
    encode_request,
    parse_answer,
)
from proxy.protocol.zhttp_exchange import ZhttpExchange
from proxy.request_body import RequestBody
from proxy.zhttp.call import Call
from proxy.zhttp.wire import Owner, Wire

log = logging.getLogger("holdfast.zhttp")

NO_WORKER = "no worker takes the request"

SETTLE_SECONDS = 0.1
"""How long a worker that has just connected is left alone by those who waited for one: it connects several sockets, and
an answer on one that has not heard of us yet would be lost."""

RETRY_SECONDS = 0.1
"""How long a worker that could not be reached is left alone: each attempt is news, to the port, and would lead to the
next one in the same turn of the loop."""

ID_BYTES = 12


class Service:
    """A `proxy.zhttp.wire.Owner`, and the `proxy.zhttp.call.Calls` of its requests."""

    def __init__(
        self, make_wire: Callable[[Owner], Wire], *, name: str, sender: bytes, clock: Clock, counters: Counters
    ) -> None:
        """`name` is the target's, `sender` is our address. Raises OSError when it cannot be bound."""
        self._name = name
        self._sender = sender
        self._clock = clock
        self._counters = counters
        self._calls: dict[bytes, Call] = {}
        self._waiting: OrderedDict[Call, tuple[bytes, asyncio.Future[None]]] = OrderedDict()
        self._blocked: dict[Call, None] = {}
        self._settling: TimerHandle | None = None
        self._resting: TimerHandle | None = None
        self._wire = make_wire(self)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._calls

    def close(self) -> None:
        """End it; requests that are under way end as if their worker had fallen silent."""
        for timer in (self._settling, self._resting):
            if timer is not None:
                timer.cancel()
        self._wire.close()

    async def ask(
        self, start: RequestStart, first: bytes | None, body: RequestBody, *, limit: float, wait: float, silence: float
    ) -> OwnAnswer:
        """Send a request to a worker and return its answer's head, as `Call.ask` does.

        A worker must take it within `wait` seconds, else ConnectFailed; `silence` is how long it may say nothing.
        """
        name = secrets.token_hex(ID_BYTES).encode()
        machine = ZhttpExchange(sender=self._sender, name=name, silence=silence)
        call = Call(self, self._clock, machine, name, wait)
        self._calls[name] = call
        return await call.ask(start, first, body, limit=limit)

    # -- for the calls ------------------------------------------------------------------------------------------------

    async def pushed(self, call: Call, data: bytes) -> None:
        """Return once a worker has taken a first message. Raises ConnectFailed."""
        if not self._waiting and self._wire.push(data):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[call] = data, turn
        try:
            async with Deadline(self._clock, call.wait):
                await turn
        except TimeoutError as error:
            log.warning("%s: no worker has come within %g seconds", self._name, call.wait)
            raise ConnectFailed(f"{self._name}: {NO_WORKER}") from error
        finally:
            self._waiting.pop(call, None)

    def send(self, call: Call, data: bytes) -> bool:
        """Send a later message; False when the worker cannot be reached now: `Call.flush` is called when it may."""
        if self._wire.send(call.machine.peer, data):
            return True
        if call.name in self._calls:
            self._blocked[call] = None
        return False

    def forget(self, call: Call) -> None:
        """Have no more to do with it."""
        self._calls.pop(call.name, None)
        self._blocked.pop(call, None)

    # -- for the wire -------------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take a message of a worker's."""
        try:
            message = parse_answer(data)
        except ZhttpError as error:
            self._counters.zhttp_malformed += 1
            log.warning("%s: a worker's message cannot be read: %s", self._name, error)
            return
        for name, seq in message.ids:
            call = self._calls.get(name)
            if call is not None:
                call.take(message, seq)
            else:
                self._take_stray(message, name)

    def may_push(self) -> None:
        """Whatever waits to be pushed may be tried again, but for a moment."""
        if self._waiting and self._settling is None:
            self._settling = self._clock.call_later(SETTLE_SECONDS, self._settled)

    def may_send(self) -> None:
        """Whatever waits to be sent to one worker may be tried again; what still cannot be sent, in a moment."""
        if self._resting is not None:
            return
        blocked, self._blocked = self._blocked, {}
        for call in blocked:
            call.flush()
        if self._blocked:
            self._resting = self._clock.call_later(RETRY_SECONDS, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self.may_send()

    def _settled(self) -> None:
        self._settling = None
        while self._waiting:
            call, (data, turn) = next(iter(self._waiting.items()))
            if not turn.done():
                if not self._wire.push(data):
                    return
                turn.set_result(None)
            del self._waiting[call]

    def _take_stray(self, message: ZhttpAnswer, name: bytes) -> None:
        """Nobody waits for this any more: the worker may stop."""
        log.debug("%s: a message for %.60r, which is not known", self._name, name)
        is_over = message.type in {CANCEL, ERROR} or (message.type == DATA and not message.more)
        if message.sender and not is_over:
            self._wire.send(message.sender, encode_request(ZhttpRequest(sender=self._sender, id=name, type=CANCEL)))
