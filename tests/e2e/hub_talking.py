"""What the tests of the hub's presence, polls, sockets and bridge say to it, beside `tests.support.hub_site`.

Everything goes over real connections to whatever listens at an address, so an `AppProcess` will do, and events are read
as a browser reads them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.handlers.hub.signing import token as sign
from tests.support.client import RawClient
from tests.support.http import ResponseHead
from tests.support.hub_site import DETAIL_TYPE, HOST, HUB, SUBSCRIBER_KEY, bearer, claims_of, old_publisher, post

Address = tuple[str, int]
Headers = Iterable[tuple[str, str]]

SUBSCRIPTIONS = f"{HUB}/subscriptions"
NO_HISTORY = "mercure.history="
ROUTE = "* test"
"""There has to be one."""
NEVER = 4_000_000_000
"""An expiry that neither the tests' clock nor the real one will see."""


def grant(*topics: str, action: str = "subscribe", kind: str = "exact", **members: object) -> dict[str, object]:
    """Return a detail with matchers of any type."""
    matchers = [{"match": topic, "match_type": kind} for topic in topics]
    return {"type": DETAIL_TYPE, "actions": [action], "topics": matchers, **members}


def reader(*details: object, **claims: object) -> str:
    """Return a subscriber's token of 1.0 with these details."""
    return sign(claims_of(*details, **{"exp": NEVER, **claims}), SUBSCRIBER_KEY, typ="at+jwt")


def shown(token: str | None) -> list[tuple[str, str]]:
    """Return the headers that show a token; for None there are none."""
    return [] if token is None else [bearer(token)]


READER = reader(grant("*"))
"""A token that reads everything."""


def query(*pairs: tuple[str, str], path: str = HUB) -> str:
    """Return the target of a subscription."""
    return f"{path}?{urlencode(pairs)}"


async def published(address: Address, topic: str, data: str = "", *, path: str = HUB, **fields: str) -> str:
    """Publish an update with a token for everything, which must succeed, and return its id."""
    form = {"topic": topic, "data": data, **fields}
    response = await post(address, form, token=old_publisher("*"), target=path)
    assert response.status == 200, response
    return response.body.decode()


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a browser reads it; `raw` is how it stood on the wire, without its empty line."""

    id: str
    type: str
    data: str
    raw: str

    @property
    def json(self) -> Any:
        """The data, read as JSON."""
        return json.loads(self.data)


class Stream:
    """An event stream. `head` is that of the answer."""

    def __init__(self, client: RawClient, head: ResponseHead) -> None:
        self.client = client
        self.head = head
        self._rest = b""

    async def event(self) -> Event:
        """Read the next event; comments are passed over."""
        while b"\n\n" not in self._rest:
            piece = await self.client.chunk()
            assert piece, "the stream has ended"
            self._rest += piece
        raw, _, self._rest = self._rest.partition(b"\n\n")
        return parse_event(raw.decode())

    async def events(self, count: int) -> list[Event]:
        """Read the next events."""
        return [await self.event() for _ in range(count)]

    async def ended(self) -> None:
        """Read to the end, which must come in good order, and without another event."""
        while piece := await self.client.chunk():
            assert not piece.strip(b":\n"), piece


def parse_event(raw: str) -> Event:
    """Read the lines of one event."""
    lines = [line for line in raw.split("\n") if not line.startswith(":")]
    fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    values = dict(fields)
    data = "\n".join(value for name, value in fields if name == "data")
    return Event(values.get("id", ""), values.get("event", ""), data, "\n".join(lines))


@asynccontextmanager
async def subscribed(
    address: Address, target: str, *, token: str | None = None, headers: Headers = ()
) -> AsyncIterator[Stream]:
    """Open an event stream, and leave the connection at the end."""
    async with await RawClient.connect(address) as client:
        yield await open_events(client, target, headers=[*shown(token), *headers])


async def open_events(client: RawClient, target: str, *, headers: Headers = ()) -> Stream:
    """Open an event stream on a connection; without a cursor it receives from here on."""
    await client.send_request(target, headers=headers, host=HOST)
    head = await client.head()
    assert head.status == 200, head
    return Stream(client, head)
