"""Tells the service manager how the start, a reload and the stop go (sd_notify(3), `Type=notify-reload`).

Called by `proxy.app`. The socket's path comes from `$NOTIFY_SOCKET`, which `proxy.__main__` reads into the settings.
Without one every call does nothing. A manager that does not listen never stops the proxy: that is one warning.
"""

from __future__ import annotations

import logging
import socket
import time

log = logging.getLogger("holdfast.sd_notify")


class Notifier:
    """Sends the states of the service as datagrams. Never blocks and never raises."""

    def __init__(self, path: str) -> None:
        """Send to the socket at `path`; `@name` is an abstract one; an empty path sends nothing."""
        self._path = path

    def ready(self, status: str) -> None:
        """Say that start-up, or the reload, is finished; `systemctl status` shows `status` on one line."""
        self._send(b"READY=1\nSTATUS=" + _one_line(status))

    def reloading(self) -> None:
        """Say that a reload begins; the manager waits for a later `ready`."""
        # The system's clock and not the loop's, which uvloop cuts to milliseconds: it can lie before the moment when
        # the manager sent the signal, and then the manager takes this for the end of an earlier reload.
        self._send(b"RELOADING=1\nMONOTONIC_USEC=%d" % (time.monotonic_ns() // 1000))

    def stopping(self) -> None:
        """Say that the shutdown has begun."""
        self._send(b"STOPPING=1")

    def _send(self, state: bytes) -> None:
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(state, address)
        except OSError as error:
            log.warning("cannot notify the service manager at %s: %s", self._path, error.strerror or error)


def _one_line(text: str) -> bytes:
    # A newline would begin another assignment.
    return " ".join(text.splitlines()).encode("utf-8", "replace")
