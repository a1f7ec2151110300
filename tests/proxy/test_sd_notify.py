"""What systemd's socket receives, through real datagrams."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.settimeout(5)
        if request.param == "path":
            name = str(tmp_path / "notify")
            listener.bind(name)
        else:
            listener.bind("")  # the kernel chooses an abstract name
            name = "@" + listener.getsockname()[1:].decode()
        yield name, listener


@pytest.mark.parametrize(
    ("call", "datagram"),
    [
        (lambda it: it.ready("3 routes"), b"READY=1\nSTATUS=3 routes"),
        (lambda it: it.stopping(), b"STOPPING=1"),
        (lambda it: it.ready("one\nSTOPPING=1"), b"READY=1\nSTATUS=one STOPPING=1"),
        (lambda it: it.ready("caf\u00e9 \udc80"), "READY=1\nSTATUS=caf\u00e9 ?".encode()),
    ],
)
def test_each_state_is_one_datagram(
    manager: tuple[str, socket.socket], call: Callable[[Notifier], None], datagram: bytes
) -> None:
    name, listener = manager
    call(Notifier(name))
    assert listener.recv(4096) == datagram


def test_without_a_socket_nothing_is_sent_and_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    Notifier("").ready("on")
    assert not caplog.records


def test_a_manager_that_is_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "gone")
    Notifier(path).ready("on")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"cannot notify the service manager at {path}: No such file or directory")
    ]


def test_a_manager_that_does_not_read_never_blocks_the_proxy(
    manager: tuple[str, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(manager[0])
    while not caplog.records:  # until the socket's queue is full
        notifier.ready("busy")
    assert "Resource temporarily unavailable" in caplog.text


def test_a_reload_is_told_with_the_moment_at_which_it_began(tmp_path: Path) -> None:
    """systemd compares it with the moment at which it sent the signal, in microseconds of the system's clock."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        before = time.monotonic_ns() // 1000
        Notifier(str(path)).reloading()
        state = manager.recv(100)
    name, _, moment = state.rpartition(b"=")
    assert name == b"RELOADING=1\nMONOTONIC_USEC"
    assert before <= int(moment) <= time.monotonic_ns() // 1000
