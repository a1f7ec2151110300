"""What the tests of holds do again and again: get a client held, and know that it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.support.answers import Script
from tests.support.app_process import WORKERS, AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.http import ResponseHead
from tests.support.turns import until


async def open_stream(
    client: RawClient,
    backend: ScriptedBackend,
    path: str,
    script: Script,
    *,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    host: str = "example.com",
) -> ResponseHead:
    """Have the backend answer `path` with `script` and return the head that the client gets: it is held then."""
    backend.answers(path, script)
    await client.send_request(path, method=method, headers=headers, host=host)
    return await client.head()


async def open_poll(
    app: AppProcess,
    client: RawClient,
    backend: ScriptedBackend,
    path: str,
    script: Script,
    *,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> None:
    """Have the backend answer `path` with `script`, a response hold, and return when the client is held."""
    backend.answers(path, script)
    async with one_more_held(app):
        await client.send_request(path, method=method, headers=headers, body=body)


async def stopping(app: AppProcess, held: int) -> None:
    """Wait until the app says that it ends so many connections; each of its workers says how many it has of them."""

    def told() -> list[str]:
        return app.log_lines("stopping: [0-9]+ held connections")

    await until(lambda: len(told()) == WORKERS)
    assert sum(int(line.partition("stopping: ")[2].split()[0]) for line in told()) == held


@asynccontextmanager
async def one_more_held(app: AppProcess) -> AsyncIterator[None]:
    """Leave the block only when what it did has led to one more hold."""
    opened = (await app.counters())["sessions_opened"]
    yield
    await app.until(lambda counters: counters["sessions_opened"] > opened)
