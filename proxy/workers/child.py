"""One life of a worker process, as its parent sees it: started, watched, killed, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from handlers.links.worker_link import WorkerLink
from proxy.workers.start import WorkerStart, encode_start

COMMAND = (sys.executable, "-P", "-m", "proxy.workers.worker")
"""What a worker is. -P: modules are looked for where the parent's came from, not in the working directory."""


class Child:
    """A process and the link to it. `start` once; then `wait` for its end."""

    def __init__(self, link: WorkerLink) -> None:
        self.link = link
        self.began = asyncio.Event()
        """Set once it is known whether it serves: its link says so, or it has ended."""
        self._process: asyncio.subprocess.Process | None = None

    def __str__(self) -> str:
        """Return what it is called in log lines."""
        return f"worker {self.link.number} (process {self.pid})"

    @property
    def pid(self) -> int:
        """Its process id; 0 before it has one."""
        return self._process.pid if self._process is not None else 0

    async def start(self, start: WorkerStart, command: Sequence[str]) -> None:
        """Start the process and tell it what it needs. Raises OSError."""
        # A module that this process could import, the worker can too, wherever the path to it came from.
        path = os.pathsep.join(filter(None, sys.path))
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,  # whoever reads ours must not have to wait for a worker's end
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=start.unix_sockets,
            start_new_session=True,  # the terminal's signals are ours to hear, also before it can ignore them
        )
        assert self._process.stdin is not None, "asked for"
        # It stays open: the worker ends when it does.
        self._process.stdin.write(encode_start(start))

    async def wait(self) -> str:
        """Wait for the end; return how it was, for the log."""
        assert self._process is not None, "it has been started"
        status = await self._process.wait()
        self.began.set()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return describe_status(status)

    def kill(self) -> None:
        """End it at once. Harmless when it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


def describe_status(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
