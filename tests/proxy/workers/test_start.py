"""What a worker is told: all settings as they are, over a pipe that stays open."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from proxy.listening import Bound
from proxy.workers.start import WorkerStart, encode_start, read_start
from tests.support.hub_site import MIXED
from tests.support.settings import settings_from

START = WorkerStart(
    number=2,
    settings=settings_from([*MIXED, "mercure.playground=true", "publish.token=secret"], routes=["* test"]),
    link="/tmp/holdfast-x/2-1",  # noqa: S108  # nothing is made there
    addresses=(Bound(socket.AF_INET6, "::", 7999), Bound(socket.AF_INET, "127.0.0.1", 80)),
    tls_addresses=(Bound(socket.AF_INET, "127.0.0.1", 443),),
    unix_sockets=(7, 8),
)


def test_it_comes_out_as_it_went_in_though_the_pipe_stays_open() -> None:
    read_end, write_end = os.pipe()
    encoded = encode_start(START)

    def write_in_pieces() -> None:
        for begin in range(0, len(encoded), 100):
            os.write(write_end, encoded[begin : begin + 100])

    writing = threading.Thread(target=write_in_pieces)
    writing.start()
    with os.fdopen(read_end, "rb") as stream:
        assert read_start(stream) == START
    writing.join()
    os.close(write_end)


@pytest.mark.parametrize("size", [0, 2, 4, 100])
def test_a_parent_that_ends_before_is_noticed(size: int) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, encode_start(START)[:size])
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream, pytest.raises(EOFError):
        read_start(stream)
