"""Clients that are connected before the loop, and so the server, has had a turn to accept them."""

from __future__ import annotations

import socket


def connect_at_once(address: tuple[str, int]) -> socket.socket:
    """Connect: the kernel does so, and has the connection wait."""
    sock = socket.create_connection(address)
    sock.setblocking(False)
    return sock
