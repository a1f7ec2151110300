"""Those who wait at a listening socket that is about to be closed: the kernel would reset their connections.

Called by clients' entrances when the process stops. With several workers on one address (SO_REUSEPORT) each has a queue
of its own, and what is in it when its socket closes goes to the others only with `net.ipv4.tcp_migrate_req`.
"""

from __future__ import annotations

import array
import logging
import socket
import struct
from collections.abc import Iterator

from handlers.counters import Counters

log = logging.getLogger("holdfast.client")

SO_ATTACH_FILTER = 26
"""A socket option of Linux (on nearly all machines this number) that Python has no name for."""

_LIMIT = 65_535
"""Accepted at most: others may come to a queue that several processes share as fast as they are taken from it."""

_NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte at 13 of the TCP header: its flags
    (0x54, 0, 0, 0x12),  # of these SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN: a new connection
    (0x06, 0, 0, 0),  # is dropped
    (0x06, 0, 0, 0xFFFFFFFF),  # anything else passes
)
"""Code for the kernel's packet filter: (operation, jump if true, jump if false, operand)."""


def take_waiting(sock: socket.socket, counters: Counters) -> list[socket.socket]:
    """Accept all who wait at a listening socket, which the caller is to close in the same turn.

    Where there are no descriptors for them they are cut, which is logged, and counted as one: nobody knows how many.

    Who comes between this and the closing is not answered by the kernel, and so comes again a second later, when
    there is another worker, or the next process, or nobody. Left are handshakes that are half done: for those
    whose last packet comes after the closing there is nobody, and the kernel resets them.
    """
    taken: list[socket.socket] = []
    try:
        taken.extend(_accepted(sock))
        if sock.family != socket.AF_UNIX:
            _refuse_newcomers(sock)
            taken.extend(_accepted(sock))
    except OSError as error:
        counters.connections_cut += 1
        log.warning("stopping: whoever waits to be accepted is cut: %s", error.strerror)
    return taken


def _accepted(sock: socket.socket) -> Iterator[socket.socket]:
    """Yield who waits. Raises OSError when somebody cannot be accepted."""
    for _ in range(_LIMIT):
        try:
            connection, _ = sock.accept()
        except BlockingIOError:
            return
        except ConnectionAbortedError:
            continue
        connection.setblocking(False)
        yield connection


def _refuse_newcomers(sock: socket.socket) -> None:
    code = array.array("B", b"".join(struct.pack("=HBBI", *step) for step in _NO_SYN))
    program = struct.pack("@HP", len(_NO_SYN), code.buffer_info()[0])
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError as error:
        log.debug("stopping: clients may come while nobody accepts them any more: %s", error.strerror)
