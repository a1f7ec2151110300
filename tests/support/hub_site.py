"""A hub for tests, and how to talk to it: its keys, tokens of each dialect, publications, event streams.

Shared by the tests of the hub that go over the wire. `hub(...)` is an app in the test's own process, on a clock that
the test turns; everything else here takes an app or an address, so it works with `AppProcess` and `ConsoleProcess` too.
Publishers and subscribers have different keys, and so have the tokens of 1.0 and those before.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId, Topic
from proxy.app import App
from tests.handlers.hub.signing import token as sign
from tests.proxy.in_process import running
from tests.support.client import RawClient
from tests.support.clock import WALL_START
from tests.support.http import Response, ResponseHead

Pairs = Iterable[tuple[str, str]]

HUB: Final = "/.well-known/mercure"
HOST: Final = "hub.example"
RESOURCE: Final = f"http://{HOST}{HUB}"
METADATA: Final = f"/.well-known/oauth-protected-resource{HUB}"
ISSUER: Final = "https://issuer.example"
DETAIL_TYPE: Final = "https://mercure.rocks/authorization-detail"
FORM: Final = "application/x-www-form-urlencoded"

PUBLISHER_KEY: Final = "publishers of 1.0 sign with this key"
SUBSCRIBER_KEY: Final = "subscribers of 1.0 sign with this key"
OLD_PUBLISHER_KEY: Final = "publishers before 1.0 sign with this key"
OLD_SUBSCRIBER_KEY: Final = "subscribers before 1.0 sign with this key"

ISSUER_SETTING: Final = "mercure.issuers=" + json.dumps(
    [{"id": ISSUER, "publisher_key": PUBLISHER_KEY, "subscriber_key": SUBSCRIBER_KEY}]
)
OLD_KEYS: Final = (f"mercure.publisher_key={OLD_PUBLISHER_KEY}", f"mercure.subscriber_key={OLD_SUBSCRIBER_KEY}")

STRICT: Final = ("mercure.protocols=1.0", ISSUER_SETTING)
"""Settings of a hub that speaks 1.0 alone."""
STRICT_8: Final = ("mercure.protocols=8", *OLD_KEYS)
STRICT_7: Final = ("mercure.protocols=7", *OLD_KEYS)
STRICT_2019: Final = ("mercure.protocols=2019", *OLD_KEYS)
MIXED: Final = (ISSUER_SETTING, *OLD_KEYS)
"""Of one with the default dialects, 1.0 and 8."""
ANONYMOUS: Final = "mercure.anonymous=true"

SECURITY: Final = (
    (b"Content-Security-Policy", b"default-src 'self'"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"X-Xss-Protection", b"1; mode=block"),
)
"""Headers of every answer."""


class HasDoors(Protocol):
    """What talking to a hub needs to know of an app."""

    @property
    def proxy_addresses(self) -> tuple[tuple[str, int], ...]: ...

    @property
    def publish_address(self) -> tuple[str, int]: ...


@asynccontextmanager
async def hub(*settings: str, routes: Iterable[str] = ()) -> AsyncGenerator[App]:
    """Run an app with a hub; without a history unless `settings` (`section.key=value`) name a file."""
    async with running(*(routes or ("* test",)), settings=("mercure.history=", *settings)) as app:
        yield app


# -- tokens ---------------------------------------------------------------------------------------------------------


def claims_of(*details: object, **claims: object) -> dict[str, object]:
    """Return the claims of a good token of 1.0 with these details; a claim of None is left out."""
    base: dict[str, object] = {"iss": ISSUER, "aud": RESOURCE, "exp": WALL_START + 3600, "sub": "tester"}
    base["authorization_details"] = list(details)
    return {name: value for name, value in (base | claims).items() if value is not None}


def detail(action: str, *topics: str, **members: object) -> dict[str, object]:
    """Return a detail that grants `action` on these topics."""
    matchers = [{"match": topic} for topic in topics]
    return {"type": DETAIL_TYPE, "actions": [action], "topics": matchers, **members}


def publisher(*topics: str, typ: str = "at+jwt", key: str = PUBLISHER_KEY, **claims: object) -> str:
    """Return a publisher's token of 1.0, by default for all topics."""
    return sign(claims_of(detail("publish", *(topics or ("*",))), **claims), key, typ=typ)


def subscriber(*topics: str, typ: str = "at+jwt", key: str = SUBSCRIBER_KEY, **claims: object) -> str:
    """Return a subscriber's token of 1.0 that may read private updates on `topics`: none by default."""
    details = [detail("subscribe", *topics)] if topics else []
    return sign(claims_of(*details, **claims), key, typ=typ)


def old_publisher(*publish: str, key: str = OLD_PUBLISHER_KEY, **claims: object) -> str:
    """Return a publisher's token before 1.0, whose claim grants what is given, which may be nothing."""
    return sign({"mercure": {"publish": publish}, **claims}, key)


def old_subscriber(*subscribe: str, key: str = OLD_SUBSCRIBER_KEY, **claims: object) -> str:
    """Return a subscriber's token before 1.0."""
    return sign({"mercure": {"subscribe": subscribe}, **claims}, key)


def bearer(token: str) -> tuple[str, str]:
    """Return the header that shows a token."""
    return "Authorization", f"Bearer {token}"


