"""A client of raw bytes: what arrives is seen as it arrives, chunk borders included.

Built on the socket calls of the loop instead of asyncio streams: a client that is not being read takes nothing
from its socket, so "stops reading" needs no tricks, and `pending` can say that nothing has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from tests.support.http import Response, ResponseHead, parse_response_head
from tests.support.patience import bounded
from tests.support.turns import settle

READ_SIZE = 1 << 16
STUCK_AFTER = 100
"""Refused writes, with the loop turned in between, after which nobody is taken to read."""


class RawClient:
    """One connection. Use as `async with await RawClient.connect(address) as client`."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray()
        self.at_eof = False

    @classmethod
    async def connect(cls, address: tuple[str, int], *, receive_buffer: int | None = None) -> Self:
        """Connect. `receive_buffer` bounds what the kernel takes for a client that does not read."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            async with bounded():
                await asyncio.get_running_loop().sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def local_port(self) -> int:
        """The port this client connects from."""
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        """Close with FIN; harmless when it is closed already."""
        self._socket.close()

    def reset(self) -> None:
        """Close with RST, as a client that crashed or whose NAT forgot it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    async def send(self, data: bytes) -> None:
        """Write all of `data`."""
        async with bounded():
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def send_as_far_as_taken(self, data: bytes) -> None:
        """Write `data`; that the peer closes before it has it all, having refused it, is no error."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self.send(data)

    async def stuff(self, data: bytes, *, at_most: int) -> int:
        """Write `data` over and over until nobody takes any more; return how many bytes were taken.

        For an app in this process. More than `at_most` is a failure: somebody reads what nobody waits for.
        """
        taken = refused = 0
        while refused < STUCK_AFTER:
            try:
                taken += self._socket.send(data[taken % len(data) :])
                refused = 0
            except BlockingIOError:
                refused += 1
                await settle()
            assert taken <= at_most, f"{taken} bytes were taken"
        return taken

    async def send_request(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        host: str | None = "example.com",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> None:
        """Send one HTTP/1.1 request; a body goes with its Content-Length. `host=None` leaves Host out."""
        await self.send(encode_request(target, method=method, host=host, headers=headers, body=body))

    async def fetch(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        host: str | None = "example.com",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Response:
        """Send one request and read its whole answer."""
        await self.send_request(target, method=method, host=host, headers=headers, body=body)
        return await self.response(method=method)

    async def response(self, *, method: str = "GET") -> Response:
        """Read one whole answer to a `method` request."""
        head = await self.head()
        return Response(head=head, body=await self.body(head, method=method))

    async def head(self) -> ResponseHead:
        """Read one response head."""
        return parse_response_head(await self.read_until(b"\r\n\r\n"))

    async def body(self, head: ResponseHead, *, method: str = "GET") -> bytes:
        """Read the body that follows `head`, by its framing (RFC 9112 section 6.3)."""
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            return b""
        if head.is_chunked():
            pieces = []
            while piece := await self.chunk():
                pieces.append(piece)
            return b"".join(pieces)
        length = head.length()
        return await self.until_closed() if length is None else await self.read_exactly(length)

    async def chunk(self) -> bytes:
        """Read one chunk, as it was framed. The last chunk reads as b"" (trailers are not expected)."""
        size = int(await self.read_until(b"\r\n"), 16)
        data = await self.read_exactly(size + 2)
        assert data.endswith(b"\r\n"), f"a chunk of {size} bytes does not end in CRLF: {data[-40:]!r}"
        return data[:-2]

    async def read_until(self, marker: bytes) -> bytes:
        """Read up to and with `marker`."""
        async with bounded():
            searched = 0
            while (found := self._buffer.find(marker, searched)) < 0:
                searched = max(0, len(self._buffer) - len(marker) + 1)
                await self._more(f"waiting for {marker!r}")
            return self._take(found + len(marker))

    async def read_exactly(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        async with bounded():
            while len(self._buffer) < size:
                await self._more(f"waiting for {size} bytes")
            return self._take(size)

    async def until_closed(self) -> bytes:
        """Read what comes until the peer closes; ConnectionResetError if it resets."""
        async with bounded():
            while not self.at_eof:
                await self._receive()
            return self._take(len(self._buffer))

    async def until_cut(self) -> bytes:
        """Read what comes until the peer closes or resets, whichever."""
        try:
            return await self.until_closed()
        except ConnectionResetError:
            self.at_eof = True
            return self._take(len(self._buffer))

    def pending(self) -> bytes:
        """Return what has arrived and was not read, without waiting.

        It says something only after a barrier: something sent by the app after what must not come, and
        already received (by another client, say). Local sockets deliver in the order of the writes.
        """
        try:
            while not self.at_eof:
                data = self._socket.recv(READ_SIZE)
                self._buffer += data
                self.at_eof = not data
        except BlockingIOError:
            pass
        return bytes(self._buffer)

    async def skip(self, size: int) -> None:
        """Read `size` bytes and forget them as they come (100 MB downloads)."""
        async with bounded():
            left = size - len(self._take(min(size, len(self._buffer))))
            while left:
                data = await asyncio.get_running_loop().sock_recv(self._socket, min(left, READ_SIZE))
                if not data:
                    raise EOFError(f"the peer closed with {left} of {size} bytes to come")
                left -= len(data)

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _more(self, doing: str) -> None:
        await self._receive()
        if self.at_eof:
            raise EOFError(f"the peer closed while {doing}; unread: {bytes(self._buffer[-400:])!r}")

    async def _receive(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, READ_SIZE)
        self._buffer += data
        self.at_eof = not data


@asynccontextmanager
async def crowd(
    address: tuple[str, int], count: int, *, receive_buffer: int | None = None
) -> AsyncIterator[list[RawClient]]:
    """Connect `count` clients, and close those that are left at the end."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(count):
            client = await RawClient.connect(address, receive_buffer=receive_buffer)
            clients.append(await stack.enter_async_context(client))
        yield clients


def encode_request(
    target: str,
    *,
    method: str = "GET",
    host: str | None = "example.com",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    version: str = "1.1",
) -> bytes:
    """Spell out one request."""
    pairs = [] if host is None else [("Host", host)]
    pairs.extend(headers)
    if body is not None:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines).encode() + (body or b"")
