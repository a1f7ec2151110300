"""A backend that speaks WebSocket itself: each connection is an end in the test's hands, frame by frame."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from websockets.utils import accept_key

from tests.support.http import Request, parse_request_line
from tests.support.patience import bounded
from tests.support.websocket import WsClient


class WsPeer(WsClient):
    """The backend's end of one connection. `shake` first."""

    is_server = True
    request: Request

    async def shake(self, *behind: bytes, headers: Iterable[tuple[str, str]] = (), accept: str | None = None) -> Self:
        """Take the handshake, and answer with a 101 that has `behind` in the same piece."""
        await self.asked()
        key = self.request.values(b"sec-websocket-key")[0].decode()
        await self.send(switch(accept or accept_key(key), headers) + b"".join(behind))
        return self

    async def asked(self) -> Request:
        """Read the handshake, and leave it to the test to answer."""
        method, target, version, headers = parse_request_line(await self.read_until(b"\r\n\r\n"))
        self.request = Request(
            method=method, target=target, version=version, headers=headers,
            body=b"", body_length=0, connection=0, nth=1,
        )  # fmt: skip
        return self.request


class WsBackend:
    """Listens. Connections wait in the kernel until the test takes them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._peers: list[WsPeer] = []

    @property
    def address(self) -> str:
        """`host:port`, as a route's target wants it."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for peer in self._peers:
            peer.close()

    async def accept(self, *, receive_buffer: int | None = None) -> WsPeer:
        """Take the next connection. `receive_buffer` bounds what the kernel takes for a peer that does not read."""
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        async with bounded():
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = WsPeer(connection)
        self._peers.append(peer)
        return peer

    async def shake(self, *behind: bytes, headers: Iterable[tuple[str, str]] = ()) -> WsPeer:
        """Take the next connection and its handshake."""
        return await (await self.accept()).shake(*behind, headers=headers)


def switch(accept: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Spell out a 101."""
    pairs = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept), *headers]
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines).encode()
