"""Sockets for the tests of ZHTTP: one context, everything in it gone behind the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from handlers.zeromq.binding import Context

Make = Callable[[int, str], zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[Context]:
    """A context that is ended behind the test."""
    context: Context = zmq.Context()
    yield context
    context.term()


@pytest.fixture
def peer(context: Context) -> Iterator[Make]:
    """Make sockets that connect to an endpoint, and are closed behind the test."""
    sockets: list[zmq.Socket[bytes]] = []

    def make(kind: int, endpoint: str) -> zmq.Socket[bytes]:
        socket = context.socket(kind)
        socket.linger = 0
        if kind == zmq.ROUTER:
            socket.setsockopt(zmq.IDENTITY, b"worker")
        socket.connect(endpoint)
        sockets.append(socket)
        return socket

    yield make
    for socket in sockets:
        socket.close()


@pytest.fixture
def base(tmp_path: Path) -> str:
    """Where a target is."""
    return f"ipc://{tmp_path}/t"
