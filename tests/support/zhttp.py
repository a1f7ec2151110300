"""Workers of ZHTTP targets, as an operator writes them: real sockets, and somebody else's codec of tagged netstrings.

Nothing of Holdfast's own is used here but where its sockets are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import tnetstring
import zmq
import zmq.asyncio

from tests.support.app_process import WORKERS, AppProcess
from tests.support.patience import bounded

Message = dict[bytes, Any]

QUIET_MILLISECONDS = 200
"""How long a worker with something to wait for is quiet until it is said that nothing comes."""


class StreamWorker:
    """A worker of a `zhttp/` target at `ipc://BASE`: PULL, ROUTER and XPUB, which knows when it is subscribed to.

    It serves all workers of the Holdfast, which is `app`: a request that had to wait for it comes a moment of the app's
    clock later.
    """

    def __init__(self, app: AppProcess, context: zmq.asyncio.Context, base: str, name: bytes) -> None:
        self.name = name
        self._app = app
        self._seqs: dict[bytes, int] = {}
        self._old: set[bytes] = set()
        self._answers = context.socket(zmq.XPUB)
        self._later = context.socket(zmq.ROUTER)
        self._later.identity = name
        self._first = context.socket(zmq.PULL)
        self._base = base

    async def begin(self) -> None:
        """Connect, the socket for requests last."""
        for endpoint in places(f"ipc://{self._base}"):
            self._answers.connect(f"{endpoint}-in")
            self._later.connect(f"{endpoint}-out-stream")
            async with bounded():
                assert (await self._answers.recv()).startswith(b"\x01")
        for endpoint in places(f"ipc://{self._base}"):
            self._first.connect(f"{endpoint}-out")

    def forget(self) -> None:
        """Have no more to do with the requests so far."""
        self._old |= self._seqs.keys()

    async def request(self) -> Message:
        """Wait for the next first message."""
        request = _decode(await _first_of(self._first, self._app))
        self._seqs[request[b"id"]] = 0
        return request

    async def later(self, kind: bytes = b"") -> Message:
        """Wait for the next later message, which must be of this type."""
        async with bounded():
            message = _decode((await self._later.recv_multipart())[-1])
            while message[b"id"] in self._old:
                message = _decode((await self._later.recv_multipart())[-1])
        assert message.get(b"type", b"") == kind, message
        return message

    async def later_if_any(self, kind: bytes) -> Message | None:
        """Return the next later message; None when none comes, the other side having nothing to send for."""
        return await self.later(kind) if await self._later.poll(QUIET_MILLISECONDS) else None

    def take_over(self, other: StreamWorker, request: Message) -> None:
        """Go on with a request where another worker was."""
        self._seqs[request[b"id"]] = other._seqs[request[b"id"]]

    async def send(self, request: Message, **fields: Any) -> None:
        """Send a message about a request, numbered."""
        seq = self._seqs[request[b"id"]]
        self._seqs[request[b"id"]] = seq + 1
        await self.send_raw(request[b"from"], {"from": self.name, "id": request[b"id"], "seq": seq, **fields})

    async def send_raw(self, address: bytes, fields: dict[str, Any]) -> None:
        """Send exactly this by PUB."""
        async with bounded():
            await self._answers.send(address + b" T" + tnetstring.dumps(_named(fields)))

    async def send_by_router(self, request: Message, **fields: Any) -> None:
        """Send a message about a request the other way: on the socket that later messages come in on."""
        message = {"from": self.name, "id": request[b"id"], "seq": 0, **fields}
        async with bounded():
            data = b"T" + tnetstring.dumps(_named(message))
            await self._later.send_multipart([request[b"from"], b"", data])

    async def send_bytes(self, address: bytes, data: bytes) -> None:
        """Send bytes that may be anything."""
        async with bounded():
            await self._answers.send(address + b" " + data)

    async def answer(self, request: Message, body: bytes, *headers: tuple[bytes, bytes], code: int = 200) -> None:
        """Answer a request in one message."""
        await self.send(request, code=code, reason=b"OK", headers=[list(pair) for pair in headers], body=body)

    def close(self) -> None:
        """Go away."""
        for socket in (self._first, self._later, self._answers):
            socket.close(linger=0)


class WholeWorker:
    """A worker of a `zhttpreq/` target: one REP socket."""

    def __init__(self, app: AppProcess, context: zmq.asyncio.Context, endpoint: str) -> None:
        self._app = app
        self._socket = context.socket(zmq.REP)
        for place in places(endpoint):
            self._socket.connect(place)

    async def request(self) -> Message:
        """Wait for the next request."""
        return _decode(await _first_of(self._socket, self._app))

    async def send(self, **fields: Any) -> None:
        """Send a reply of exactly these members."""
        async with bounded():
            await self._socket.send(b"T" + tnetstring.dumps(_named(fields)))

    async def answer(self, request: Message, body: bytes, *headers: tuple[bytes, bytes], code: int = 200) -> None:
        """Answer a request."""
        lines = [list(pair) for pair in headers]
        await self.send(id=request[b"id"], code=code, reason=b"OK", headers=lines, body=body)

    def close(self) -> None:
        """Go away."""
        self._socket.close(linger=0)


@asynccontextmanager
async def stream_worker(app: AppProcess, base: str, name: bytes = b"worker") -> AsyncGenerator[StreamWorker]:
    """A worker that is connected and heard, for the time of the block.

    Where one is closed and another opened at once, a request may still go to the first, and be lost with it.
    """
    context = zmq.asyncio.Context()
    worker = StreamWorker(app, context, base, name)
    try:
        await worker.begin()
        yield worker
    finally:
        worker.close()
        context.term()


@asynccontextmanager
async def whole_worker(app: AppProcess, endpoint: str) -> AsyncGenerator[WholeWorker]:
    """A worker for the time of the block."""
    context = zmq.asyncio.Context()
    worker = WholeWorker(app, context, endpoint)
    try:
        yield worker
    finally:
        worker.close()
        context.term()


def places(endpoint: str) -> list[str]:
    """Return where the processes of a Holdfast under test have what the routes call by this `ipc://` endpoint."""
    return [endpoint] if WORKERS == 1 else [f"{endpoint}-{number}" for number in range(WORKERS)]


def header_of(request: Message, name: bytes) -> list[bytes]:
    """Return the values of a header of a request."""
    return [value for key, value in request[b"headers"] if key.lower() == name]


async def _first_of(socket: zmq.asyncio.Socket, app: AppProcess) -> bytes:
    """Wait for a message, and turn the clock a little while none comes: whoever waited for a worker waits on."""
    async with bounded():
        while not await socket.poll(QUIET_MILLISECONDS):
            await app.advance(0.1)
        data: bytes = await socket.recv()
        return data


def _decode(data: bytes) -> Message:
    assert data[:1] == b"T"
    message = tnetstring.loads(data[1:])
    assert isinstance(message, dict)
    return message


def _named(fields: dict[str, Any]) -> dict[bytes, Any]:
    return {name.replace("_", "-").encode(): _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    """Return text as bytes: the codec takes no other."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    return value
