"""The hub's room as the composition root builds it, less the doors: an audience in a `Room`, with an edge beside it.

Subscribers sit on real connections (`listen`, `poll`, `socket`), or, where many are wanted or none needs a network, on
`RecordingTransport`s (`crowd`). Time is the room's: `room.clock`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from websockets.extensions.permessage_deflate import PerMessageDeflate

from handlers.engines.engine import Engine
from handlers.engines.memory import MemoryEngine
from handlers.hub.audience import Audience
from handlers.hub.hub import Hub
from handlers.hub.poll import HubPoll
from handlers.hub.presence import PresenceTeller
from handlers.hub.socket import HubSocket
from handlers.hub.stream import HubStream
from handlers.hub.subscriber import Subscriber
from handlers.protocol.answers import AnswerForm
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import CompiledMatcher, Matching
from handlers.protocol.mercure.subscription import presence_update
from handlers.protocol.mercure.update import ActiveSubscription, Presence, Update
from handlers.protocol.names import EventId, SubscriberId, Topic
from handlers.protocol.ws_deflate import WINDOW_BITS, Deflate
from handlers.settings import HoldSettings, WebSocketSettings
from tests.handlers.room import FORM, Room
from tests.support.client import RawClient
from tests.support.websocket import WsClient

BASE = "https://hub.example/.well-known/mercure"
HUB_PATH = "/.well-known/mercure"
NO_STORE = (b"Cache-Control", b"no-store")
EVENT = b"id: 1\ndata: x\n\n"
"""What `update` makes, on a stream."""


def exact(value: str) -> Matcher:
    return Matcher(MatcherKind.EXACT, value)


def pattern(value: str) -> Matcher:
    return Matcher(MatcherKind.URLPATTERN, value)


def selector(value: str) -> Matcher:
    return Matcher(MatcherKind.SELECTOR, value)


def update(*topics: str, data: str = "x", event_id: str = "1", is_private: bool = False, kind: str = "") -> Update:
    """An update on `topics`."""
    return Update(topics=tuple(map(Topic, topics)), id=EventId(event_id), data=data, private=is_private, type=kind)


class CountingMatching(Matching):
    """Notes what it is asked: pairs of matcher and topic."""

    def __init__(self, base: str = BASE, cache_size: int = 1_000) -> None:
        super().__init__(base, cache_size)
        self.asked: list[tuple[Matcher, str]] = []

    def matches(self, matcher: Matcher, topic: str) -> bool:
        self.asked.append((matcher, topic))
        return super().matches(matcher, topic)

    def compile(self, matcher: Matcher) -> CompiledMatcher:
        return CountingMatcher(super().compile(matcher), matcher, self.asked)


class CountingMatcher(CompiledMatcher):
    """Notes what it is asked beside what `CountingMatching` is."""

    __slots__ = ("_asked", "_inner", "_matcher")

    def __init__(self, inner: CompiledMatcher, matcher: Matcher, asked: list[tuple[Matcher, str]]) -> None:
        super().__init__(matcher, None, inner.anchor)
        self._inner, self._matcher, self._asked = inner, matcher, asked

    def matches(self, topic: str) -> bool:
        self._asked.append((self._matcher, topic))
        return self._inner.matches(topic)


class RecordingTransport(asyncio.Transport):
    """A transport without a network: notes what is written, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.fault: Exception | None = None
        self.protocol: asyncio.BaseProtocol | None = None
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.fault is not None:
            raise self.fault
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class WatchedStream(HubStream):
    """A stream that can tell when it is gone."""

    __slots__ = ("__weakref__",)


class WatchedPoll(HubPoll):
    """A long poll that can tell when it is gone."""

    __slots__ = ("__weakref__",)


class WatchedSocket(HubSocket):
    """A WebSocket that can tell when it is gone."""

    __slots__ = ("__weakref__",)


