"""The workers of an app under test, as its runner reaches them: over a socket beside the product's own link.

Each worker is a `worker_runner`, which connects here when it starts and answers commands: its clock is turned with that
of the parent, and its numbers are added to the parent's.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from proxy.workers.parent import Parent
from tests.support.clock import ManualClock
from tests.support.patience import bounded
from tests.support.turns import settle

LINE_LIMIT = 1 << 20


def abstract(name: str) -> socket.socket:
    """Return a socket that is bound to an abstract name; the event loop's own calls take none."""
    bound = socket.socket(socket.AF_UNIX)
    bound.bind("\0" + name)
    return bound


class Team:
    """Use as an async context manager; `parent` is set once there is one."""

    def __init__(self, clock: ManualClock | None, seed: int | None) -> None:
        self.parent: Parent | None = None
        self._clock = clock
        self._seed = seed
        # Not in the file system: a runner that is killed leaves nothing behind.
        self._name = f"holdfast-team-{os.getpid()}"
        self._members: list[Member] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._meet, sock=abstract(self._name), limit=LINE_LIMIT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for member in self._members:
            member.close()

    @property
    def command(self) -> Sequence[str]:
        """What starts a worker."""
        return (sys.executable, "-P", "-m", "tests.support.worker_runner", self._name)

    async def ask(self, name: str, value: object = None) -> list[Any]:
        """Ask every worker, and return the answers of those that have not ended meanwhile."""
        answers = await asyncio.gather(*(member.ask(name, value) for member in self._members))
        self._members = [member for member in self._members if member.is_here]
        return [answer for answer in answers if answer is not NOBODY]

    async def settle(self) -> None:
        """Let everything go idle: the parent, the workers, and what is under way between them."""
        async with bounded():
            quiet = 0
            while quiet < 2:
                await settle()
                waiting = sum(await self.ask("settle"))
                is_quiet = not waiting and not self._owed()
                quiet = quiet + 1 if is_quiet else 0

    def ended(self) -> dict[str, int]:
        """Return what workers that have ended had counted."""
        if self.parent is None or self.parent.supervisor is None:
            return {}
        return dict(self.parent.supervisor.counts()[0])

    def _owed(self) -> int:
        assert self.parent is not None, "nobody settles before the start"
        return sum(len(worker.outstanding) for worker in self.parent.fan.workers)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = None if self._clock is None else self._clock.now()
        writer.write(json.dumps({"now": now, "seed": self._seed}).encode() + b"\n")
        self._members.append(Member(reader, writer))


class Member:
    """One worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asking = asyncio.Lock()
        self.is_here = True

    async def ask(self, name: str, value: object) -> Any:
        """Return a worker's answer, NOBODY when it has ended."""
        async with self._asking:
            try:
                self._writer.write(json.dumps({name: value}).encode() + b"\n")
                line = await self._reader.readline()
            except ConnectionError:
                line = b""
        if not line:
            self.is_here = False
            return NOBODY
        return json.loads(line)

    def close(self) -> None:
        """Ask nothing more."""
        self._writer.close()


NOBODY = object()
