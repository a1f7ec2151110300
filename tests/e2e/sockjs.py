"""A SockJS client as the tests have it: requests of its own making, one connection for those that receive."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from itertools import count

from tests.e2e.conversing import told
from tests.support.answers import Script
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, events
from tests.support.http import Response

ORIGIN = ("Origin", "http://page.example")

_NUMBERS = count()


class SockJs:
    """One session, whose backend is scripted for `path`: the path that the route says SockJS has."""

    def __init__(self, app: AppProcess, client: RawClient, path: str, session: str = "") -> None:
        self.app = app
        self.client = client
        self.path = path
        self.url = f"{path}/000/{session or f's{next(_NUMBERS)}'}"

    async def poll(self, transport: str = "xhr", *, headers: Iterable[tuple[str, str]] = (ORIGIN,)) -> Response:
        """Poll, and return the answer."""
        await self.begin(transport, headers=headers)
        return await self.client.response()

    async def begin(self, transport: str = "xhr", *, headers: Iterable[tuple[str, str]] = (ORIGIN,)) -> None:
        """Poll, and do not wait for the answer."""
        method = "POST" if transport.startswith("xhr") else "GET"
        body = b"" if method == "POST" else None
        await self.client.send_request(f"{self.url}/{transport}", method=method, headers=headers, body=body)

    async def heard(self) -> str:
        """Poll for one frame."""
        response = await self.poll()
        assert response.status == 200, response
        return response.body.decode().removesuffix("\n")

    async def say(self, *messages: str) -> Response:
        """Send messages."""
        return await self.send_body(json.dumps(messages).encode())

    async def send_body(
        self, body: bytes, transport: str = "xhr_send", headers: Iterable[tuple[str, str]] = ()
    ) -> Response:
        """Send what is to be messages, over a connection of its own."""
        async with await RawClient.connect(self.app.proxy_address) as client:
            return await client.fetch(f"{self.url}/{transport}", method="POST", headers=(ORIGIN, *headers), body=body)


@asynccontextmanager
async def sockjs(
    app: AppProcess, backend: ScriptedBackend, path: str, *scripts: Script, opens: bool = True
) -> AsyncGenerator[SockJs]:
    """Open a session by a first poll; the backend answers OPEN with the first of `scripts`, then the others."""
    backend.answers(path, *(scripts or (events(OPEN), events())))
    async with await RawClient.connect(app.proxy_address) as client:
        session = SockJs(app, client, path)
        if opens:
            assert await session.heard() == "o"
            assert (await told(backend, path)).body == OPEN
        yield session
