"""The room as the composition root builds it, less the doors: an edge, a wheel, and sessions on real connections.

The transports are those of the running loop, with a `RawClient` at the other end. Of the clients' door there is only
the record of what it was given.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.protocol.answers import Answer, AnswerForm
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription
from handlers.response import ResponseSession
from handlers.session import Site
from handlers.settings import HoldSettings
from handlers.stream import StreamSession
from handlers.timers import TimerWheel
from tests.support.client import RawClient
from tests.support.clock import ManualClock

OUTBOX = 65_536
KEPT = 1_000
SLOW_BUFFER = 4_096
"""What the kernel takes, at either end, for a client that is made slow."""

FORM = AnswerForm(version=b"1.1", reusable=True, method=b"GET")
TIMEOUT_ANSWER = Answer(status=200, reason=b"OK", headers=((b"X-Held", b"yes"),), body=b"timeout\n")
TIMEOUT_BYTES = b"HTTP/1.1 200 OK\r\nX-Held: yes\r\nContent-Length: 8\r\n\r\ntimeout\n"


class Spectator(asyncio.Protocol):
    """The protocol of a transport that nobody holds; it knows when the transport is closed."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are not subclasses of asyncio's.
        self.made.set_result(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@dataclass(slots=True)
class RecordingDoor:
    """The clients' door: notes what it is given, and leaves it lying there."""

    taken: list[tuple[asyncio.Transport, bytes, bool]] = field(default_factory=list)
    retried: list[tuple[asyncio.Transport, bytes, object, bool]] = field(default_factory=list)
    closed: list[asyncio.Transport] = field(default_factory=list)
    is_told: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None
    """What the next connection that is given back runs into."""

    def take_back(self, transport: asyncio.Transport, kept: bytes, *, is_behind: bool) -> None:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        transport.set_protocol(Spectator())
        self.taken.append((transport, kept, is_behind))

    def retry(self, transport: asyncio.Transport, kept: bytes, request: object, *, is_behind: bool) -> None:
        transport.set_protocol(Spectator())
        self.retried.append((transport, kept, request, is_behind))

    def gone(self, transport: asyncio.Transport) -> None:
        self.closed.append(transport)
        self.is_told.set()


class Room:
    """Use as `async with Room() as room`; every connection made in it is closed at the end."""

    def __init__(self, settings: HoldSettings | None = None) -> None:

        self.clock = ManualClock()
        self.counters = Counters()
        self.door = RecordingDoor()
        self.edge = Edge(clock=self.clock, counters=self.counters)
        self.jitter = 0.0
        self.settings = settings or HoldSettings(outbox_limit=OUTBOX, kept_limit=KEPT)
        self.wheel = TimerWheel(self.clock)
        self.site = Site(
            index=self.edge,
            door=self.door,
            clock=self.clock,
            wheel=self.wheel,
            counters=self.counters,
            settings=self.settings,
            random=lambda: self.jitter,
        )
        self._accepted: asyncio.Queue[Spectator] = asyncio.Queue()
        self._clients: list[RawClient] = []
        self._transports: list[asyncio.Transport] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for client in self._clients:
            client.close()
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def connect(self, *, is_slow: bool = False) -> tuple[RawClient, asyncio.Transport]:
        """Connect a client. For one that is slow the kernel takes next to nothing at either end."""
        assert self._server is not None
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        client = await RawClient.connect(address, receive_buffer=SLOW_BUFFER if is_slow else None)
        self._clients.append(client)
        transport = await (await self._accepted.get()).made
        self._transports.append(transport)
        if is_slow:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SLOW_BUFFER)
        return client, transport

    async def stream(
        self,
        *channels: str,
        chunked: bool = True,
        debug: bool = False,
        filters: tuple[str, ...] = (),
        is_attached: bool = True,
        is_slow: bool = False,
        keep_alive: KeepAlive | None = None,
        kept: bytes = b"",
        reusable: bool = True,
    ) -> tuple[RawClient, StreamSession]:
        """Hold a stream on `channels`."""
        client, transport = await self.connect(is_slow=is_slow)
        session = StreamSession(
            site=self.site,
            transport=transport,
            subscriptions=subscriptions(channels, filters),
            reusable=reusable,
            label=f"/stream of {client.local_port}",
            chunked=chunked,
            debug=debug,
            keep_alive=keep_alive,
        )
        self.edge.join(session)
        if is_attached:
            session.attach(kept, is_behind=False)
        return client, session

    async def poll(
        self,
        *channels: str,
        answer: Answer = TIMEOUT_ANSWER,
        filters: tuple[str, ...] = (),
        form: AnswerForm = FORM,
        is_slow: bool = False,
        kept: bytes = b"",
        seconds: float = 55,
    ) -> tuple[RawClient, ResponseSession]:
        """Hold a long poll on `channels`."""
        client, transport = await self.connect(is_slow=is_slow)
        session = ResponseSession(
            site=self.site,
            transport=transport,
            subscriptions=subscriptions(channels, filters),
            label=f"/poll of {client.local_port}",
            form=form,
            answer=answer,
            timeout=seconds,
            request=b"the request",
        )
        self.edge.join(session)
        session.attach(kept, is_behind=False)
        return client, session

    async def until_closed(self, transport: asyncio.Transport) -> None:
        """Wait until the door has been told that `transport` is closed."""
        while transport not in self.door.closed:
            self.door.is_told.clear()
            await self.door.is_told.wait()

    def _accept(self) -> Spectator:
        spectator = Spectator()
        self._accepted.put_nowait(spectator)
        return spectator


def subscriptions(channels: tuple[str, ...], filters: tuple[str, ...] = ()) -> tuple[Subscription, ...]:
    """Return a subscription to each channel, all with the same filters."""
    return tuple(Subscription(channel=Channel(name), filters=filters) for name in channels)


def stream_item(
    channel: str, content: bytes = b"", *, action: Action = Action.SEND, filters: tuple[str, ...] | None = None
) -> Item:
    """An item for streams."""
    published = HttpStreamFormat(action=action, content=content, content_filters=filters)
    return Item(channel=Channel(channel), http_stream=published)


def response_item(
    channel: str,
    body: bytes = b"",
    *,
    action: Action = Action.SEND,
    headers: Headers = (),
    filters: tuple[str, ...] | None = None,
) -> Item:
    """An item for long polls."""
    published = HttpResponseFormat(action=action, headers=headers, body=body, content_filters=filters)
    return Item(channel=Channel(channel), http_response=published)
