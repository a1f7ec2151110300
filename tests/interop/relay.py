"""A relay of TCP connections that cuts them: what a lost network looks like to a client and to a hub."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from tests.interop.program import LOOPBACK, free_ports

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, and does not wait


class Relay:
    """Passes connections on to a port of the loopback. Use as a context manager: leaving ends all of it."""

    def __init__(self, target: int) -> None:
        (self.port,) = free_ports(1)
        self.requests = 0
        """Requests by GET that have gone through."""
        self._target = target
        self._connected: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, self.port))
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._open.set()

    def cut(self) -> None:
        """Reset all connections. New ones get no answer until `mend`."""
        self._open.clear()
        with self._lock:
            connected, self._connected = self._connected, []
        for end in connected:
            with suppress(OSError):  # its own pump may have closed it
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def mend(self) -> None:
        """Let connections through again, those that wait too."""
        self._open.set()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._open.wait()
                upstream = socket.create_connection((LOOPBACK, self._target))
                with self._lock:
                    self._connected += [client, upstream]
                for source, sink in ((client, upstream), (upstream, client)):
                    threading.Thread(target=self._pump, args=(source, sink), name="pump", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if piece.startswith(b"GET "):
                    self.requests += 1
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