class HubRoom(Room):
    """Use as `async with HubRoom() as room`. `tells`: it tells of subscriptions."""

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        settings: HoldSettings | None = None,
        tells: bool = False,
        unanchored_limit: int = 1_000,
        websocket: WebSocketSettings | None = None,
    ) -> None:
        super().__init__(settings, websocket)
        self.limits = websocket or WebSocketSettings()
        self.matching = CountingMatching()
        self.audience = Audience(
            matching=self.matching,
            clock=self.clock,
            counters=self.counters,
            hub_path=HUB_PATH,
            unanchored_limit=unanchored_limit,
        )
        self.hub_site = replace(self.site, index=self.audience)
        self.hub = Hub(
            engine=engine or MemoryEngine(), audience=self.audience, clock=self.clock, counters=self.counters
        )
        self.presence = PresenceTeller(hub_path=HUB_PATH, publish=self.hub.publish)
        self.tells = tells
        if tells:
            self.audience.watcher = self.presence
            self.hub.on_stored = self.presence.tell_rest
        self.hub.open()
        self._numbers = count(1)

    def subscriber(self, matchers: Iterable[Matcher], grants: Iterable[Matcher] = ()) -> Subscriber:
        """Somebody who asks for `matchers`, and may read what `grants` match of private updates."""
        wanted, name = tuple(matchers), SubscriberId(f"urn:uuid:{next(self._numbers)}")
        return Subscriber(
            id=name,
            matchers=wanted,
            readable=self.audience.readables.of(tuple(grants)),
            subscriptions=tuple(ActiveSubscription(subscriber=name, matcher=each) for each in wanted)
            if self.tells
            else (),
        )

    async def listen(
        self,
        *matchers: Matcher,
        chunked: bool = True,
        ends_at: float = math.inf,
        grants: Iterable[Matcher] = (),
        is_attached: bool = True,
        is_slow: bool = False,
        keep_alive: KeepAlive | None = None,
        kept: bytes = b"",
    ) -> tuple[RawClient, WatchedStream]:
        """Hold a subscriber's stream."""
        client, transport = await self.connect(is_slow=is_slow)
        session = WatchedStream(
            site=self.hub_site,
            transport=transport,
            subscriber=self.subscriber(matchers, grants),
            ends_at=ends_at,
            reusable=chunked,
            label=f"/stream of {client.local_port}",
            chunked=chunked,
            keep_alive=keep_alive,
        )
        self.audience.join(session)
        if is_attached:
            session.attach(kept, is_behind=False)
        return client, session

    async def ask(
        self,
        *matchers: Matcher,
        form: AnswerForm = FORM,
        grants: Iterable[Matcher] = (),
        is_attached: bool = True,
        kept: bytes = b"",
        seconds: float = 25,
    ) -> tuple[RawClient, WatchedPoll]:
        """Hold a subscriber's long poll."""
        client, transport = await self.connect()
        session = WatchedPoll(
            site=self.hub_site,
            transport=transport,
            subscriber=self.subscriber(matchers, grants),
            label=f"/poll of {client.local_port}",
            form=form,
            headers=(NO_STORE,),
            timeout=seconds,
            place=lambda: self.hub.place,
        )
        self.audience.join(session)
        if is_attached:
            session.attach(kept, is_behind=False)
        return client, session

    async def socket(
        self,
        *matchers: Matcher,
        ends_at: float = math.inf,
        grants: Iterable[Matcher] = (),
        is_attached: bool = True,
        is_deflated: bool = False,
        is_slow: bool = False,
        keep_alive: KeepAlive | None = None,
        kept: bytes = b"",
    ) -> tuple[WsClient, WatchedSocket]:
        """Hold a subscriber's WebSocket."""
        client, transport = await self._connect(WsClient, is_slow=is_slow)
        if is_deflated:
            client.extensions = (PerMessageDeflate(True, True, WINDOW_BITS, 15),)
        session = WatchedSocket(
            site=self.hub_site,
            limits=self.limits,
            transport=transport,
            subscriber=self.subscriber(matchers, grants),
            ends_at=ends_at,
            label=f"/socket of {client.local_port}",
            deflate=Deflate() if is_deflated else None,
            keep_alive=keep_alive,
        )
        self.audience.join(session)
        if is_attached:
            session.attach(kept, is_behind=False)
        return client, session

    def crowd(
        self, number: int, *matchers: Matcher, chunked: bool = True, grants: Iterable[Matcher] = ()
    ) -> list[tuple[RecordingTransport, WatchedStream]]:
        """Hold many streams without a network; each has an `EVENT` for what it gets, if it is not chunked."""
        held = []
        for index in range(number):
            transport = RecordingTransport()
            session = WatchedStream(
                site=self.hub_site,
                transport=transport,
                subscriber=self.subscriber(matchers, grants),
                ends_at=math.inf,
                reusable=False,
                label=f"/crowd/{index}",
                chunked=chunked,
                keep_alive=None,
            )
            self.audience.join(session)
            session.attach(b"", is_behind=False)
            held.append((transport, session))
        return held

    def is_empty(self) -> bool:
        """Whether nothing is kept of anybody."""
        places = [
            place
            for index in (self.audience._current, self.audience._legacy)  # noqa: SLF001  # can't be seen outside
            for place in (index._exact, index._anchored, index._unanchored, index._everything.members)  # noqa: SLF001
        ]
        return not any(places) and not self.audience.sessions and self.counters.mercure_subscribers == 0


def presence_of(matcher: Matcher, *, active: bool = True, subscriber: str = "urn:uuid:other") -> Update:
    """The update that tells of a subscription."""
    subscription = ActiveSubscription(subscriber=SubscriberId(subscriber), matcher=matcher)
    told = presence_update(HUB_PATH, Presence(subscription=subscription, active=active))
    return replace(told, id=EventId("presence"))
