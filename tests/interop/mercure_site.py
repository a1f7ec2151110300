"""A hub with history and tokens for the interop tests, and what its clients need to know of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import requests

from tests.interop.grip_site import TIMEOUT, start_holdfast
from tests.interop.program import LOOPBACK, free_ports
from tests.support.hub_site import (
    HUB,
    MIXED,
    RESOURCE,
    bearer,
    old_publisher,
    old_subscriber,
    publisher,
    subscriber,
)

COOKIE: Final = "hub_token"
"""Without TLS browsers don't take the protocol's own name."""
NOWHERE: Final = f"{LOOPBACK}:9"
"""What is not the hub's goes to a port on which nobody listens."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How clients of one generation say it: the names of a matcher and of the cursor, and who makes their tokens."""

    name: str
    matcher: str
    cursor: str
    make_subscriber: Callable[..., str]
    make_publisher: Callable[..., str]

    def publisher(self) -> str:
        """Return a token that publishes everything."""
        return self.make_publisher("*", exp=in_an_hour())

    def subscriber(self, *topics: str) -> str:
        """Return a token that reads private updates of these topics."""
        return self.make_subscriber(*topics, exp=in_an_hour())


CURRENT: Final = Dialect("1.0", "match", "last_event_id", subscriber, publisher)
OLD: Final = Dialect("8", "topic", "lastEventID", old_subscriber, old_publisher)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSite:
    """Where a hub listens."""

    port: int
    page_port: int
    """Pages of http://localhost with this port may use the hub."""

    @property
    def url(self) -> str:
        """The hub's, past every relay."""
        return f"http://{LOOPBACK}:{self.port}{HUB}"

    def publish(self, topic: str, data: str, **fields: str) -> str:
        """Publish as a program on requests does, and return the update's id."""
        form = {"topic": topic, "data": data, **fields}
        headers = dict([bearer(CURRENT.publisher())])
        response = requests.post(self.url, data=form, headers=headers, timeout=TIMEOUT)
        assert response.status_code == 200, response.text
        return response.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a client is started with: the whole of a topic's history, and all that comes."""

    site: HubSite
    dialect: Dialect
    topic: str
    port: int
    """Where the client looks for the hub: a relay's port."""
    private: bool = True
    """Whether its token grants the topic."""
    publishes: bool = False
    """Whether it is no subscriber at all: then its token publishes."""

    @property
    def url(self) -> str:
        """The URL to open first. localhost, for to a browser that is the site of its page."""
        query = urlencode({self.dialect.matcher: self.topic, self.dialect.cursor: "earliest"})
        return f"http://localhost:{self.port}{HUB}?{query}"

    @property
    def token(self) -> str:
        """The token to show."""
        if self.publishes:
            return self.dialect.publisher()
        return self.dialect.subscriber(*([self.topic] if self.private else []))


@contextmanager
def hub_site(folder: os.PathLike[str], settings: Sequence[str] = ()) -> Generator[HubSite]:
    """Start a hub that keeps its history in `folder`."""
    port, publish, page_port = free_ports(3)
    page_origin = f"http://localhost:{page_port}"
    own = [
        f"mercure.history={os.fspath(folder)}/history.db",
        f"mercure.resource_identifier={RESOURCE}",
        f"mercure.cookie_name={COOKIE}",
        f"mercure.cors_origins={page_origin}",
        f"mercure.publish_origins={page_origin}",
    ]
    with start_holdfast(port, publish, NOWHERE, [*MIXED, *own, *settings]) as holdfast:
        holdfast.await_port(port)
        yield HubSite(port=port, page_port=page_port)
    assert "Traceback" not in holdfast.output, holdfast.output


def in_an_hour() -> int:
    """Return when the tokens of tests expire."""
    return int(time.time()) + 3600
