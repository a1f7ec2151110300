"""The room as the composition root builds it, less the doors: an edge, a wheel, and sessions on real connections.

The transports are those of the running loop, with a `RawClient` or `WsClient` at the other end. Of the clients' door,
and of the links to backends, there is only the record of what they were told.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

from websockets.extensions.permessage_deflate import PerMessageDeflate

from handlers.counters import Counters
from handlers.door import GoneLink
from handlers.edge import Edge
from handlers.linked_stream import LinkedStreamSession, Polling
from handlers.open_ended import OpenEndedSession
from handlers.protocol.answers import Answer, AnswerForm
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.subscribing import Subscription
from handlers.protocol.ws_deflate import WINDOW_BITS, Deflate
from handlers.protocol.ws_grip import GripReader
from handlers.response import ResponseSession
from handlers.session import NO_META, Site
from handlers.settings import HoldSettings, WebSocketSettings
from handlers.stream import StreamSession
from handlers.timers import TimerWheel
from handlers.websocket import WebSocketSession, WebSocketSite
from handlers.websocket_control import Controls
from tests.handlers.recording import RecordingDoor, RecordingLink, RecordingStreamLink, Spectator
from tests.support.client import RawClient
from tests.support.clock import ManualClock
from tests.support.websocket import WsClient

C = TypeVar("C", bound=RawClient)

OUTBOX = 65_536
KEPT = 1_000
CONTROL_LIMIT = 10_000
SLOW_BUFFER = 4_096
"""What the kernel takes, at either end, for a client that is made slow."""

FORM = AnswerForm(version=b"1.1", reusable=True, method=b"GET")
POLLING = Polling(seconds=30, phase=0)
TIMEOUT_ANSWER = Answer(status=200, reason=b"OK", headers=((b"X-Held", b"yes"),), body=b"timeout\n")
TIMEOUT_BYTES = b"HTTP/1.1 200 OK\r\nX-Held: yes\r\nContent-Length: 8\r\n\r\ntimeout\n"


class Room:
    """Use as `async with Room() as room`; every connection made in it is closed at the end."""

    def __init__(self, settings: HoldSettings | None = None, websocket: WebSocketSettings | None = None) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.door = RecordingDoor()
        self.jitter = 0.0
        # Without updates on first subscription, which would send every long poll back after a second.
        self.settings = settings or HoldSettings(
            outbox_limit=OUTBOX, kept_limit=KEPT, update_on_first_subscription=False
        )
        self.wheel = TimerWheel(self.clock)
        self.edge = Edge(clock=self.clock, wheel=self.wheel, counters=self.counters, settings=self.settings)
        self.site = Site(
            index=self.edge,
            door=self.door,
            clock=self.clock,
            wheel=self.wheel,
            counters=self.counters,
            settings=self.settings,
            random=lambda: self.jitter,
        )
        limits = websocket or WebSocketSettings()
        self.controls = Controls(edge=self.edge, counters=self.counters, hold=self.settings, websocket=limits)
        self.websockets = WebSocketSite(settings=limits, controls=self.controls)
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
        return await self._connect(RawClient, is_slow=is_slow)

    async def _connect(self, kind: type[C], *, is_slow: bool) -> tuple[C, asyncio.Transport]:
        assert self._server is not None
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        client = await kind.connect(address, receive_buffer=SLOW_BUFFER if is_slow else None)
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
        meta: Mapping[str, str] = NO_META,
        prefix: str = "",
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
            meta=meta,
            prefix=prefix,
        )
        self.edge.join(session)
        if is_attached:
            session.attach(kept, is_behind=False)
        return client, session

    async def linked_stream(
        self,
        *channels: str,
        prev_id: str | None = None,
        polling: Polling | None = POLLING,
        is_attached: bool = True,
        is_slow: bool = False,
        keep_alive: KeepAlive | None = None,
        fetches_at_once: bool = False,
        prefix: str = "",
    ) -> tuple[RawClient, LinkedStreamSession, RecordingStreamLink]:
        """Hold a stream on `channels` whose backend can be asked what comes next."""
        client, transport = await self.connect(is_slow=is_slow)
        link = RecordingStreamLink()
        session = LinkedStreamSession(
            site=self.site,
            room=self.edge,
            link=link,
            transport=transport,
            subscriptions=subscriptions(channels, (), prev_id),
            reusable=True,
            label=f"/linked of {client.local_port}",
            chunked=True,
            debug=False,
            keep_alive=keep_alive,
            polling=polling,
            fetches_at_once=fetches_at_once,
            prefix=prefix,
        )
        self.edge.join(session)
        if is_attached:
            session.attach(b"", is_behind=False)
        return client, session, link

    async def poll(
        self,
        *channels: str,
        answer: Answer = TIMEOUT_ANSWER,
        filters: tuple[str, ...] = (),
        form: AnswerForm = FORM,
        is_slow: bool = False,
        kept: bytes = b"",
        link: GoneLink | None = None,
        meta: Mapping[str, str] = NO_META,
        prefix: str = "",
        prev_id: str | None = None,
        seconds: float = 55,
    ) -> tuple[RawClient, ResponseSession]:
        """Hold a long poll on `channels`."""
        client, transport = await self.connect(is_slow=is_slow)
        session = ResponseSession(
            site=self.site,
            transport=transport,
            subscriptions=subscriptions(channels, filters, prev_id),
            label=f"/poll of {client.local_port}",
            form=form,
            answer=answer,
            timeout=seconds,
            request=b"the request",
            link=link,
            meta=meta,
            prefix=prefix,
        )
        self.edge.join(session)
        session.attach(kept, is_behind=False)
        return client, session

    async def websocket(
        self,
        *channels: str,
        filters: tuple[str, ...] = (),
        grip: bytes | None = None,
        implicit: tuple[str, ...] = (),
        is_attached: bool = True,
        is_deflated: bool = False,
        is_slow: bool = False,
        kept: bytes = b"",
        kind: type[WebSocketSession] = WebSocketSession,
        message_limit: int | None = None,
        meta: Mapping[str, str] = NO_META,
        prefix: str = "",
    ) -> tuple[WsClient, WebSocketSession, RecordingLink]:
        """Hold a WebSocket on `channels`; its backend speaks GRIP with `grip` for the prefix of its messages."""
        client, transport = await self._connect(WsClient, is_slow=is_slow)
        if is_deflated:
            client.extensions = (PerMessageDeflate(True, True, WINDOW_BITS, 15),)
        link = RecordingLink()
        session = kind(
            site=self.site,
            websockets=self.websockets,
            transport=transport,
            link=link,
            label=f"/socket of {client.local_port}",
            implicit=tuple(map(Channel, implicit)),
            prefix=prefix,
            message_limit=message_limit,
            deflate=Deflate() if is_deflated else None,
            grip=None if grip is None else GripReader(grip, control_limit=CONTROL_LIMIT),
        )
        session.meta = meta
        link.session = session
        self.edge.join(session)
        for subscription in subscriptions(channels, filters):
            self.edge.subscribe(session, subscription)
        if is_attached:
            session.attach(kept, is_behind=False)
        return client, session, link

    async def until_closed(self, transport: asyncio.Transport) -> None:
        """Wait until the door has been told that `transport` is closed."""
        while transport not in self.door.closed:
            self.door.is_told.clear()
            await self.door.is_told.wait()

    def _accept(self) -> Spectator:
        spectator = Spectator()
        self._accepted.put_nowait(spectator)
        return spectator


def subscriptions(
    channels: tuple[str, ...], filters: tuple[str, ...] = (), prev_id: str | None = None
) -> tuple[Subscription, ...]:
    """Return a subscription to each channel, all with the same filters and the same id seen last."""
    seen = None if prev_id is None else ItemId(prev_id)
    return tuple(Subscription(channel=Channel(name), filters=filters, prev_id=seen) for name in channels)


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


def message_item(
    channel: str,
    content: bytes = b"",
    *,
    action: Action = Action.SEND,
    code: int | None = None,
    filters: tuple[str, ...] | None = None,
    kind: MessageKind = MessageKind.TEXT,
    meta: Mapping[str, str] = NO_META,
    reason: str = "",
) -> Item:
    """An item for WebSockets."""
    published = WsMessageFormat(
        action=action, kind=kind, content=content, code=code, reason=reason, content_filters=filters
    )
    return Item(channel=Channel(channel), meta=tuple(meta.items()), ws_message=published)


def fill(room: Room, session: OpenEndedSession, item: Item) -> int:
    """Publish `item` until `session` is behind; return how often that took."""
    count = 0
    while not session.is_behind:
        room.edge.deliver(item)
        count += 1
        assert count < 1_000
    return count
