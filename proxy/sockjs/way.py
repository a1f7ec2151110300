"""The way from one worker to another: a Unix socket, by which a connection's descriptor goes with what has come by it.

Used by `proxy.sockjs.passing`, at both ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from handlers.deadline import Deadline
from handlers.timers import Clock

log = logging.getLogger("holdfast.sockjs")

SIGN = b"\0"
"""What is sent with the descriptors, because something has to be, and back when they were taken."""

TAKING_SECONDS = 30.0
"""How long the other worker may take to say that it has taken a connection: one that hangs is replaced meanwhile."""


class NotPassedError(Exception):
    """A connection cannot be sent to the other worker; `str(error)` is why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passenger:
    """A connection that has come by the way."""

    sock: socket.socket
    peer: bytes
    """Who the client is, where the socket is another's."""
    data: bytes
    """What has come by the connection, and is not served yet."""


def reach(path: Path) -> socket.socket:
    """Connect to the worker that listens there. Raises NotPassedError."""
    way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # Not by the loop, which takes a full backlog for a connection: here it is an error, like any other.
        way.connect(str(path))
    except OSError as error:
        way.close()
        raise NotPassedError(str(error)) from error
    return way


def send(way: socket.socket, client: int, peer: bytes, data: bytes) -> None:
    """Send a client's descriptor; `peer` says who it is where that is another's, `data` what has come by it.

    Raises NotPassedError.
    """
    try:
        file = write_all(peer + b"\n" + data)
        try:
            socket.send_fds(way, [SIGN], [client, file])
        finally:
            os.close(file)
    except OSError as error:
        raise NotPassedError(str(error)) from error


async def receive(way: socket.socket) -> Passenger | None:
    """Return what is sent by the way; None where it cannot be taken, or the other worker has ended."""
    await readable(way)
    _, descriptors, _, _ = socket.recv_fds(way, len(SIGN), 2)
    if len(descriptors) != 2:
        for descriptor in descriptors:
            os.close(descriptor)
        if descriptors:
            log.error("a connection of another worker is lost: no more files can be opened")
        return None
    client, file = descriptors
    peer, _, data = read_all(file).partition(b"\n")
    sock = socket.socket(fileno=client)
    sock.setblocking(False)
    return Passenger(sock=sock, peer=peer, data=data)


async def hear_whether_taken(way: socket.socket, clock: Clock) -> bool:
    """Wait until the other worker has taken what was sent, or has ended."""
    try:
        async with Deadline(clock, TAKING_SECONDS):
            await readable(way)
            return way.recv(len(SIGN)) == SIGN
    except (TimeoutError, ConnectionError):
        return False


def write_all(data: bytes) -> int:
    """Return the descriptor of a new file in memory with `data` in it: a socket may not take as much at once."""
    descriptor = os.memfd_create("request")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def read_all(descriptor: int) -> bytes:
    """Return what is in a file in memory, and close it."""
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


async def readable(sock: socket.socket) -> None:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock.fileno(), ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
