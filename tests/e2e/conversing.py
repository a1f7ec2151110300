"""What the tests of WebSockets do again and again: get a client connected through a scripted backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.support.answers import Script
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, events
from tests.support.http import Request
from tests.support.publisher import Json
from tests.support.websocket import WsClient, websocket


@asynccontextmanager
async def connected(
    app: AppProcess,
    backend: ScriptedBackend,
    path: str,
    *scripts: Script,
    headers: Iterable[tuple[str, str]] = (),
    host: str = "example.com",
) -> AsyncIterator[WsClient]:
    """Have the backend answer OPEN with the first of `scripts` and what follows with the others."""
    backend.answers(path, *(scripts or (events(OPEN), events())))
    async with websocket(app.proxy_address, path, headers=headers, host=host) as client:
        assert (await told(backend, path)).body == OPEN
        yield client


async def told(backend: ScriptedBackend, path: str) -> Request:
    """Wait for the next request to `path`; other tests' connections may still be taking their leave."""
    while (request := await backend.request()).target.partition(b"?")[0] != path.encode():
        pass
    return request


def message_item(channel: str, content: str = "", **fields: object) -> Json:
    """An item for the WebSockets on `channel`; `fields` go into its `ws-message`."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    published = {"content": content, **named} if content or not fields else named
    return {"channel": channel, "formats": {"ws-message": published}}
