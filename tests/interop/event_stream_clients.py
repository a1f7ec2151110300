"""Event stream clients of other people's, unmodified, behind one shape: open a URL, get events as they come."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import httpx_sse
import requests
import sseclient
from aiohttp_sse_client.client import EventSource

from tests.interop.grip_site import TIMEOUT
from tests.interop.program import NODE_FOLDER, Program, node


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as a client shows it."""

    type: str = "message"
    id: str = ""
    data: str


Open = Callable[[str], AbstractContextManager[Iterator[Event]]]
"""Starts a client on a URL and gives its events as they come."""


@contextmanager
def by_httpx_sse(url: str) -> Generator[Iterator[Event]]:
    with (
        httpx.Client(trust_env=False, timeout=TIMEOUT[1]) as client,
        httpx_sse.connect_sse(client, "GET", url) as source,
    ):
        yield (Event(type=event.event, id=event.id, data=event.data) for event in source.iter_sse())


@contextmanager
def by_sseclient_py(url: str) -> Generator[Iterator[Event]]:
    with requests.Session() as session:
        session.trust_env = False
        with session.get(url, stream=True, timeout=TIMEOUT) as response:
            source = sseclient.SSEClient(response.iter_content(chunk_size=None))
            yield (Event(type=event.event, id=event.id or "", data=event.data) for event in source.events())


@contextmanager
def by_aiohttp_sse_client(url: str) -> Generator[Iterator[Event]]:
    async def events() -> AsyncGenerator[Event]:
        async with EventSource(url, reconnection_time=timedelta(milliseconds=10)) as source:
            async for event in source:
                yield Event(type=event.type or "message", id=event.last_event_id, data=event.data)

    async def next_event() -> Event:
        async with asyncio.timeout(TIMEOUT[1]):
            return await anext(read)

    read = events()
    with asyncio.Runner() as runner:
        yield (runner.run(next_event()) for _ in itertools.count())


@contextmanager
def by_eventsource(url: str) -> Generator[Iterator[Event]]:
    with _node_client("eventsource", url) as events:
        yield events


@contextmanager
def by_fetch_event_source(url: str) -> Generator[Iterator[Event]]:
    with _node_client("fetch-event-source", url) as events:
        yield events


@contextmanager
def _node_client(library: str, url: str) -> Generator[Iterator[Event]]:
    with Program(library, [node(), str(NODE_FOLDER / "event_stream_client.mjs"), library, url]) as program:
        yield (Event(**json.loads(program.line())) for _ in itertools.count())
