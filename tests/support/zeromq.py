"""Publishers and whoever else talks ZeroMQ to Holdfast: sockets on the test's loop, all gone at its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import zmq
import zmq.asyncio

from handlers.protocol.tnetstring import Encodable, Value, encode_tnetstring, parse_tnetstring
from tests.support.patience import bounded

Socket = zmq.asyncio.Socket


class ZeroMQPeer:
    """Makes sockets that connect to an endpoint."""

    def __init__(self, context: zmq.asyncio.Context) -> None:
        self._context = context
        self._sockets: list[Socket] = []

    def socket(self, kind: int, endpoint: str) -> Socket:
        """Return a socket that connects to `endpoint`."""
        socket = self._context.socket(kind)
        socket.linger = 0
        self._sockets.append(socket)
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect(endpoint)
        return socket

    async def push(self, endpoint: str, *messages: bytes | list[bytes]) -> None:
        """Send messages from a PUSH socket of their own."""
        socket = self.socket(zmq.PUSH, endpoint)
        async with bounded():
            for message in messages:
                await socket.send_multipart(message if isinstance(message, list) else [message])

    async def xpub(self, endpoint: str) -> Socket:
        """Return an XPUB socket to which the other side has subscribed."""
        socket = self.socket(zmq.XPUB, endpoint)
        async with bounded():
            assert await socket.recv() == b"\x01"
        return socket

    async def ask(self, endpoint: str, method: str, args: dict[str, Encodable] | None = None) -> Value:
        """Send a command from a REQ socket, and return the reply."""
        fields: dict[str, Encodable] = {"id": "1", "method": method}
        return await self.ask_bytes(endpoint, encode_tnetstring(fields if args is None else {**fields, "args": args}))

    async def ask_bytes(self, endpoint: str, request: bytes) -> Value:
        """Send these bytes from a REQ socket, and return the reply."""
        socket = self.socket(zmq.REQ, endpoint)
        async with bounded():
            await socket.send(request)
            reply, rest = parse_tnetstring(await socket.recv())
        assert rest == b""
        return reply

    def close(self) -> None:
        """Close all sockets."""
        for socket in self._sockets:
            socket.close(linger=0)


@asynccontextmanager
async def zeromq_peer() -> AsyncGenerator[ZeroMQPeer]:
    """Sockets for the time of the block."""
    context = zmq.asyncio.Context()
    peer = ZeroMQPeer(context)
    try:
        yield peer
    finally:
        peer.close()
        context.term()
