"""A ZeroMQ socket on the event loop, for messages both ways.

Its descriptor only says that something has changed since it was last asked, and says that once: so it is read until
nothing is there, and looked at again after every send, which may have taken the news with it. The same news tells that
a peer has come, or takes messages again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable

import zmq

log = logging.getLogger("holdfast.zhttp")

AT_ONCE = 100
"""Messages that are read in one turn of the loop."""

Parts = list[bytes]
"""A message, whole."""

Take = Callable[[Parts], None]

_NOBODY = frozenset((zmq.EAGAIN, errno.EHOSTUNREACH))


class Port:
    """One socket, which is the port's own, and closed by it."""

    def __init__(self, socket: zmq.Socket[bytes], *, take: Take | None, stirred: Callable[[], None]) -> None:
        """`take` gets each message, None is for sockets that only send; `stirred` is called when sending may do again.

        What they raise is logged as a fault of ours.
        """
        self._socket = socket
        self._take = take
        self._stirred = stirred
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._is_due = False
        self._loop.add_reader(self._descriptor, self._look)
        self._look_soon()

    def try_send(self, parts: Parts) -> bool:
        """Send a message; False when nobody is there to take it now. Raises zmq.ZMQError for anything else."""
        if self._socket.closed:
            return False
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in _NOBODY:
                return False
            raise
        finally:
            self._look_soon()
        return True

    def close(self) -> None:
        """End it: what was not sent is lost. Harmless when it is closed."""
        if not self._socket.closed:
            self._loop.remove_reader(self._descriptor)
            self._socket.close(linger=0)

    def _look_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._is_due = False
        if self._socket.closed:
            return
        try:
            if self._take is not None:
                self._read(self._take)
            else:
                self._socket.getsockopt(zmq.EVENTS)  # which has ZeroMQ take in what has changed
            self._stirred()
        except Exception:
            log.exception("a message of ZHTTP was not handled")
            self._look_soon()  # for what came behind it

    def _read(self, take: Take) -> None:
        for _ in range(AT_ONCE):
            if self._socket.closed:
                return
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            take(parts)
        self._look_soon()
