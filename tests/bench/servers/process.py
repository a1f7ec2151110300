"""A server under measurement: its processes, how they are started and ended, and what they have used."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import account
from tests.bench.servers.way import Kind, Way

STOP_SECONDS = 15.0
"""How long a server may take to go when asked; then it is killed."""

ADDRESSES = re.compile(r"clients on [^ ]*?:(\d+), (?:for )?publishers on [^ ]*?:(\d+)")


class ServerError(Exception):
    """A server did not do what a measurement needs of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server."""

    name: str
    pid: int
    """The process from which all the others of it descend."""
    ways: Mapping[Kind, Way]

    def cpu_seconds(self) -> float:
        """Return the CPU time that all its processes have used so far."""
        return account.cpu_seconds(self.pid)

    def memory(self) -> int:
        """Return the bytes of memory that all its processes have (Pss)."""
        return account.memory(self.pid)


Starter = Callable[[], AbstractContextManager[Server]]
"""Starts a server, which ends with the context."""


@contextmanager
def running(command: Sequence[str | Path], *, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a program, whose standard output and errors are one pipe; end it, kindly at first."""
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def read_ports(process: subprocess.Popen[str], pattern: re.Pattern[str] = ADDRESSES) -> tuple[int, ...]:
    """Wait for the line that says where a program listens, and read on behind it: a full pipe would stop the program.

    Raises ServerError, with what it said last, when the line does not come.
    """
    log = process.stdout
    assert log is not None
    last: deque[str] = deque(maxlen=5)
    for line in log:
        last.append(line.strip())
        if found := pattern.search(line):
            threading.Thread(target=read_on, args=(log,), daemon=True).start()
            return tuple(int(port) for port in found.groups())
    raise ServerError(f"{process.args!r} did not start: {' / '.join(last)}")


def read_on(log: Iterator[str]) -> None:
    """Read until the end, or until the pipe is closed here."""
    try:
        deque(log, maxlen=0)
    except ValueError:
        return
