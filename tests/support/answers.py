"""What the scripted backend can be told to answer.

An `Answer` is a row of steps: bytes to write, an event to wait for, or an ending of the connection. The
builders below make the common ones; anything else is spelled out as bytes by the test that needs it.
"""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.support.http import Headers, Request


class Ending(enum.Enum):
    """How a backend leaves a connection in the middle of a script."""

    CLOSE = "close"
    """FIN: what was written before still arrives."""
    RESET = "reset"
    """RST: the peer's next read fails."""


Step = bytes | asyncio.Event | Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to do with one request."""

    steps: tuple[Step, ...]
    early: bool = False
    """Answer as soon as the head is there; the body is read afterwards."""
    body_gate: asyncio.Event | None = None
    """Do not read the body before this is set: the upload stalls."""
    keep_body: bool = True
    """False counts the body's bytes and forgets them (100 MB uploads)."""


Script = Answer | Callable[[Request], Answer]


def answer(*steps: Step) -> Answer:
    """Write these bytes, wait for these events, in this order."""
    return Answer(steps=steps)


def text(
    body: bytes | str = b"hello\n",
    *,
    status: int = 200,
    reason: bytes = b"OK",
    headers: Iterable[tuple[bytes, bytes]] = ((b"Content-Type", b"text/plain"),),
) -> Answer:
    """Answer with a Content-Length body."""
    data = body.encode() if isinstance(body, str) else body
    return answer(head(status, reason, (*headers, (b"Content-Length", b"%d" % len(data)))) + data)


def chunked(*pieces: bytes | asyncio.Event, headers: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    """Answer with a chunked body, one chunk for each piece; an event between pieces holds the rest back."""
    first = head(200, b"OK", (*headers, (b"Transfer-Encoding", b"chunked")))
    return answer(first, *(chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces), b"0\r\n\r\n")


def to_eof(*pieces: bytes | asyncio.Event, headers: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    """Answer with a body that ends with the connection."""
    return answer(head(200, b"OK", (*headers, (b"Connection", b"close"))), *pieces, Ending.CLOSE)


def close_without_answer() -> Answer:
    """Close the connection instead of answering."""
    return answer(Ending.CLOSE)


def never() -> Answer:
    """Read the request and say nothing, until the backend stops."""
    return answer(asyncio.Event())


def grip_stream(*channels: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Ask for a stream hold on `channels`, by headers."""
    return _grip("stream", channels, body, headers)


def grip_response(*channels: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Ask for a response hold on `channels`, by headers; `body` is what the client gets at the timeout."""
    return _grip("response", channels, body, headers)


def grip_instruct(instruct: object, *, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Ask for a hold by an `application/grip-instruct` body."""
    pairs = (("Content-Type", "application/grip-instruct"), *headers)
    return text(json.dumps(instruct), status=status, headers=_encoded(pairs))


def head(status: int, reason: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Spell out a response head."""
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, b"".join(b"%b: %b\r\n" % pair for pair in headers))


def chunk(data: bytes) -> bytes:
    """Spell out one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _grip(mode: str, channels: tuple[str, ...], body: bytes, headers: Iterable[tuple[str, str]]) -> Answer:
    pairs = [("Content-Type", "text/plain"), ("Grip-Hold", mode)]
    pairs.extend(("Grip-Channel", channel) for channel in channels)
    return text(body, headers=_encoded((*pairs, *headers)))


def _encoded(pairs: Iterable[tuple[str, str]]) -> Headers:
    return tuple((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs)
