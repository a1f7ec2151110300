"""A backend of WebSocket-over-HTTP that accepts every WebSocket and sends each message back.

    python -m tests.bench.echo_backend

Prints the port it listens on. It answers with the events it got, be it the opening, messages or the close; it does not
turn on GRIP, so messages need no prefix.
"""

from __future__ import annotations

from tests.bench.responder import answer, serve

EVENTS = b"Content-Type: application/websocket-events"
GONE = b"DISCONNECT\r\n"


def echo(events: bytes) -> bytes:
    """Return the answer to a request with `events`."""
    return answer(b"" if events == GONE else events, EVENTS)


if __name__ == "__main__":
    serve(echo)
