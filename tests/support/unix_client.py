"""`RawClient` on a Unix socket."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.support.client import RawClient
from tests.support.patience import bounded


async def connect_unix(path: Path) -> RawClient:
    """Connect to the socket at `path`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        async with bounded():
            await asyncio.get_running_loop().sock_connect(connection, str(path))
    except BaseException:
        connection.close()
        raise
    return RawClient(connection)
