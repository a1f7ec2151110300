"""WebSockets through an app in this process: both ends, and what the app holds between them."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import jwt

from handlers.counters import Counters
from handlers.websocket import WebSocketSession
from proxy.app import App
from proxy.over_http import OverHttpLink
from proxy.through import ThroughLink
from tests.support.answers import Script
from tests.support.backend import ScriptedBackend
from tests.support.clock import WALL_START
from tests.support.events import OPEN, echo
from tests.support.turns import settle, until
from tests.support.websocket import WsClient, websocket
from tests.support.ws_backend import WsBackend, WsPeer

Headers = Iterable[tuple[str, str]]

UPSTREAM_KEY = "u" * 32
IS_TRUSTED = (f"proxy.upstream_key={UPSTREAM_KEY}",)
"""Settings with which clients that send SIGNATURE are proxies themselves."""
SIGNATURE = jwt.encode({"iss": "front", "exp": int(WALL_START) + 3600}, UPSTREAM_KEY, algorithm="HS256")


@asynccontextmanager
async def over_http(
    app: App, backend: ScriptedBackend, *scripts: Script, path: str = "/ws", headers: Headers = ()
) -> AsyncIterator[WsClient]:
    """Connect a client through a backend that answers its OPEN with the first of `scripts`, and so on."""
    backend.answers(path, *(scripts or (echo,)))
    async with websocket(app.proxy_addresses[0], path, headers=headers) as client:
        yield client


@asynccontextmanager
async def through(
    app: App, backend: WsBackend, *behind: bytes, path: str = "/ws", headers: Headers = (), answered: Headers = ()
) -> AsyncIterator[tuple[WsClient, WsPeer]]:
    """Connect a client through to a backend that sends `behind` in one piece with its 101."""
    async with await WsClient.connect(app.proxy_addresses[0]) as client:
        shaking = backend.shake(*behind, headers=answered)
        _, peer = await asyncio.gather(client.open(path, headers=headers), shaking)
        yield client, peer


def session_of(app: App) -> WebSocketSession:
    """Return the only session that is held."""
    (session,) = app.edge.sessions
    assert isinstance(session, WebSocketSession)
    return session


def over_http_link_of(app: App) -> OverHttpLink:
    """Return the link of the only session, which is over HTTP."""
    link = session_of(app).link
    assert isinstance(link, OverHttpLink)
    return link


def through_link_of(app: App) -> ThroughLink:
    """Return the link of the only session, which is passed through."""
    link = session_of(app).link
    assert isinstance(link, ThroughLink)
    return link


def bodies(backend: ScriptedBackend, path: str = "/ws") -> list[bytes]:
    """Return what the backend was told, in order."""
    return [request.body for request in backend.requests_for(path)]


async def until_told(backend: ScriptedBackend, *expected: bytes, path: str = "/ws") -> None:
    """Wait until the backend was told as many events as expected behind OPEN, and check that it was these."""
    await until(lambda: len(bodies(backend, path)) > len(expected))
    assert bodies(backend, path) == [OPEN, *expected]


async def nothing_left(app: App) -> None:
    """Wait until no client is connected and no errand runs; then nothing may be left of any WebSocket."""
    await until(lambda: not (app.clients.open_transports or app.side.errands or app.edge.sessions))
    await settle()
    forget_what_was_logged()
    assert held_by(app) == {}
    assert running_tasks() == set()


def held_by(app: App) -> Counter[str]:
    """Count the sessions and links of this app that are alive, after a collection."""
    gc.collect()
    alive = (thing for thing in gc.get_objects() if type(thing) in (WebSocketSession, OverHttpLink, ThroughLink))
    return Counter(type(thing).__name__ for thing in alive if counters_of(thing) is app.counters)


def counters_of(thing: WebSocketSession | OverHttpLink | ThroughLink) -> Counters:
    return thing.site.counters if isinstance(thing, WebSocketSession) else thing._site.counters  # noqa: SLF001


def forget_what_was_logged() -> None:
    """Drop what pytest has captured: with the exceptions in it, it keeps the frames in which they were raised."""
    for handler in logging.getLogger().handlers:
        records = getattr(handler, "records", None)
        if isinstance(records, list):
            records.clear()


def running_tasks() -> set[str]:
    """Return the names of the app's own tasks: those of connections, and errands."""
    return {name for task in asyncio.all_tasks() if "events of" in (name := task.get_name()) or is_serving(task)}


def is_serving(task: asyncio.Task[object]) -> bool:
    """Say whether it is a client connection's."""
    coroutine = task.get_coro()
    return "ClientConnection" in getattr(coroutine, "__qualname__", "")
