"""The sockets of a ZHTTP target, bound where workers connect (reference 1.4).

`StreamWire` is for `zhttp/`: PUSH for first messages, ROUTER for later ones, SUB for answers. `WholeWire` is for
`zhttpreq/`: one DEALER. Made by `proxy.zhttp.service`.
"""

from __future__ import annotations

from typing import Protocol

import zmq

from handlers.protocol.zmq_spec import ZmqSpec
from handlers.zeromq.binding import Context, SocketFiles, bind, open_socket
from proxy.protocol.zhttp import strip_address
from proxy.protocol.zhttp_spec import stream_specs
from proxy.zhttp.port import Parts, Port

FIRST_HIGH_WATER = 100
"""First messages that wait at one worker; more wait here, where their clients can still give them up (Pushpin's)."""


class Owner(Protocol):
    """Whom a wire belongs to."""

    def take(self, data: bytes) -> None:
        """Take a message of a worker's, without its envelope."""
        ...

    def may_push(self) -> None:
        """Whatever waits to be pushed may be tried again."""
        ...

    def may_send(self) -> None:
        """Whatever waits to be sent to one worker may be tried again."""
        ...


class Wire(Protocol):
    """The way to the workers of a target."""

    def push(self, data: bytes) -> bool:
        """Send a first message to whichever worker takes it; False when none does."""
        ...

    def send(self, peer: bytes, data: bytes) -> bool:
        """Send a later message to one worker; False when it cannot be reached now."""
        ...

    def close(self) -> None:
        """Close the sockets."""
        ...


class StreamWire:
    """A Wire whose exchanges are streamed."""

    def __init__(self, context: Context, spec: ZmqSpec, *, sender: bytes, ipc_file_mode: str, owner: Owner) -> None:
        """Bind all three sockets, or none; `sender` is our address. Raises OSError with an endpoint in it."""
        self._sender = sender
        self._owner = owner
        out, out_stream, answers = (
            open_socket(context, zmq.PUSH, high_water=FIRST_HIGH_WATER),
            open_socket(context, zmq.ROUTER),
            open_socket(context, zmq.SUB),
        )
        out_stream.setsockopt(zmq.IDENTITY, sender)
        out_stream.setsockopt(zmq.ROUTER_MANDATORY, 1)
        out_stream.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a worker that comes again is the same, whatever became of it
        answers.subscribe(sender + b" ")
        sockets = (out, out_stream, answers)
        self._files = SocketFiles()
        try:
            for socket, place in zip(sockets, stream_specs(spec), strict=True):
                bind(socket, place, ipc_file_mode=ipc_file_mode, files=self._files)
        except OSError:
            self._files.remove()
            for socket in sockets:
                socket.close(linger=0)
            raise
        self._out = Port(out, take=None, stirred=owner.may_push)
        self._out_stream = Port(out_stream, take=self._take_last, stirred=owner.may_send)
        self._answers = Port(answers, take=self._take_last, stirred=_nothing)

    def push(self, data: bytes) -> bool:
        """Send a first message to whichever worker takes it; False when none does."""
        return self._out.try_send([data])

    def send(self, peer: bytes, data: bytes) -> bool:
        """Send a later message to one worker; False when it cannot be reached now."""
        return self._out_stream.try_send([peer, b"", data])

    def close(self) -> None:
        """Close the sockets."""
        self._files.remove()
        for port in (self._out, self._out_stream, self._answers):
            port.close()

    def _take_last(self, parts: Parts) -> None:
        self._owner.take(strip_address(parts[-1], self._sender))


class WholeWire:
    """A Wire whose exchanges are one message each way."""

    def __init__(self, context: Context, spec: ZmqSpec, *, ipc_file_mode: str, owner: Owner) -> None:
        """Bind the socket. Raises OSError with the endpoint in it."""
        self._owner = owner
        socket = open_socket(context, zmq.DEALER, high_water=FIRST_HIGH_WATER)
        self._files = SocketFiles()
        try:
            bind(socket, spec, ipc_file_mode=ipc_file_mode, files=self._files)
        except OSError:
            socket.close(linger=0)
            raise
        self._port = Port(socket, take=self._take_last, stirred=owner.may_push)

    def push(self, data: bytes) -> bool:
        """Send a request to whichever worker takes it; False when none does."""
        return self._port.try_send([b"", data])

    def send(self, peer: bytes, data: bytes) -> bool:
        """Reach nobody: there are no later messages."""
        return False

    def close(self) -> None:
        """Close the socket."""
        self._files.remove()
        self._port.close()

    def _take_last(self, parts: Parts) -> None:
        self._owner.take(parts[-1])


def _nothing() -> None:
    """Nothing is ever sent."""
