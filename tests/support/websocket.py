"""A WebSocket client that does only what it is told: no pong, no echo of a close, any bytes as frames.

On top of `RawClient`, with frames parsed and written by the `websockets` library, not by what is tested.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Self

from websockets.extensions import Extension
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader
from websockets.utils import accept_key

from tests.support.client import RawClient
from tests.support.http import Response, ResponseHead

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class WsClient(RawClient):
    """One connection, HTTP until `open` has succeeded."""

    extensions: Sequence[Extension] = ()
    is_server = False
    """Whether it is the other end, which reads masked frames and sends plain ones."""
    answer: ResponseHead

    async def open(
        self, target: str = "/", *, headers: Iterable[tuple[str, str]] = (), host: str = "example.com"
    ) -> Self:
        """Shake hands; the answer must be a right 101, and is kept as `answer`."""
        refused = await self.ask(target, headers=headers, host=host)
        assert refused is None, f"refused: {refused}"
        return self

    async def ask(
        self, target: str = "/", *, headers: Iterable[tuple[str, str]] = (), host: str = "example.com"
    ) -> Response | None:
        """Shake hands; return the answer of whoever refuses."""
        await self.send_request(target, host=host, headers=[*handshake(), *headers])
        head = await self.head()
        if head.status != 101:
            return Response(head=head, body=await self.body(head))
        assert head.values(b"sec-websocket-accept") == (accept_key(KEY).encode(),)
        self.answer = head
        return None

    async def say(self, text: str) -> None:
        """Send a text message."""
        await self.put(Frame(Opcode.TEXT, text.encode()))

    async def put(self, *frames: Frame) -> None:
        """Send frames, in one piece."""
        await self.send(
            b"".join(frame.serialize(mask=not self.is_server, extensions=self.extensions) for frame in frames)
        )

    async def put_close(self, code: int | None = None, reason: str = "") -> None:
        """Send a close frame."""
        await self.put(Frame(Opcode.CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode()))

    async def frame(self) -> Frame:
        """Read the next frame, its data as bytes."""
        reader = StreamReader()
        parser = Frame.parse(reader.read_exact, mask=self.is_server, extensions=self.extensions)
        while True:
            try:
                next(parser)
            except StopIteration as done:
                frame: Frame = done.value
                self._buffer[:0] = reader.buffer
                return Frame(frame.opcode, bytes(frame.data), frame.fin, frame.rsv1)
            if not self._buffer:
                await self._more("waiting for a frame")
            reader.feed_data(self._take(len(self._buffer)))

    async def heard(self) -> str:
        """Read the next frame, which must be a whole text message."""
        frame = await self.frame()
        assert (frame.opcode, frame.fin) == (Opcode.TEXT, True), frame
        return bytes(frame.data).decode()

    async def closed(self) -> Close:
        """Read the next frame, which must be a close."""
        frame = await self.frame()
        assert frame.opcode is Opcode.CLOSE, frame
        return Close.parse(bytes(frame.data))


def handshake() -> list[tuple[str, str]]:
    """Return the headers that ask for a WebSocket."""
    return [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ]


@asynccontextmanager
async def websocket(
    address: tuple[str, int], target: str = "/", *, headers: Iterable[tuple[str, str]] = (), host: str = "example.com"
) -> AsyncIterator[WsClient]:
    """Connect and open."""
    async with await WsClient.connect(address) as client:
        yield await client.open(target, headers=headers, host=host)
