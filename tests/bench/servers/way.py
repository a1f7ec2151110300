"""Ways to be held, and what asks for them, arrives, and publishes at one server.

All are bytes as they go over the wire, with `{payload}` and `{n}` where the load generator writes (native/hold.c).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

CONTENT_SIZE = 150
"""Bytes of a message's content, whoever carries it."""

NUMBER_SIZE = 8
"""Digits that take the place of `{n}`."""

STREAM_PAYLOAD = CONTENT_SIZE - len("data: \n\n")
"""Bytes of the payload of an event whose publisher, or server, writes nothing but the data line around it."""


class Kind(Enum):
    """What a client is held as."""

    STREAM = "stream"
    WEBSOCKET = "websocket"
    MERCURE = "mercure"
    """A Mercure subscriber with a token, and private updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How clients are held at a server, and how something is published to all of them."""

    client_port: int
    publish_port: int
    request: bytes
    """What a client sends."""
    publication: bytes
    """What a publisher sends."""
    message: bytes
    """What a client gets, chunks or frames taken off. `?` is any byte; around `{payload}` alone anything may stand."""
    payload_size: int
    depth: int = 1000
    """Publications that may be under way on one connection: 1 where the server takes no pipeline."""


def get(path: str, *headers: str) -> bytes:
    """Return a GET request for a stream of events."""
    head = (f"GET {path} HTTP/1.1", "Host: bench.example", "Accept: text/event-stream", *headers, "", "")
    return "\r\n".join(head).encode()


def upgrade(path: str) -> bytes:
    """Return a request for a WebSocket."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return get(path, "Upgrade: websocket", "Connection: Upgrade", key, "Sec-WebSocket-Version: 13")


def post(path: str, body: str | bytes, payload_size: int, *headers: str) -> bytes:
    """Return a POST request on a connection that stays, its length that of the body once it is filled in."""
    content = body.encode() if isinstance(body, str) else body
    growth = content.count(b"{payload}") * (payload_size - len("{payload}"))
    growth += content.count(b"{n}") * (NUMBER_SIZE - len("{n}"))
    length = f"Content-Length: {len(content) + growth}"
    head = (f"POST {path} HTTP/1.1", "Host: bench.example", "Connection: keep-alive", *headers, length, "", "")
    return "\r\n".join(head).encode() + content
