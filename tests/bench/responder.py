"""A bare uvloop responder: what an HTTP server in Python costs at least, and the ground the bench's backends stand on.

    python -m tests.bench.responder

Prints the port it listens on, and answers each request it sees the end of with the same 200.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def answer(content: bytes, *headers: bytes) -> bytes:
    """Return a 200 with this body."""
    head = b"".join(b"%b\r\n" % header for header in headers)
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(content), content)


class Responder(asyncio.Protocol):
    """Gives each request's body to `respond` and sends what it returns. Knows no chunked bodies."""

    def __init__(self, respond: Callable[[bytes], bytes]) -> None:
        self._respond = respond
        self._kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole, all in one write."""
        data = self._kept + data
        answers = []
        begin = 0
        while (head := data.find(b"\r\n\r\n", begin)) >= 0:
            length = LENGTH.search(data, begin, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(data) < end:
                break
            answers.append(self._respond(data[head + 4 : end]))
            begin = end
        self._kept = data[begin:]
        if answers:
            self._transport.write(b"".join(answers))


def serve(respond: Callable[[bytes], bytes]) -> None:
    """Listen on a free port of this machine, print it, and serve until killed."""
    uvloop.run(_serve(respond))


async def _serve(respond: Callable[[bytes], bytes]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Responder(respond), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    PUBLISHED = answer(b"Published\n", b"Content-Type: text/plain")
    serve(lambda body: PUBLISHED)
