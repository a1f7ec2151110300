"""A file that log lines go to instead of stderr (`log.file`, and Pushpin's `--logfile`).

Made by `proxy.log`. When the file is moved away or removed, as logrotate does, the next line begins a new one: nobody
has to be told, in whatever process. It never cuts a file and never rotates one itself.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class LogFile:
    """What `LineHandler` needs of a stream. Several processes may write to the same file: whole lines stay whole."""

    def __init__(self, path: str) -> None:
        """Open the file to append to it, or make it. Raises OSError."""
        self._path = Path(path)
        self._descriptor = -1
        self._open()

    def write(self, text: str) -> int:
        """Append; raises OSError when the file cannot be written, or not be made anew."""
        if not self._is_in_place():
            self._open()
        data = text.encode("utf-8", "backslashreplace")
        written = 0
        while written < len(data):
            written += os.write(self._descriptor, data[written:])
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        # The new one first: where that fails, lines go on into the old one.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.close()
        self._descriptor = descriptor

    def _is_in_place(self) -> bool:
        with suppress(OSError):
            there, ours = self._path.stat(), os.fstat(self._descriptor)
            return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)
        return False
