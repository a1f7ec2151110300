"""The socket under a connection to a backend: noticing that its host has vanished, and what is there to be read.

Used by both clients for the first; by `backend_pool`, through `backend_connection`, for the second.
"""

from __future__ import annotations

import asyncio
import select
import socket

from proxy.listening import ask_silent_peers

PROBE_SECONDS = 60
"""Seconds of silence after which the kernel asks a backend's host whether it is still there, and then every quarter of
that. A host that has lost its power says nothing, and an answer under way, or a poll that it holds, has no other end.
As for clients (`hold.probe_interval`)."""

VANISHED_SECONDS = 120
"""Seconds in which a backend's host acknowledges nothing before it counts as vanished: one minute of silence and four
questions. Linux counts the time in which the backend takes nothing of an upload, too, which is why it is more than the
minute that clients get."""


def probe(transport: asyncio.BaseTransport) -> None:
    """Have the kernel notice a host that vanishes: the connection is then lost, with TimeoutError."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    ask_silent_peers(sock, PROBE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_SECONDS * 1000)


def poll_of(transport: asyncio.BaseTransport) -> select.poll:
    """Return what says, by `poll(0)`, whether the peer of an idle connection has sent something or has closed.

    Not to be asked once the transport is closing: the number of its socket may be another's then. Within TLS what
    comes may be no answer (session tickets), so there it is the end alone that is looked for.
    """
    events = select.POLLRDHUP if transport.get_extra_info("sslcontext") else select.POLLRDHUP | select.POLLIN
    found = select.poll()
    found.register(transport.get_extra_info("socket").fileno(), events)
    return found
