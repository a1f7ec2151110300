"""A backend that does what a test's script says, and remembers every byte it was sent.

A raw asyncio server, because a library would hide what the proxy really sends and would refuse to answer as
badly as real backends do. One connection serves many requests, so reuse by the proxy shows as
`Request.connection` and `Request.nth`.
"""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Self

from tests.support.answers import Answer, Ending, Script, Step, answer, text
from tests.support.http import Headers, Request, parse_request_line, values_of
from tests.support.patience import bounded

READ_LIMIT = 1 << 20
"""Longest head the backend takes, and the size of a read of a body that is not kept."""


class ScriptedBackend:
    """Use as `async with ScriptedBackend() as backend`; it listens from then on.

    `answers(path, first, second, ...)` scripts a path: each request takes the next answer, the last one
    stays. The path is compared with the request target up to `?`. Anything not scripted gets `default`.
    """

    def __init__(self, *, host: str = "127.0.0.1", default: Script | None = None) -> None:
        self.host = host
        self.port = 0
        self.default: Script = default if default is not None else hello
        self.requests: list[Request] = []
        """Every request that was read to its end, in the order of their ends."""
        self.accepted = 0
        """Connections accepted so far."""
        self._scripts: dict[bytes, list[Script]] = {}
        self._unread = asyncio.Queue[Request]()
        self._heads = asyncio.Queue[Request]()
        self._connections: dict[int, asyncio.Task[None]] = {}
        self._gone = asyncio.Condition()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`host:port`, as a route's target wants it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def named_address(self) -> str:
        """`localhost:port`: the same backend by name, which is where cookie jars would wake up."""
        return f"localhost:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Listen, on the same port as before if it has listened before."""
        server = await asyncio.start_server(self._accept, self.host, self.port, limit=READ_LIMIT, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self._server = server

    async def refuse(self) -> None:
        """Stop listening and cut every connection: from now on connecting is refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop_connections()

    def answers(self, path: str, *scripts: Script) -> None:
        """Script `path`: each request takes the next of `scripts`, the last one stays."""
        self._scripts[path.encode()] = list(scripts)

    async def request(self) -> Request:
        """Wait for the next request that was read to its end and was not returned before."""
        async with bounded():
            return await self._unread.get()

    async def request_head(self) -> Request:
        """Wait for the next head; its body, still on the way, reads as empty."""
        async with bounded():
            return await self._heads.get()

    def forget(self) -> None:
        """Forget what was recorded, so that the next `request` is one that comes from now on."""
        self.requests.clear()
        while not self._unread.empty():
            self._unread.get_nowait()
        while not self._heads.empty():
            self._heads.get_nowait()

    def requests_for(self, path: str) -> tuple[Request, ...]:
        """Return the recorded requests whose target, up to `?`, is `path`."""
        return tuple(request for request in self.requests if _path(request) == path.encode())

    async def drop_connections(self) -> None:
        """Close every connection, idle or not, and go on listening: the pool of the proxy is dead now."""
        for task in tuple(self._connections.values()):
            task.cancel()
        async with bounded(), self._gone:
            await self._gone.wait_for(lambda: not self._connections)

    async def disconnected(self, connection: int) -> None:
        """Wait until the connection of that number is gone."""
        async with bounded(), self._gone:
            await self._gone.wait_for(lambda: connection not in self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        number = self.accepted
        self._connections[number] = task
        try:
            await self._serve(reader, writer, number)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # The proxy left, or the test is over: both are ordinary ends of a connection.
        finally:
            writer.close()
            del self._connections[number]
            async with self._gone:
                self._gone.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        nth = 0
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            nth += 1
            method, target, version, headers = parse_request_line(head)
            request = Request(
                method=method, target=target, version=version, headers=headers,
                body=b"", body_length=0, connection=number, nth=nth,
            )  # fmt: skip
            self._heads.put_nowait(request)
            script = self._take_script(request)
            if isinstance(script, Answer) and script.early:
                ended = await _play(script.steps, writer, None)
                self._record(await _with_body(request, reader, writer, script))
            else:
                request = await _with_body(request, reader, writer, script if isinstance(script, Answer) else None)
                self._record(request)
                steps = (script if isinstance(script, Answer) else script(request)).steps
                ended = await _play(steps, writer, reader)
            if ended:
                return

    def _take_script(self, request: Request) -> Script:
        scripts = self._scripts.get(_path(request))
        if not scripts:
            return self.default
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    def _record(self, request: Request) -> None:
        self.requests.append(request)
        self._unread.put_nowait(request)


async def _play(steps: tuple[Step, ...], writer: asyncio.StreamWriter, reader: asyncio.StreamReader | None) -> bool:
    """Carry out `steps`; say whether the connection is over. With a `reader` a wait also ends when the proxy leaves."""
    for step in steps:
        if isinstance(step, asyncio.Event):
            await (step.wait() if reader is None else _wait_unless_gone(step, reader))
        elif isinstance(step, Ending):
            if step is Ending.RESET:
                writer.transport.abort()
            return True
        else:
            writer.write(step)
            await writer.drain()
    return False


async def _wait_unless_gone(event: asyncio.Event, reader: asyncio.StreamReader) -> None:
    """Wait for `event`. Raises ConnectionResetError when the proxy closes its connection meanwhile."""
    waiting = asyncio.create_task(event.wait())
    reading = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait((waiting, reading), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            assert not reading.result(), "the proxy sent a request behind one that was not answered"
            raise ConnectionResetError("the proxy closed its connection")
    finally:
        waiting.cancel()
        reading.cancel()
        await asyncio.wait((waiting, reading))


async def _with_body(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Answer | None
) -> Request:
    """Read the body as its framing says, and return the request with it."""
    if script is not None and script.body_gate is not None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: WriteTransport only
        await script.body_gate.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
    keep = script is None or script.keep_body
    if values_of(request.headers, b"expect") == (b"100-continue",):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    pieces, length = await _read_body(request.headers, reader, keep=keep)
    return Request(
        method=request.method, target=request.target, version=request.version, headers=request.headers,
        body=pieces, body_length=length, connection=request.connection, nth=request.nth,
    )  # fmt: skip


async def _read_body(headers: Headers, reader: asyncio.StreamReader, *, keep: bool) -> tuple[bytes, int]:
    kept = bytearray()
    total = 0
    if b"chunked" in b",".join(values_of(headers, b"transfer-encoding")).lower():
        while size := int(await reader.readuntil(b"\r\n"), 16):
            kept += await _read_exactly(size, reader, keep=keep)
            total += size
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    elif lengths := values_of(headers, b"content-length"):
        total = int(lengths[0])
        kept += await _read_exactly(total, reader, keep=keep)
    return bytes(kept), total


async def _read_exactly(size: int, reader: asyncio.StreamReader, *, keep: bool) -> bytes:
    if keep:
        return await reader.readexactly(size)
    while size:
        piece = await reader.read(min(size, READ_LIMIT))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(piece)
    return b""


def hello(request: Request) -> Answer:
    """Answer `hello`, and a HEAD as if it had been a GET."""
    greeting = text(b"hello\n")
    if request.method != b"HEAD":
        return greeting
    first = greeting.steps[0]
    assert isinstance(first, bytes)
    return answer(first.removesuffix(b"hello\n"))


def _path(request: Request) -> bytes:
    return request.target.partition(b"?")[0]


def closed_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nobody listens: bound once, so it is not somebody else's, and let go."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
