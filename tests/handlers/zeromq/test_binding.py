from __future__ import annotations

import errno
import re
import socket as plain_socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import Context, SocketFiles, bind, connect, open_socket

Make = Callable[[int], zmq.Socket[bytes]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make sockets that are closed behind the test."""
    context: Context = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def make_one(kind: int) -> zmq.Socket[bytes]:
        sockets.append(open_socket(context, kind))
        return sockets[-1]

    yield make_one
    for socket in sockets:
        socket.close()
    context.term()


@pytest.mark.parametrize("port", ["0", "*"])
def test_an_open_port_is_the_systems_to_choose(make: Make, port: str) -> None:
    endpoint = bind(make(zmq.PULL), parse_spec(f"tcp://127.0.0.1:{port}"))
    assert re.fullmatch(r"tcp://127\.0\.0\.1:[1-9][0-9]+", endpoint)


def test_an_endpoint_with_a_port_is_told_as_it_was_written(make: Make) -> None:
    with plain_socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert bind(make(zmq.PULL), parse_spec(f"tcp://*:{port}")) == f"tcp://*:{port}"


def test_an_ipv6_address_can_be_bound(make: Make) -> None:
    assert bind(make(zmq.PULL), parse_spec("tcp://[::1]:0")).startswith("tcp://[::1]:")


def test_an_address_in_use_is_an_error_that_names_it(make: Make) -> None:
    endpoint = bind(make(zmq.PULL), parse_spec("tcp://127.0.0.1:0"))
    with pytest.raises(OSError, match="Address already in use") as caught:
        bind(make(zmq.PULL), parse_spec(endpoint))
    assert (caught.value.errno, caught.value.filename) == (errno.EADDRINUSE, endpoint)


def test_a_path_at_which_somebody_listens_is_not_taken_away_from_him(make: Make, tmp_path: Path) -> None:
    spec = parse_spec(f"ipc://{tmp_path}/pull")
    first = make(zmq.PULL)
    bind(first, spec)
    with pytest.raises(OSError, match="Address already in use") as caught:
        bind(make(zmq.PULL), spec)
    assert caught.value.filename == spec.text
    push = make(zmq.PUSH)
    connect(push, spec)
    push.send(b"still there")
    assert first.recv() == b"still there"


def test_a_path_that_a_dead_process_left_behind_is_taken(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "pull"
    with plain_socket.socket(plain_socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    assert bind(make(zmq.PULL), parse_spec(f"ipc://{path}")) == f"ipc://{path}"


def test_files_are_removed_at_the_end(make: Make, tmp_path: Path) -> None:
    files = SocketFiles()
    for text in (f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/b", f"ipc://@{tmp_path}", "tcp://127.0.0.1:0"):
        bind(make(zmq.PULL), parse_spec(text), files=files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    (tmp_path / "b").unlink()
    files.remove()
    files.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_anothers_by_now_is_left(make: Make, tmp_path: Path) -> None:
    files, spec = SocketFiles(), parse_spec(f"ipc://{tmp_path}/pull")
    bind(make(zmq.PULL), spec, files=files)
    (tmp_path / "pull").rename(tmp_path / "ours")
    with plain_socket.socket(plain_socket.AF_UNIX) as other:
        other.bind(spec.address)
        files.remove()
        assert (tmp_path / "pull").is_socket()


@pytest.mark.parametrize(
    ("text", "why"), [("ipc:///nowhere/pull", "No such"), ("tcp://no.such.host.invalid:1", "No such")]
)
def test_what_cannot_be_bound_is_an_error_that_names_it(make: Make, text: str, why: str) -> None:
    with pytest.raises(OSError, match=why) as caught:
        bind(make(zmq.PULL), parse_spec(text))
    assert caught.value.filename == text


@pytest.mark.parametrize("mode", ["777", "0660"])
def test_the_permissions_of_a_path_can_be_set(make: Make, tmp_path: Path, mode: str) -> None:
    bind(make(zmq.PULL), parse_spec(f"ipc://{tmp_path}/pull"), ipc_file_mode=mode)
    assert (tmp_path / "pull").stat().st_mode & 0o777 == int(mode, 8)


def test_a_socket_without_a_file_has_no_permissions(make: Make, tmp_path: Path) -> None:
    spec = parse_spec(f"ipc://@{tmp_path}")
    bind(make(zmq.PULL), spec, ipc_file_mode="777")
    with pytest.raises(OSError, match="Address already in use"):
        bind(make(zmq.PULL), spec)


def test_who_connects_need_not_come_second(make: Make, tmp_path: Path) -> None:
    spec = parse_spec(f"ipc://{tmp_path}/pull")
    push = make(zmq.PUSH)
    connect(push, spec)
    first = make(zmq.PULL)
    bind(first, spec)
    push.send(b"here")
    assert first.recv() == b"here"
