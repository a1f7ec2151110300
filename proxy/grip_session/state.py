"""The way to the session state service: calls over a ZeroMQ socket, each with its reply (reference 3.14).

Made by `proxy.grip_session.tracking`. The socket is bound, and the service connects to it, as it does to Pushpin's; a
service that serves one call at a time (REP) will do.
"""

from __future__ import annotations

import asyncio
import logging

import zmq

from handlers.counters import Counters
from handlers.protocol.tnetstring import Value
from handlers.protocol.zmq_spec import ZmqSpec
from handlers.timers import Clock, TimerHandle
from handlers.zeromq.binding import SocketFiles, bind, open_socket
from proxy.protocol.state_call import Args, StateCallError, encode_call, parse_reply
from proxy.zhttp.port import Parts, Port

log = logging.getLogger("holdfast.session")

CALL_SECONDS = 1.0
"""How long a call may take (reference 3.14)."""
HIGH_WATER = 100
"""Calls that wait at a service; a further one fails at once. Pushpin's number."""


class StateError(Exception):
    """A call came to nothing. `condition` is the service's word, or ours."""

    def __init__(self, method: str, condition: str) -> None:
        super().__init__(method, condition)
        self.method = method
        self.condition = condition

    def __str__(self) -> str:
        return f"{self.method}: {self.condition}"


class StateService:
    """`open` once; then `call` and `tell` any number of times at once, until `close`."""

    def __init__(self, spec: ZmqSpec, *, sender: bytes, clock: Clock, counters: Counters) -> None:
        self._spec = spec
        self._sender = sender
        self._clock = clock
        self._counters = counters
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._port: Port | None = None
        self._files = SocketFiles()
        self._count = 0
        self._pending: dict[bytes, tuple[str, asyncio.Future[Value], TimerHandle]] = {}

    def open(self) -> None:
        """Bind. Raises OSError with the endpoint as its `filename`."""
        self._context = zmq.Context()
        socket = open_socket(self._context, zmq.DEALER, high_water=HIGH_WATER)
        try:
            bind(socket, self._spec, files=self._files)
        except OSError:
            socket.close(linger=0)
            self._context.term()
            raise
        self._port = Port(socket, take=self._take, stirred=_nothing)

    def close(self) -> None:
        """End it; calls that are under way fail."""
        for name in tuple(self._pending):
            self._fail(name, "closed")
        self._files.remove()
        if self._port is not None and self._context is not None:
            self._port.close()
            self._port = None
            self._context.term()

    async def call(self, method: str, args: Args) -> Value:
        """Call the service, and return what it says. Raises StateError."""
        return await self._start(method, args)

    def tell(self, method: str, args: Args) -> None:
        """Call the service, and wait for nothing; a failure is logged and counted."""
        self._start(method, args).add_done_callback(self._note)

    def count_failure(self, error: StateError) -> None:
        """Count and log a call that came to nothing."""
        self._counters.state_failures += 1
        log.warning("session state service: %s", error)

    def _start(self, method: str, args: Args) -> asyncio.Future[Value]:
        self._count += 1
        name = b"%d" % self._count
        data = encode_call(sender=self._sender, name=name, method=method, args=args)
        reply: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(CALL_SECONDS, lambda: self._fail(name, f"no reply in {CALL_SECONDS:g} second"))
        self._pending[name] = method, reply, timer
        if self._port is None or not self._port.try_send([b"", data]):
            self._fail(name, "nobody is connected")
        return reply

    def _take(self, parts: Parts) -> None:
        try:
            reply = parse_reply(parts[-1])
        except StateCallError as error:
            self._counters.state_failures += 1
            log.warning("session state service: a message is no reply: %s", error)
            return
        if reply.condition:
            self._fail(reply.id, reply.condition)
            return
        found = self._pending.pop(reply.id, None)
        if found is not None:
            _, waiting, timer = found
            timer.cancel()
            if not waiting.done():
                waiting.set_result(reply.value)

    def _fail(self, name: bytes, condition: str) -> None:
        found = self._pending.pop(name, None)
        if found is None:
            return
        method, waiting, timer = found
        timer.cancel()
        if not waiting.done():
            waiting.set_exception(StateError(method, condition))

    def _note(self, reply: asyncio.Future[Value]) -> None:
        error = None if reply.cancelled() else reply.exception()
        if isinstance(error, StateError):
            self.count_failure(error)


def _nothing() -> None:
    """What cannot be sent at once is not sent."""
