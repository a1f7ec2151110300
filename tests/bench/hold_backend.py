"""A backend that has every request held on one channel: WebSockets (over HTTP) as such, all else as streams of events.

    python -m tests.bench.hold_backend

Prints the port it listens on. For servers that need a backend to hold anything; Holdfast has the `test` target.
"""

from __future__ import annotations

from tests.bench.responder import answer, serve

CHANNEL = b"bench"
SUBSCRIBE = b'c:{"type":"subscribe","channel":"%b"}' % CHANNEL

STREAM = answer(b"", b"Content-Type: text/event-stream", b"Grip-Hold: stream", b"Grip-Channel: " + CHANNEL)
WEBSOCKET = answer(
    b"OPEN\r\nTEXT %x\r\n%b\r\n" % (len(SUBSCRIBE), SUBSCRIBE),
    b"Content-Type: application/websocket-events",
    b'Sec-WebSocket-Extensions: grip; message-prefix=""',
)


def hold(body: bytes) -> bytes:
    """Return the answer to a request with this body."""
    return WEBSOCKET if body.startswith(b"OPEN\r\n") else STREAM


if __name__ == "__main__":
    serve(hold)
