"""Subscribers of other people's making, behind one shape: each reads a topic from its beginning, and comes back."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.interop.event_stream_clients import Event
from tests.interop.mercure_site import COOKIE, Subscription
from tests.interop.program import NODE_FOLDER, Program, installed, node

Open = Callable[[Subscription], AbstractContextManager[Iterator[Event]]]
"""Starts a client and gives the updates as they come."""


@contextmanager
def in_python(client: str, subscription: Subscription) -> Generator[Iterator[Event]]:
    command = [sys.executable, str(Path(__file__).with_name("mercure_client.py"))]
    with _printed(client, [*command, client, json.dumps(_options(subscription))]) as events:
        yield events


@contextmanager
def in_node(client: str, subscription: Subscription, **options: str) -> Generator[Iterator[Event]]:
    command = [node(), str(NODE_FOLDER / "mercure_client.mjs")]
    with _printed(client, [*command, client, json.dumps(_options(subscription) | options)]) as events:
        yield events


@contextmanager
def in_chromium(client: str, subscription: Subscription) -> Generator[Iterator[Event]]:
    with in_node(client, subscription, chromium=installed("chromium", "Debian's chromium")) as events:
        yield events


def _options(subscription: Subscription) -> dict[str, object]:
    return {
        "url": subscription.url,
        "token": subscription.token,
        "cursor": subscription.dialect.cursor,
        "cookie": COOKIE,
        "pagePort": subscription.site.page_port,
    }


@contextmanager
def _printed(client: str, command: list[str]) -> Generator[Iterator[Event]]:
    with Program(client, command) as program:
        yield (Event(**json.loads(program.line())) for _ in itertools.count())


IN_CHROMIUM: Final[dict[str, Open]] = {
    name: partial(in_chromium, name)
    for name in (
        "EventSource",
        "event-source-polyfill",
        "event-source-polyfill as it comes",
        "fetch-event-source",
        "WebSocket",
        "long poll",
    )
}
CLIENTS: Final[dict[str, Open]] = {
    "httpx-sse": partial(in_python, "httpx-sse"),
    "sseclient-py": partial(in_python, "sseclient-py"),
    "eventsource": partial(in_node, "eventsource"),
    **IN_CHROMIUM,
}
