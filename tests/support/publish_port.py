"""A publish port on a free port, a sink that remembers, and a publisher that sends exactly the bytes it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from handlers.counters import Counters
from handlers.protocol.address import Address
from handlers.protocol.items import Item
from handlers.timers import Clock
from proxy.listening import SocketOptions, listen
from publish_api.control import Surveyor
from publish_api.http import PublishServer
from publish_api.settings import PublishSettings
from publish_api.site import HubPort


class ListSink:
    """Keeps what was published, and how many items came with each call. Raises `failure` instead when it is set."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.calls: list[int] = []
        self.failure: Exception | None = None

    def publish(self, items: Sequence[Item]) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append(len(items))
        self.items.extend(items)


class PublishPort:
    """A running publish port."""

    def __init__(self, server: PublishServer, sink: ListSink) -> None:
        self.server = server
        self.sink = sink

    @property
    def url(self) -> str:
        host, port = self.server.address
        return f"http://{host}:{port}"

    async def send(self, *pieces: bytes, half_close: bool = False) -> bytes:
        """Send `pieces` on a new connection, each in a segment of its own; return all that comes until it closes."""
        reader, writer = await asyncio.open_connection(*self.server.address)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if half_close:
                writer.write_eof()
            return await reader.read()
        finally:
            writer.close()

    async def publish(self, body: bytes, *headers: str, path: str = "/publish/", method: str = "POST") -> bytes:
        """Send one request; return the answer."""
        return await self.send(request(body, *headers, path=path, method=method))


def request(body: bytes | None, *headers: str, path: str = "/publish/", method: str = "POST") -> bytes:
    """Return an HTTP/1.1 request; without a body there is no Content-Length."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


@asynccontextmanager
async def publish_port(
    settings: PublishSettings | None = None,
    *,
    clock: Clock | None = None,
    metrics: Callable[[], bytes] | None = None,
    hub: HubPort | None = None,
    recover: Callable[[], None] | None = None,
    surveyor: Surveyor | None = None,
) -> AsyncGenerator[PublishPort]:
    """Run a publish port on a free port of 127.0.0.1."""
    sink = ListSink()
    server = PublishServer(
        settings or PublishSettings(),
        sink,
        counters=Counters(),
        clock=clock,
        metrics=metrics,
        hub=hub,
        recover=recover,
        surveyor=surveyor,
        joins=True,
    )
    await server.start(listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=100)))
    try:
        yield PublishPort(server, sink)
    finally:
        await server.stop()
