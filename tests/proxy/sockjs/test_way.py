"""A connection's descriptor goes from one process to another, with as much as has come by it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.sockjs.way import SIGN, TAKING_SECONDS, NotPassedError, hear_whether_taken, reach, receive, send
from tests.support.clock import ManualClock
from tests.support.turns import settle


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"a\nb" * 1_000_000], ids=["nothing", "a head", "3 MB"]
)
async def test_what_is_sent_arrives(ends: tuple[socket.socket, socket.socket], data: bytes) -> None:
    near, far = ends
    client, served = socket.socketpair()
    with client:
        with served:
            send(near, served.fileno(), b'["1.2.3.4", 5]', data)
        passenger = await receive(far)
        assert passenger is not None
        assert (passenger.peer, passenger.data) == (b'["1.2.3.4", 5]', data)
        with passenger.sock:
            assert passenger.sock.gettimeout() == 0
            client.send(b"hello")
            assert passenger.sock.recv(5) == b"hello"


async def test_one_who_has_ended_sends_nobody(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    near.close()
    assert await receive(far) is None


async def test_what_is_not_two_descriptors_is_not_taken(
    ends: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    near, far = ends
    before = open_files()
    socket.send_fds(near, [SIGN], [near.fileno()])
    assert await receive(far) is None
    assert caplog.messages == ["a connection of another worker is lost: no more files can be opened"]
    assert open_files() == before


@pytest.mark.parametrize(("answer", "is_taken"), [(SIGN, True), (b"", False)], ids=["taken", "ended"])
async def test_whether_it_was_taken_is_heard(
    ends: tuple[socket.socket, socket.socket], clock: ManualClock, answer: bytes, is_taken: bool
) -> None:
    near, far = ends
    if answer:
        far.send(answer)
    else:
        far.close()
    assert await hear_whether_taken(near, clock) is is_taken


async def test_one_who_says_nothing_has_not_taken_it(
    ends: tuple[socket.socket, socket.socket], clock: ManualClock
) -> None:
    hearing = asyncio.create_task(hear_whether_taken(ends[0], clock))
    await settle()
    clock.advance(TAKING_SECONDS)
    assert await hearing is False


def test_where_nobody_listens_nobody_is_reached(tmp_path: Path) -> None:
    with pytest.raises(NotPassedError, match="No such file"):
        reach(tmp_path / "nobody")


def test_what_cannot_be_sent_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    far.close()
    with pytest.raises(NotPassedError, match="Broken pipe"):
        send(near, near.fileno(), b"", b"x")
