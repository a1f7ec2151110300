"""Listening Unix sockets and their files: whose they are, which are replaced, and what is left at the end."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from handlers.protocol.unix_address import UnixAddress, parse_unix_address
from proxy.unix_listening import listen_unix


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a socket may be."""
    with TemporaryDirectory() as folder:
        yield Path(folder, "s")


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_it_listens_and_leaves_nothing(path: Path) -> None:
    listener = listen_unix(UnixAddress(path=str(path)), backlog=1)
    assert connects(path)
    listener.close()
    assert not path.exists()
    listener.close()


def test_its_file_can_go_before_it_does(path: Path) -> None:
    listener = listen_unix(UnixAddress(path=str(path)), backlog=1)
    listener.remove_file()
    assert not path.exists()
    assert listener.sock.getsockname() == str(path)
    listener.close()


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o777])
def test_the_file_has_the_mode_and_owner_it_was_given(path: Path, mode: int) -> None:
    text = f"{path}?mode={mode:o}&user={os.getuid()}&group={os.getgid()}"
    listener = listen_unix(parse_unix_address(text), backlog=1)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    listener.close()


def test_one_that_nobody_listens_on_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    listener = listen_unix(UnixAddress(path=str(path)), backlog=1)
    assert connects(path)
    listener.close()


def test_one_where_somebody_listens_is_named(path: Path) -> None:
    first = listen_unix(UnixAddress(path=str(path)), backlog=0)
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for client in waiting:  # more than may wait: whoever asks is not even accepted
        client.setblocking(False)
        client.connect_ex(str(path))
    with pytest.raises(OSError, match="in use") as refused:
        listen_unix(UnixAddress(path=str(path)), backlog=1)
    assert (refused.value.errno, refused.value.filename) == (errno.EADDRINUSE, f"unix:{path}")
    assert path.exists()
    for client in waiting:
        client.close()
    first.close()


def test_a_file_of_another_kind_is_left_alone(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(OSError, match="is there, and is no socket") as refused:
        listen_unix(UnixAddress(path=str(path)), backlog=1)
    assert refused.value.filename == f"unix:{path}"
    assert path.read_text() == "mine"


@pytest.mark.parametrize(("options", "reason"), [("user=nobody-here", "no user"), ("group=none-here", "no group")])
def test_nobody_gets_it_who_is_not_there_and_nothing_is_left(path: Path, options: str, reason: str) -> None:
    with pytest.raises(OSError, match=f"there is {reason}"):
        listen_unix(parse_unix_address(f"{path}?{options}"), backlog=1)
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(FileNotFoundError) as refused:
        listen_unix(UnixAddress(path=f"{path}/x"), backlog=1)
    assert refused.value.filename == f"unix:{path}/x"


def test_the_file_of_a_successor_is_not_removed(path: Path) -> None:
    first = listen_unix(UnixAddress(path=str(path)), backlog=1)
    path.unlink()
    second = listen_unix(UnixAddress(path=str(path)), backlog=1)
    first.close()
    assert connects(path)
    second.close()
