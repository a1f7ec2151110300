"""A room with SockJS sessions in it: each with the WebSocket session on it, and the link to its backend on record."""

from __future__ import annotations

from dataclasses import replace

from handlers.protocol.answers import AnswerForm
from handlers.protocol.names import Channel
from handlers.protocol.sockjs import Wrapping
from handlers.protocol.subscribing import Subscription
from handlers.protocol.ws_frames import CloseReason
from handlers.protocol.ws_grip import GripReader
from handlers.settings import SockJsSettings
from handlers.sockjs.poll import SockJsPoll
from handlers.sockjs.session import Key, SockJsSession, SockJsSite
from handlers.sockjs.socket import SockJsSocket
from handlers.sockjs.stream import SockJsStream
from handlers.timers import NOWHERE
from handlers.websocket import WebSocketSession
from tests.handlers.recording import RecordingLink
from tests.handlers.room import CONTROL_LIMIT, FORM, Room
from tests.support.client import RawClient
from tests.support.turns import settle
from tests.support.websocket import WsClient

HEADERS = ((b"Content-Type", b"text/plain"),)
KEY: Key = (b"example.com/s", b"abc")
SETTINGS = SockJsSettings(outbox_limit=1024, response_limit=1024)


class Ear:
    """A receiver that takes as many frames as it is asked to, and notes them."""

    def __init__(self, room: int = 1_000) -> None:
        self.frames: list[bytes] = []
        self.reason: CloseReason | None = None
        self.is_gone = False
        self.room = room

    def deliver(self, frame: bytes) -> bool:
        self.frames.append(frame)
        self.room -= 1
        return self.room > 0

    def end(self, frame: bytes, reason: CloseReason) -> None:
        self.frames.append(frame)
        self.reason = reason


class SockJsRoom(Room):
    """Use as `async with SockJsRoom() as room`."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = SockJsSite(site=self.site, settings=SETTINGS, message_limit=500)

    def lengthen_streams(self) -> None:
        """Have streaming answers go on for ever."""
        self.shared = replace(self.shared, settings=replace(SETTINGS, response_limit=2**31 - 1))

    def open(
        self, *channels: str, key: Key | None = KEY, is_told: bool = True
    ) -> tuple[SockJsSession, WebSocketSession, RecordingLink]:
        """Open a session as the door does; unless it `is_told`, its first frame is still to come."""
        session = SockJsSession(shared=self.shared, key=key, label="/sockjs")
        link = RecordingLink()
        socket = WebSocketSession(
            site=self.site,
            websockets=self.websockets,
            transport=session,
            link=link,
            label="/sockjs",
            implicit=(),
            prefix="",
            message_limit=200_000,
            deflate=None,
            grip=GripReader(b"", control_limit=CONTROL_LIMIT),
        )
        link.session = socket
        self.edge.join(socket)
        for channel in channels:
            self.edge.subscribe(socket, Subscription(channel=Channel(channel)))
        socket.attach(b"", is_behind=False)
        session.opened()
        if is_told:
            assert session.take() == b"o"
        return session, socket, link

    async def sockjs_poll(
        self,
        session: SockJsSession,
        *,
        wrapping: Wrapping = Wrapping.XHR,
        callback: bytes = b"",
        form: AnswerForm = FORM,
    ) -> tuple[RawClient, SockJsPoll]:
        """Hold a poll."""
        client, transport = await self.connect()
        poll = SockJsPoll(
            of=session, transport=transport, label="/poll", form=form, headers=HEADERS, wrapping=wrapping,
            callback=callback,
        )  # fmt: skip
        poll.attach(b"", is_behind=False)
        session.receive_by(poll)
        return client, poll

    async def sockjs_stream(
        self, session: SockJsSession, *, chunked: bool = True, is_slow: bool = False
    ) -> tuple[RawClient, SockJsStream]:
        """Hold a streaming answer, whose head nobody has sent."""
        client, transport = await self.connect(is_slow=is_slow)
        stream = SockJsStream(
            of=session,
            transport=transport,
            label="/stream",
            reusable=True,
            chunked=chunked,
            wrapping=Wrapping.XHR_STREAMING,
        )
        stream.attach(b"", is_behind=False)
        session.receive_by(stream)
        return client, stream

    async def sockjs_socket(self, session: SockJsSession, *, is_slow: bool = False) -> tuple[WsClient, SockJsSocket]:
        """Hold a WebSocket with SockJS frames in it."""
        client, transport = await self._connect(WsClient, is_slow=is_slow)
        socket = SockJsSocket(of=session, limits=self.websockets.settings, transport=transport, label="/socket")
        socket.attach(b"", is_behind=False)
        session.receive_by(socket)
        return client, socket

    def is_empty(self, session: SockJsSession) -> bool:
        """Say whether nothing is left of a session."""
        return not self.shared.sessions and session.tick == NOWHERE and not self.edge.sessions


async def frames_of(ear: Ear) -> list[bytes]:
    """Return what has come, once the loop is idle."""
    await settle()
    return ear.frames
