"""The publish port: HTTP in, items out to the sink (reference 6.1).

Made by the composition root. Texts and codes are those publishers know from Pushpin; what is beyond it is keep-alive
for who asks, authorisation, `/metrics` and bounds on time. An answer of 200 says that the sink has the items. Nothing
here stores, orders or delivers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_writer import HttpVersion11
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest
from prometheus_client import CONTENT_TYPE_LATEST

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.errors import ItemError
from handlers.protocol.item_json import parse_publish
from handlers.protocol.items import Item
from handlers.timers import Clock, LoopClock
from publish_api.authorization import Authorization
from publish_api.connection import HEAD_TOO_LARGE, LENGTH_REQUIRED, PublishConnectionServer, PublishResponse
from publish_api.errors import AuthError, RequestRefused
from publish_api.mercure_port import PublishHub
from publish_api.protocol.accept import AnswerType, choose_type
from publish_api.settings import PublishSettings

BODILESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))
"""Methods that need no Content-Length."""

BACKLOG = 1024
"""Publishers that may wait to be accepted."""

STOP_SECONDS = 2.0
"""How long requests being served when the process stops may take."""

INCOMPLETE = RequestRefused(400, "Request body incomplete.")
"""The publisher is gone: nobody is left to read this, and the line in the log is what it is for."""

PUBLISHED = {AnswerType.TEXT: b"Published\n", AnswerType.JSON: b'{"message":"Published"}\n'}


class PublishSink(Protocol):
    """Where items go: the broker, or the bridge in front of it."""

    def publish(self, items: Sequence[Item]) -> Awaitable[None] | None:
        """Take the items in their order. Returns at once: None when they are delivered, else what to wait for.

        What it raises, then or later, is answered with 500.
        """


class PublishServer:
    """The server of the publish port. `start` once, then `stop` once, on the loop that is to serve it.

    `clock` is the process's, by default the running loop's. `metrics` gives what GET /metrics answers, in Prometheus'
    text format; without it the path is unknown. `hub` answers the Mercure hub's paths. Raises InvalidSetting for a
    token or key file that cannot be used.
    """

    def __init__(
        self,
        settings: PublishSettings,
        sink: PublishSink,
        *,
        counters: Counters,
        clock: Clock | None = None,
        metrics: Callable[[], bytes] | None = None,
        hub: PublishHub | None = None,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._counters = counters
        self._clock = clock or LoopClock(asyncio.get_running_loop())
        self._metrics = metrics
        self._hub = hub
        self._authorization = Authorization(settings)
        self._connections: PublishConnectionServer | None = None
        self._servers: list[asyncio.Server] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port publishers connect to; known once started."""
        if not self._servers:
            raise RuntimeError("the publish server is not started")
        host, port = self._servers[0].sockets[0].getsockname()[:2]
        return host, port

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve publishers who connect to `sockets`, which listen already and are the server's from now on."""
        self._connections = PublishConnectionServer(
            self._answer, self._settings, counters=self._counters, clock=self._clock
        )
        loop = asyncio.get_running_loop()
        self._servers = [await loop.create_server(self._connections, sock=sock, backlog=BACKLOG) for sock in sockets]

    async def stop(self) -> None:
        """Stop listening, close idle connections, and the others once answered or after STOP_SECONDS."""
        if self._connections is None:
            return
        for server in self._servers:
            server.close()
        self._connections.pre_shutdown()
        await self._connections.shutdown(STOP_SECONDS)

    async def _answer(self, request: BaseRequest) -> PublishResponse:
        """Answer a request, or its publisher's fault. Every other exception is the connection's to answer with 500."""
        try:
            return await self._route(request)
        except ItemError as error:
            return refuse(RequestRefused(400, error.text))
        except AuthError as error:
            return refuse(RequestRefused(401, error.text, ((b"WWW-Authenticate", error.challenge),)))
        except RequestRefused as error:
            return refuse(error)

    async def _route(self, request: BaseRequest) -> PublishResponse:
        # With the query string, and one slash at the end ignored, as the reference compares it.
        path = request.raw_path.removesuffix("/")
        self._check_head(request, length_needed=path != "/recover")
        hub = self._hub
        if hub is not None and hub.takes(path.partition("?")[0]):  # with its own limit of bodies
            return await hub.answer(request, self._read_body)
        if (request.content_length or 0) > self._settings.max_body:
            raise RequestRefused(400, "Request body too large.")
        if path == "/metrics" and self._metrics is not None:
            check_method(request, "GET", "HEAD")
            return PublishResponse(200, self._metrics(), content_type=CONTENT_TYPE_LATEST.encode())
        if path == "/publish":
            self._authorization.check(request.headers.get("Authorization"))
        answer_type = choose_type(request.headers.getall("Accept", []))
        if answer_type is None:
            raise RequestRefused(406, "Not Acceptable. Supported formats are text/plain and application/json.")
        match path:
            case "":
                # The name tools look for when they want to know whether a publish port is there.
                return PublishResponse(200, b"Pushpin API\n")
            case "/publish":
                check_method(request, "POST")
                return await self._publish(request, answer_type)
            case "/recover":
                check_method(request, "POST")
                raise RequestRefused(501, "Not supported yet: recover.")
            case _:
                raise RequestRefused(404, "Not Found")

    async def _publish(self, request: BaseRequest, answer_type: AnswerType) -> PublishResponse:
        items = parse_publish(await self._read_body(request))
        waiting = self._sink.publish(items)
        if waiting is not None:
            await waiting
        note = f" items={len(items)}"
        return PublishResponse(200, PUBLISHED[answer_type], content_type=answer_type.value, note=note)

    def _check_head(self, request: BaseRequest, *, length_needed: bool) -> None:
        """Refuse what the reference refuses before it looks at the path. Raises RequestRefused."""
        lines = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if lines + len(request.method) + len(request.raw_path) + len("  HTTP/1.1\r\n\r\n") > self._settings.max_head:
            raise HEAD_TOO_LARGE
        length = request.content_length
        is_unframed = length is None and length_needed and request.method not in BODILESS
        if is_unframed or "Transfer-Encoding" in request.headers:
            raise LENGTH_REQUIRED

    async def _read_body(self, request: BaseRequest) -> bytes:
        """Return the body, whose length is known and allowed. Raises RequestRefused when it does not come."""
        expects = request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11
        if expects and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with Deadline(self._clock, self._settings.request_timeout):
                body = await request.content.read()
        except TimeoutError as error:
            raise RequestRefused(408, "Request body not received in time.") from error
        except (ConnectionError, HttpProcessingError, RequestPayloadError) as error:
            raise INCOMPLETE from error
        if len(body) < (request.content_length or 0):
            raise INCOMPLETE
        return body


def check_method(request: BaseRequest, *allowed: str) -> None:
    """Raise RequestRefused unless the request's method is one of `allowed`."""
    if request.method not in allowed:
        allow = ", ".join(allowed).encode()
        raise RequestRefused(405, f"Method not allowed: {request.method}.", ((b"Allow", allow),))


def refuse(error: RequestRefused) -> PublishResponse:
    """Return the answer to a request that is not served."""
    body = f"{error.text}\n".encode()
    return PublishResponse(error.status, body, headers=error.headers, note=f" error={error.text!r}")
