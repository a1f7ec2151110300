"""What a backend of WebSocket-over-HTTP answers, spelled out: events, control messages, and the answer around them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.support.answers import Answer, text
from tests.support.http import Request

TYPE = "application/websocket-events"
OPEN = b"OPEN\r\n"


def event(name: str, content: bytes | str = b"") -> bytes:
    """Spell out one event."""
    data = content.encode() if isinstance(content, str) else content
    return b"%b %x\r\n%b\r\n" % (name.encode(), len(data), data) if data else name.encode() + b"\r\n"


def message(content: str) -> bytes:
    """A text message for the client, with the prefix that GRIP wants."""
    return event("TEXT", f"m:{content}")


def control(kind: str, **fields: object) -> bytes:
    """A control message; underscores in names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return event("TEXT", "c:" + json.dumps({"type": kind, **named}))


def events(*parts: bytes, headers: Iterable[tuple[str, str]] = (), extension: str | None = "grip") -> Answer:
    """Answer with these events."""
    pairs = [("Content-Type", TYPE), *headers]
    if extension is not None:
        pairs.append(("Sec-WebSocket-Extensions", extension))
    return text(b"".join(parts), headers=tuple((name.encode(), value.encode()) for name, value in pairs))


def echo(request: Request) -> Answer:
    """Accept, and send every text back with the prefix, pings as pongs and a close as it is."""
    if request.body == OPEN:
        return events(OPEN)
    answered = []
    for name, content in parsed(request.body):
        match name:
            case "TEXT" | "BINARY":
                answered.append(event(name, b"m:" + content))
            case "PING":
                answered.append(event("PONG", content))
            case "CLOSE":
                answered.append(event("CLOSE", content))
            case _:
                pass
    return events(*answered)


def parsed(body: bytes) -> list[tuple[str, bytes]]:
    """Take a request's body apart."""
    found = []
    while body:
        line, _, body = body.partition(b"\r\n")
        name, _, size = line.decode().partition(" ")
        content = b""
        if size:
            content, body = body[: int(size, 16)], body[int(size, 16) + 2 :]
        found.append((name, content))
    return found
