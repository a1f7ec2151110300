"""What stands at the room's borders in its tests: protocols of the transports, the clients' door, links to backends.

They note what they are told and do nothing about it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from handlers.open_ended import OpenEndedSession
from handlers.protocol.subscribing import LastSeen
from handlers.protocol.ws_frames import Frame, Opcode
from handlers.websocket import WebSocketSession

Seen = tuple[Opcode, bytes, bool]
"""A frame: opcode, payload, FIN."""


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
    last_seen: list[LastSeen] = field(default_factory=list)
    """What went with the retries."""
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

    def retry(
        self, transport: asyncio.Transport, kept: bytes, request: object, *, last_seen: LastSeen, is_behind: bool
    ) -> None:
        transport.set_protocol(Spectator())
        self.last_seen.append(last_seen)
        self.retried.append((transport, kept, request, is_behind))

    def close(self, transport: asyncio.Transport) -> None:
        transport.close()

    def gone(self, transport: asyncio.Transport) -> None:
        self.closed.append(transport)
        self.is_told.set()


@dataclass(slots=True, weakref_slot=True)
class RecordingStreamLink:
    """The way of a stream to its backend (`handlers.door.StreamLink`): notes what it is asked for, and asks nobody."""

    fetches: list[LastSeen] = field(default_factory=list)
    """What the client had seen, each time."""
    ends: int = 0
    relieved: int = 0
    """How often it was told that the client has caught up."""

    def fetch(self, last_seen: LastSeen) -> None:
        self.fetches.append(last_seen)

    def caught_up(self) -> None:
        self.relieved += 1

    def ended(self) -> None:
        self.ends += 1


@dataclass(slots=True, weakref_slot=True)
class RecordingLink:
    """The link of a WebSocket to its backend (`handlers.door.WebSocketLink`). Knows its session, as every link does."""

    frames: list[Seen] = field(default_factory=list)
    """What the client has sent, its close frame included."""
    told: list[str] = field(default_factory=list)
    """Which of the other methods were called, in order; a client that is behind or not with a sign for it."""
    session: WebSocketSession | None = None
    fault: Exception | None = None
    """What whoever asks for something next runs into."""

    def receive(self, frame: Frame) -> None:
        self.frames.append((frame.opcode, bytes(frame.data), frame.fin))

    def close_by_us(self) -> None:
        self.told.append("close_by_us")
        self._fail()

    def client_gone(self) -> None:
        self.told.append("client_gone")

    def refresh(self) -> None:
        self.told.append("refresh")
        self._fail()

    def client_behind(self, is_behind: bool) -> None:
        self.told.append("behind" if is_behind else "caught up")

    def relay(self, *frames: Frame) -> None:
        """The backend sends these."""
        assert self.session is not None
        for frame in frames:
            self.session.relay(frame)

    def say(self, text: str) -> None:
        """The backend sends a text message."""
        self.relay(Frame(Opcode.TEXT, text.encode()))

    def _fail(self) -> None:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault


def noted(session: OpenEndedSession) -> list[bytes]:
    """Note the very objects that are written to `session` from now on."""
    frames: list[bytes] = []
    write = session.write

    def note_and_write(frame: bytes) -> None:
        frames.append(frame)
        write(frame)

    session.write = note_and_write
    return frames
