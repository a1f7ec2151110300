"""The floor: a C program that sends the bytes Holdfast's clients get, and does nothing else (native/floor.c)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.build import build
from tests.bench.servers import holdfast
from tests.bench.servers.process import Server, read_ports, running
from tests.bench.servers.way import CONTENT_SIZE, STREAM_PAYLOAD, Kind, Way, get, post, upgrade

EVENT_ID = b"urn:uuid:00000000-0000-7000-8000-000000000000"


@contextmanager
def start() -> Iterator[Server]:
    """Run it."""
    with running([build("floor")]) as process:
        client_port, publish_port = read_ports(process)
        yield Server(name="floor", pid=process.pid, ways=ways(client_port, publish_port))


def ways(client_port: int, publish_port: int) -> dict[Kind, Way]:
    """Return its ways; what is published is sent as it is, so it has its framing already."""

    def way(request: bytes, message: bytes, framed: bytes, payload_size: int) -> Way:
        return Way(
            client_port=client_port,
            publish_port=publish_port,
            request=request,
            message=message,
            publication=post("/", framed, payload_size),
            payload_size=payload_size,
        )

    update = b"id: %b\ndata: {payload}\n\n" % EVENT_ID
    update_size = len(update) - len("{payload}") + CONTENT_SIZE
    frame_head = b"\x81\x7e" + CONTENT_SIZE.to_bytes(2, "big")
    return {
        Kind.STREAM: way(get("/"), holdfast.EVENT, chunk(holdfast.EVENT, CONTENT_SIZE), STREAM_PAYLOAD),
        Kind.MERCURE: way(get("/"), holdfast.UPDATE, chunk(update, update_size), CONTENT_SIZE),
        Kind.WEBSOCKET: way(upgrade("/"), b"{payload}", frame_head + b"{payload}", CONTENT_SIZE),
    }


def chunk(content: bytes, size: int) -> bytes:
    """Return a chunk whose content will be `size` bytes."""
    return b"%x\r\n%b\r\n" % (size, content)
