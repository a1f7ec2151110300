"""A file that log lines go to instead of stderr (`log.file`, and Pushpin's `--logfile`).

Made by `proxy.log`. When the file is moved away or removed, as logrotate does, the next line begins a new one: nobody
has to be told, in whatever process. It never cuts a file and never rotates one itself.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


class LogFile:
    """What `LineHandler` needs of a stream. Several processes may write to the same file: whole lines stay whole."""

    def __init__(self, path: str) -> None:
        """Open the file to append to it, or make it. Raises OSError."""
        self._path = Path(path)
        self._descriptor = -1
        self._is_told = False
        self._open()

    def write(self, text: str) -> int:
        """Append; raises OSError when the file cannot be written.

        Where none can be made in the place of one that was moved away, lines go on into that one.
        """
        if not self._is_in_place():
            self._begin_anew()
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

    def _begin_anew(self) -> None:
        try:
            self._open()
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                _tell(f"{self._path}: {error.strerror}: log lines go on into the file that was there")
        else:
            self._is_told = False

    def _open(self) -> None:
        # The new one first: where that fails, the old one is still there.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.close()
        self._descriptor = descriptor

    def _is_in_place(self) -> bool:
        with suppress(OSError):
            there, ours = self._path.stat(), os.fstat(self._descriptor)
            return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)
        return False


def _tell(text: str) -> None:
    """Say something where there is no log to say it in."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"holdfast: {text}\n")
            sys.stderr.flush()
