"""Subscribers of other people's making, behind one shape: each reads a topic from its beginning, and comes back.

The two of Python's know streams and no reconnection, so they are called again and again, as their documentation has it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

import httpx
import httpx_sse
import requests
import sseclient

from tests.interop.event_stream_clients import Event
from tests.interop.grip_site import TIMEOUT
from tests.interop.mercure_site import COOKIE, Subscription
from tests.interop.program import NODE_FOLDER, Program, installed, node
from tests.support.hub_site import bearer

Open = Callable[[Subscription], AbstractContextManager[Iterator[Event]]]
"""Starts a client and gives the updates as they come."""


@contextmanager
def by_httpx_sse(subscription: Subscription) -> Generator[Iterator[Event]]:
    def read() -> Iterator[Event]:
        headers: dict[str, str | bytes] = dict([bearer(subscription.token)])
        while True:
            try:
                with httpx_sse.connect_sse(client, "GET", subscription.url, headers=headers) as source:
                    for event in source.iter_sse():
                        headers["Last-Event-ID"] = event.id.encode()
                        yield Event(type=event.event, id=event.id, data=event.data)
            except httpx.TransportError:
                continue

    with httpx.Client(trust_env=False, timeout=TIMEOUT[1]) as client:
        yield read()


@contextmanager
def by_sseclient_py(subscription: Subscription) -> Generator[Iterator[Event]]:
    def read() -> Iterator[Event]:
        headers: dict[str, str | bytes] = dict([bearer(subscription.token)])
        while True:
            try:
                with session.get(subscription.url, stream=True, headers=headers, timeout=TIMEOUT) as response:
                    response.raise_for_status()
                    for event in sseclient.SSEClient(response.iter_content(chunk_size=None)).events():
                        headers["Last-Event-ID"] = (event.id or "").encode()
                        yield Event(type=event.event, id=event.id or "", data=event.data)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                continue

    with requests.Session() as session:
        session.trust_env = False
        yield read()


@contextmanager
def by_script(client: str, subscription: Subscription) -> Generator[Iterator[Event]]:
    """Start one of the clients of node/mercure_client.mjs."""
    options = {
        "url": subscription.url,
        "token": subscription.token,
        "cursor": subscription.dialect.cursor,
        "cookie": COOKIE,
        "pagePort": subscription.site.page_port,
    }
    if client != "eventsource":
        options["chromium"] = installed("chromium", "Debian's chromium")
    command = [node(), str(NODE_FOLDER / "mercure_client.mjs"), client, json.dumps(options)]
    with Program(client, command) as program:
        yield (Event(**json.loads(program.line())) for _ in itertools.count())


IN_PYTHON: Final[dict[str, Open]] = {"httpx-sse": by_httpx_sse, "sseclient-py": by_sseclient_py}
IN_NODE: Final[dict[str, Open]] = {"eventsource": partial(by_script, "eventsource")}
IN_CHROMIUM: Final[dict[str, Open]] = {
    name: partial(by_script, name)
    for name in (
        "EventSource",
        "event-source-polyfill",
        "event-source-polyfill as it comes",
        "fetch-event-source",
        "WebSocket",
        "long poll",
    )
}
CLIENTS: Final = IN_PYTHON | IN_NODE | IN_CHROMIUM