# -- the history ----------------------------------------------------------------------------------------------------


def numbered(ids: Iterable[object], *, topic: str = "a", data: str = "", private: bool = False) -> list[Update]:
    """Return updates with these ids, numbers as a rule; what has no data of its own has its id for data."""
    return [
        Update(topics=(Topic(topic),), id=EventId(str(each)), data=data or str(each), private=private) for each in ids
    ]


async def store(app: App, updates: Iterable[Update]) -> None:
    """Publish updates in this order, past the door: for so many that posting them would take long."""
    assert app.hub is not None
    await asyncio.gather(*map(app.hub.hub.publish, updates))


def subscribers(app: App) -> int:
    """Return how many subscribers are held."""
    assert app.hub is not None
    return len(app.hub.hub.audience.sessions)


# -- publishing -----------------------------------------------------------------------------------------------------


async def ask(
    address: tuple[str, int],
    target: str = HUB,
    *,
    method: str = "GET",
    headers: Pairs = (),
    body: bytes | None = None,
    host: str | None = HOST,
) -> Response:
    """Send one request on a connection of its own and return the whole answer."""
    async with await RawClient.connect(address) as client:
        return await client.fetch(target, method=method, host=host, headers=headers, body=body)


async def post(
    address: tuple[str, int],
    body: bytes | str | Mapping[str, str] | Iterable[tuple[str, str]],
    *headers: tuple[str, str],
    token: str | None = None,
    content_type: str | None = FORM,
    target: str = HUB,
    host: str = HOST,
) -> Response:
    """Publish: `body` is spelled out, or the fields of a form."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = urlencode(body if isinstance(body, Mapping) else list(body)).encode()
    shown = (bearer(token),) if token is not None else ()
    typed = (("Content-Type", content_type),) if content_type is not None else ()
    return await ask(address, target, method="POST", headers=(*typed, *shown, *headers), body=body, host=host)


# -- subscribing ----------------------------------------------------------------------------------------------------


class EventStream:
    """A subscription that has begun: `head` is read, and the hub knows the subscriber."""

    def __init__(self, client: RawClient, head: ResponseHead) -> None:
        self.client = client
        self.head = head
        self._events: deque[bytes] = deque()
        self._rest = b""

    async def event(self) -> bytes:
        """Return the next event as it was sent, without its blank line; comments are passed over."""
        while not self._events:
            assert await self._read(), f"the stream has ended; unread: {self._rest!r}"
        return self._events.popleft()

    async def id(self) -> str:
        """Return the id of the next event."""
        return next(line[4:] for line in (await self.event()).decode().split("\n") if line.startswith("id: "))

    async def ids(self, count: int) -> list[str]:
        """Return the ids of the next events."""
        return [await self.id() for _ in range(count)]

    async def data(self) -> str:
        """Return the data of the next event."""
        lines = (await self.event()).split(b"\n")
        return "\n".join(line[6:].decode() for line in lines if line.startswith(b"data: "))

    async def rest(self) -> list[bytes]:
        """Read to the clean end of the stream, and return the events that came before it."""
        while await self._read():
            pass
        assert not self._rest, f"ends in the middle of an event: {self._rest!r}"
        return list(self._events)

    async def _read(self) -> bool:
        """Read a chunk, and say whether it was not the last."""
        piece = await self.client.chunk()
        *whole, self._rest = (self._rest + piece).split(b"\n\n")
        for event in whole:
            lines = [line for line in event.split(b"\n") if not line.startswith(b":")]
            if lines:
                self._events.append(b"\n".join(lines))
        return bool(piece)


@asynccontextmanager
async def subscribed(
    app: HasDoors, query: str, *headers: tuple[str, str], token: str | None = None, host: str = HOST, path: str = HUB
) -> AsyncGenerator[EventStream]:
    """Subscribe with this query string; the hub has the subscriber when the block begins."""
    async with await RawClient.connect(app.proxy_addresses[0]) as client:
        shown = (bearer(token),) if token is not None else ()
        await client.send_request(f"{path}?{query}", host=host, headers=(*shown, *headers))
        head = await client.head()
        assert head.status == 200, (head, await client.body(head))
        stream = EventStream(client, head)
        assert await client.chunk() == b":\n"
        yield stream


def json_of(response: Response) -> Any:
    """Return the JSON of an answer."""
    return json.loads(response.body)


async def head_of(
    app: HasDoors, *headers: tuple[str, str], query: str = "match=a", host: str = HOST, path: str = HUB
) -> ResponseHead:
    """Subscribe, and leave as soon as the head of the answer is there."""
    async with await RawClient.connect(app.proxy_addresses[0]) as client:
        await client.send_request(f"{path}?{query}", host=host, headers=headers)
        return await client.head()


async def status_of(app: HasDoors, *headers: tuple[str, str], query: str = "match=a") -> int:
    """Subscribe, and leave as soon as the status of the answer is there."""
    return (await head_of(app, *headers, query=query)).status


def challenge(error: str = "", host: str = HOST) -> tuple[bytes]:
    """Return the values of `WWW-Authenticate` for a fault of a token; without one, for a missing token."""
    named = f'error="{error}", ' if error else ""
    return (f'Bearer {named}resource_metadata="http://{host}{METADATA}"'.encode(),)
