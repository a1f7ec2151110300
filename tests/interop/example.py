"""An example started as its README says: one command, which starts its backend and Holdfast before it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.interop.program import LINE_LIMIT, LOOPBACK, Program

_ROOT: Final = Path(__file__).parents[2]


@contextmanager
def started(name: str, listen: int, publish: int) -> Generator[Program]:
    """Start `examples/NAME/run.py` on these ports; it is ready."""
    command = [sys.executable, str(_ROOT / "examples" / name / "run.py")]
    command += ["--listen", f"{LOOPBACK}:{listen}", "--publish", f"{LOOPBACK}:{publish}"]
    with Program(name, command, env={"PYTHONPATH": str(_ROOT)}) as example:
        while "Ctrl-C" not in example.line():
            pass
        yield example
    assert "Traceback" not in example.output, example.output


class Client:
    """A WebSocket on which JSON objects come and go. Use as a context manager: leaving closes it."""

    def __init__(self, url: str) -> None:
        self._connecting = connect(url, proxy=None, open_timeout=LINE_LIMIT, close_timeout=LINE_LIMIT)
        self.heard: list[dict[str, Any]] = []
        """All that came, in its order."""

    async def __aenter__(self) -> Self:
        self.connection: ClientConnection = await self._connecting
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.connection.close()

    async def send(self, message: dict[str, Any]) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self, **expected: Any) -> dict[str, Any]:
        """Return the next message with these values; others may come before it."""
        async with asyncio.timeout(LINE_LIMIT):
            while True:
                self.heard.append(json.loads(await self.connection.recv()))
                if expected.items() <= self.heard[-1].items():
                    return self.heard[-1]

    def drop(self) -> None:
        """End it as a computer that is switched off does: without a close frame."""
        self.connection.transport.abort()
