"""Debian's Pushpin in front of a backend that has every request held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.bench import rate_servers
from tests.bench.servers import holdfast
from tests.bench.servers.process import Server, ServerError
from tests.bench.servers.way import CONTENT_SIZE, STREAM_PAYLOAD, Kind, Way, get, upgrade


@contextmanager
def start() -> Iterator[Server]:
    """Run it and its backend."""
    with (
        rate_servers.module("hold_backend") as backend,
        rate_servers.pushpin(f"* 127.0.0.1:{backend.port},over_http") as pushpin,
    ):
        if pushpin is None:
            raise ServerError("not installed")
        yield Server(name="pushpin", pid=pushpin.pid, ways=ways(pushpin.port, pushpin.publish_port))


def ways(client_port: int, publish_port: int) -> Mapping[Kind, Way]:
    """Return how it holds and publishes: its publish port closes after each answer."""

    def way(request: bytes, format_name: str, content: str, payload_size: int) -> Way:
        return Way(
            client_port=client_port,
            publish_port=publish_port,
            request=request,
            message=b"{payload}",
            publication=holdfast.publish_item(format_name, content, payload_size),
            payload_size=payload_size,
            depth=1,
        )

    return {
        Kind.STREAM: way(get("/stream"), "http-stream", "data: {payload}\\n\\n", STREAM_PAYLOAD),
        Kind.WEBSOCKET: way(upgrade("/socket"), "ws-message", "{payload}", CONTENT_SIZE),
    }
