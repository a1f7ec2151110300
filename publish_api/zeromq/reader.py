"""Reads a ZeroMQ socket on the event loop: what has come, some milliseconds' worth at a time.

The socket's descriptor only says that something has changed since it was last asked, and says that once: so the socket
is read until nothing is there, and looked at again after every send, which may have taken the news with it.
`zmq.asyncio` does the same with a future for every message, which costs more than all the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import zmq

AT_ONCE = 200
"""Messages that are read in one turn of the loop."""

BYTES_AT_ONCE = 1_048_576
"""Bytes after which no further message is read in the same turn."""

Parts = list[bytes]
"""A message, whole."""


class SocketReader:
    """Gives the messages of one socket, in their order, to `take`: those of one turn in one call.

    `begin` once. `take` may call `pause`, after which nothing is read until `resume`: what comes then waits in ZeroMQ,
    up to the high-water mark, and after that at whoever sends it. The socket is the reader's, and closed by it.
    """

    def __init__(self, socket: zmq.Socket[bytes], take: Callable[[Sequence[Parts]], None]) -> None:
        self.socket = socket
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._is_reading = False
        self._is_due = False

    def begin(self) -> None:
        """Read from now on."""
        self.resume()

    def pause(self) -> None:
        """Read nothing more until `resume`."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read on."""
        if not self._is_reading and not self.socket.closed:
            self._is_reading = True
            self._loop.add_reader(self._descriptor, self._read)
            self.look_soon()

    def look_soon(self) -> None:
        """Look for messages in the next turn of the loop. To be called after something was sent on the socket."""
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._look)

    def close(self) -> None:
        """End it: what has come and was not read is lost. Harmless when it is closed."""
        self.pause()
        self.socket.close(linger=0)

    def _look(self) -> None:
        self._is_due = False
        self._read()

    def _read(self) -> None:
        if not self._is_reading:
            return
        messages: list[Parts] = []
        size = 0
        while len(messages) < AT_ONCE and size < BYTES_AT_ONCE:
            try:
                parts = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            messages.append(parts)
            size += sum(map(len, parts))
        else:
            self.look_soon()
        if messages:
            self._take(messages)
