"""What a worker is told at its start, over its standard input: all settings, and where the link and the clients are.

Not on the command line or in the environment, which others can read: settings hold keys. The same pipe is the life-line
afterwards: it ends when the parent does, however that happens.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from proxy.config import Settings
from proxy.listening import Bound

_LENGTH = struct.Struct("!I")


class WorkerStart(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's beginning."""

    number: int
    """Which it is, from 1."""
    settings: Settings
    link: str
    """Path of the socket of its link to the parent."""
    addresses: tuple[Bound, ...]
    """Where it is to listen for clients."""
    tls_addresses: tuple[Bound, ...] = ()
    """Where it is to listen for clients by TLS."""
    unix_sockets: tuple[int, ...] = ()
    """Its file descriptors of Unix sockets that listen already; the processes beside it have them too."""


def encode_start(start: WorkerStart) -> bytes:
    """Return what `read_start` reads."""
    body = msgspec.msgpack.encode(start)
    return _LENGTH.pack(len(body)) + body


def read_start(stream: BinaryIO) -> WorkerStart:
    """Read it from a pipe that stays open. Raises EOFError when that ends before, and blocks until it has come."""
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    return msgspec.msgpack.decode(_read(stream, length), type=WorkerStart)


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the parent has ended")
    return data
