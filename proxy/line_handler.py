"""Where log lines leave the process: those of one turn of the event loop in one write.

Made by `proxy.log`. A busy proxy writes a line for each request; to write each by itself costs a system call and a
flush. So lines wait for the end of the turn in which they were logged, and no longer. Lines from WARN on, and those
logged where no loop runs (another thread, the start, the end), are written at once, behind what waits.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Protocol


class Stream(Protocol):
    """Where lines are written: a text stream, or what takes its place."""

    def write(self, text: str, /) -> int:
        """Take text; raises OSError or ValueError."""
        ...

    def flush(self) -> None:
        """Keep nothing back; raises OSError or ValueError."""
        ...


class LineHandler(logging.Handler):
    """Writes lines to a stream, in the order in which they were logged. Safe to use from any thread.

    `logging.shutdown`, which Python runs at exit, writes what still waits.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._lock = threading.RLock()
        self._lines: list[str] = []
        self._waits_for: asyncio.AbstractEventLoop | None = None
        """The loop that is to write the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; called by `logging`."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # as every handler does: a bad log call must not hurt whoever made it
            self.handleError(record)
        else:
            self.put(line, at_once=record.levelno >= logging.WARNING)

    def put(self, line: str, *, at_once: bool = False) -> None:
        """Take a line without its end; it is written in this turn of the loop, or `at_once`."""
        with self._lock:
            self._lines.append(line)
            # What get_running_loop asks, without an exception where there is none.
            loop = None if at_once else asyncio._get_running_loop()  # noqa: SLF001
            if loop is None:
                self.flush()
            elif loop is not self._waits_for:
                self._waits_for = loop
                loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            lines, self._lines = self._lines, []
            self._waits_for = None
            if not lines:
                return
            lines.append("")
            try:
                self._stream.write("\n".join(lines))
                self._stream.flush()
            except (OSError, ValueError):  # ValueError: the stream is closed, or cannot hold a letter
                # Told on stderr, as every handler does: there is no log to tell it to.
                count = len(lines) - 1
                self.handleError(logging.makeLogRecord({"msg": "%d log lines were not written", "args": (count,)}))
