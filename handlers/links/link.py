"""One end of a link between two processes of this machine: whole messages, in order, none lost while both live.

A ZeroMQ PAIR over a Unix socket, read by the event loop itself. Its descriptor only says that something has changed
since it was last asked, and says that once: so it is read until nothing is there, and looked at again after every send,
which may have taken the news with it.

Nothing here bounds what is queued for a peer that does not read: the ends do (`outstanding`), since ZeroMQ would drop
or block.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import zmq

log = logging.getLogger("holdfast.link")

AT_ONCE = 200
"""Messages that are read in one turn of the loop: with what they set going, some milliseconds."""


class Link:
    """One end. `begin` once, then send and be sent to until `close`. Use it on one event loop."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        """`socket` is the link's own from here on."""
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._receive: Callable[[bytes], None] | None = None
        self._rest: Callable[[], None] | None = None
        self._is_due = False
        self._is_enough = False

    def begin(self, receive: Callable[[bytes], None], rest: Callable[[], None]) -> None:
        """Read from now on: `receive` gets each message, and `rest` is called behind those of a turn of the loop.

        What they raise is logged as a fault of ours, and the next message is read. `receive` may call `end_turn`.
        """
        self._receive, self._rest = receive, rest
        self._loop.add_reader(self._descriptor, self._read)
        self._look_soon()

    def send(self, data: bytes) -> None:
        """Queue a message. Never blocks; what is sent to a peer that has gone is lost with it."""
        if self._socket.closed:
            return
        try:
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            log.debug("a message to a process that has ended")
        self._look_soon()

    def end_turn(self) -> None:
        """Read no further message in this turn of the loop: `rest` comes next, and the next turn reads on."""
        self._is_enough = True

    def read_now(self) -> None:
        """Read what is there, as the loop would have done in its next turn."""
        if self._receive is not None and not self._socket.closed:
            self._read()

    def close(self) -> None:
        """End it at once: what is still queued is thrown away. Harmless when it is closed."""
        if not self._socket.closed:
            self._loop.remove_reader(self._descriptor)
            self._socket.close(linger=0)

    def _look_soon(self) -> None:
        if not self._is_due and self._receive is not None:
            self._is_due = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._is_due = self._is_enough = False
        assert self._receive is not None, "it has begun"
        assert self._rest is not None, "as above"
        for _ in range(AT_ONCE):
            if self._socket.closed:
                return
            try:
                data = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._guarded(self._receive, data)
            if self._is_enough:
                self._look_soon()
                break
        else:
            self._look_soon()
        self._guarded(self._rest)

    def _guarded(self, call: Callable[..., None], *values: bytes) -> None:
        try:
            call(*values)
        except Exception:  # the root of what a message sets going: the next one must be read
            log.exception("a message between processes was not handled")


def open_parents_end(context: zmq.Context[zmq.Socket[bytes]], path: Path) -> Link:
    """Return the end to which a worker connects; `path` is made, and must not be longer than a socket's name can be.

    Raises OSError.
    """
    socket = _open(context)
    try:
        socket.bind(f"ipc://{path}")
    except zmq.ZMQError as error:
        socket.close(linger=0)
        raise OSError(error.errno, str(error), str(path)) from error
    return Link(socket)


def open_workers_end(context: zmq.Context[zmq.Socket[bytes]], path: Path) -> Link:
    """Return the other end."""
    socket = _open(context)
    socket.connect(f"ipc://{path}")
    return Link(socket)


def _open(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.PAIR)
    # No limit, as past one nothing could be sent: how much may be under way is for the ends to say.
    socket.set_hwm(0)
    return socket
