"""Makes ZeroMQ sockets and binds them, so that an error names the endpoint.

Used for publishers' sockets (`publish_api.zeromq`), and for those of workers and of the session state service
(`proxy.zhttp`, `proxy.grip_session`). ZeroMQ itself would take the path of an `ipc://` socket away from another process
that listens there, without a word.
"""

from __future__ import annotations

import errno
import socket as plain_socket
from contextlib import suppress
from pathlib import Path

import zmq

from handlers.protocol.zmq_spec import ZmqSpec

Context = zmq.Context[zmq.Socket[bytes]]

HIGH_WATER = 101_000
"""Messages that wait here for one publisher, and then at the publisher (reference 6.2)."""

KEEP_ALIVE_IDLE, KEEP_ALIVE_COUNT, KEEP_ALIVE_INTERVAL = 30, 6, 5
"""TCP keep-alive of sockets that connect: seconds of silence, probes, seconds between them (reference 2.4)."""


class SocketFiles:
    """The files of `ipc://` sockets that were bound, which ZeroMQ leaves behind: removed at the end by who bound."""

    def __init__(self) -> None:
        self._found: list[tuple[Path, tuple[int, int]]] = []

    def add(self, spec: ZmqSpec) -> None:
        """Remember the file of a socket that was just bound. Others have none."""
        if spec.has_file:
            path = Path(spec.address).absolute()
            self._found.append((path, _inode(path)))

    def remove(self) -> None:
        """Remove them, but for those that are another's by now. Nobody connects any more; sockets stay as they are."""
        for path, inode in self._found:
            with suppress(OSError):
                if inode == _inode(path):
                    path.unlink()
        self._found.clear()


def open_socket(context: Context, kind: int, *, high_water: int = HIGH_WATER) -> zmq.Socket[bytes]:
    """Make a socket that is neither bound nor connected. Nothing it has queued outlives it."""
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.set_hwm(high_water)
    return socket


def bind(socket: zmq.Socket[bytes], spec: ZmqSpec, *, ipc_file_mode: str = "", files: SocketFiles | None = None) -> str:
    """Bind; return the endpoint, in which the port is the one the system has chosen where it was to choose.

    Its file is added to `files`. Raises OSError with the endpoint as its `filename`.
    """
    if spec.transport == "ipc":
        _check_free(spec)
    try:
        _set_family(socket, spec)
        socket.bind(spec.text)
        if files is not None:
            files.add(spec)
        if ipc_file_mode and spec.has_file:
            Path(spec.address).chmod(int(ipc_file_mode, 8))
    except OSError as error:  # zmq.ZMQError is none
        raise OSError(error.errno, error.strerror, spec.text) from error
    except zmq.ZMQError as error:
        raise OSError(error.errno, zmq.strerror(error.errno or 0), spec.text) from error
    if not spec.has_open_port:
        return spec.text
    port = socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0").rpartition(":")[2]
    return f"{spec.text.rpartition(':')[0]}:{port}"


def connect(socket: zmq.Socket[bytes], spec: ZmqSpec) -> None:
    """Connect, and go on trying for as long as nobody listens there. Raises OSError as `bind` does."""
    try:
        _set_family(socket, spec)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEP_ALIVE_IDLE)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEP_ALIVE_COUNT)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEP_ALIVE_INTERVAL)
        socket.connect(spec.text)
    except zmq.ZMQError as error:
        raise OSError(error.errno, zmq.strerror(error.errno or 0), spec.text) from error


def _set_family(socket: zmq.Socket[bytes], spec: ZmqSpec) -> None:
    # Only where an IPv6 address is written: with it, `*` and names would mean other addresses than they did.
    socket.setsockopt(zmq.IPV6, int(spec.address.startswith("[")))


def _check_free(spec: ZmqSpec) -> None:
    """Raise OSError if somebody listens at the path."""
    with plain_socket.socket(plain_socket.AF_UNIX, plain_socket.SOCK_STREAM) as probe:
        try:
            probe.connect(spec.unix_address)
        except OSError:
            return
    raise OSError(errno.EADDRINUSE, "Address already in use", spec.text)


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
