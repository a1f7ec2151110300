"""The worker processes of a Holdfast under test, as the kernel knows them: who they are, and who has which client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.support.client import RawClient
from tests.support.patience import bounded


def workers_of(pid: int) -> tuple[int, ...]:
    """Return the processes that `pid` has started and that have not ended, oldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return tuple(int(child) for child in children if not has_ended(int(child)))


def has_ended(pid: int) -> bool:
    """Say whether a process is gone, or waits to be noticed as such."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"Z", "X"}


async def until_ended(pids: Iterable[int]) -> None:
    """Wait until all these processes are gone."""
    async with bounded():
        while not all(map(has_ended, pids)):  # noqa: ASYNC110  # nobody tells of the end of another's child
            await asyncio.sleep(0)


def server_of(client: RawClient, server_port: int, workers: Iterable[int]) -> int:
    """Return which of `workers` serves a client that has had an answer."""
    inode = _inode(client.local_port, server_port)
    for pid in workers:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:  # closed meanwhile
                continue
            if target == f"socket:[{inode}]":
                return pid
    raise AssertionError(f"nobody serves the client of port {client.local_port}")


@asynccontextmanager
async def clients_of_all(
    pid: int, address: tuple[str, int], *, each: int = 1
) -> AsyncIterator[dict[int, list[RawClient]]]:
    """Connect until every worker of `pid` has `each` clients, whose first request is answered; yield them by worker."""
    workers = workers_of(pid)
    clients: dict[int, list[RawClient]] = {worker: [] for worker in workers}
    async with AsyncExitStack() as stack:
        while any(len(found) < each for found in clients.values()):
            client = await stack.enter_async_context(await RawClient.connect(address))
            await client.fetch("/")
            found = clients[server_of(client, address[1], workers)]
            if len(found) < each:
                found.append(client)
        yield clients


def _inode(client_port: int, server_port: int) -> str:
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = tuple(int(end.rpartition(":")[2], 16) for end in fields[1:3])
        if ports == (server_port, client_port):
            return fields[9]
    raise AssertionError(f"no connection from port {client_port} to {server_port}")
