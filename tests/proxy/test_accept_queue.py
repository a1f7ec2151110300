"""Those who wait at a listening socket are let in before it is closed, and nobody comes between."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.counters import Counters
from handlers.protocol.address import Address
from proxy.accept_queue import take_waiting
from proxy.listening import SocketOptions, listen
from tests.support.at_once import connect_at_once


@pytest.fixture(params=["127.0.0.1", ""], ids=["IPv4", "both"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    (sock,) = listen(Address(host=request.param, port=0), SocketOptions(backlog=100))
    with sock:
        yield sock


def address_of(listener: socket.socket) -> tuple[str, int]:
    return "127.0.0.1", listener.getsockname()[1]


def test_all_who_wait_are_let_in(listener: socket.socket) -> None:
    clients = [connect_at_once(address_of(listener)) for _ in range(5)]
    taken = take_waiting(listener, Counters())
    listener.close()
    assert sorted(sock.getpeername()[1] for sock in taken) == sorted(sock.getsockname()[1] for sock in clients)
    for sock, client in zip(taken, clients, strict=True):
        assert not sock.getblocking()
        sock.send(b"hello")
        select.select([client], [], [], 10)
        assert client.recv(5) == b"hello"
        sock.close()
        client.close()


def test_nobody_comes_between_that_and_the_closing(listener: socket.socket) -> None:
    """Whoever tries is not answered, and tries again."""
    assert take_waiting(listener, Counters()) == []
    with socket.socket() as client:
        client.setblocking(False)
        assert client.connect_ex(address_of(listener)) == errno.EINPROGRESS
        assert select.select([], [client], [], 0)[1] == []
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_those_at_a_unix_socket_are_let_in_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.setblocking(False)
        client.connect(str(tmp_path / "s"))
        [taken] = take_waiting(listener, Counters())
        taken.close()


def test_what_cannot_be_accepted_is_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    with socket.socket() as not_listening:
        not_listening.setblocking(False)
        assert take_waiting(not_listening, counters) == []
    assert caplog.messages == ["stopping: whoever waits to be accepted is cut: Invalid argument"]
    assert counters.connections_cut == 1
