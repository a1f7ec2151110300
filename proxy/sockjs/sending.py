"""Takes what SockJS clients send by requests (`xhr_send`, `jsonp_send`), of each session one at a time.

While the backend is busy, or has not accepted yet, a request waits. Whatever does not reach it is not said to be taken.
"""

from __future__ import annotations

import asyncio

from handlers.counters import Counters
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import header_values
from handlers.protocol.sockjs import PayloadError, parse_payload
from handlers.settings import WebSocketSettings
from handlers.sockjs.session import SockJsSession
from proxy.exchange import Exchange
from proxy.protocol.sockjs_answer import NOT_FOUND, TEXT, make_answer, own_headers, text_answer
from proxy.protocol.sockjs_path import Send, find_field

ALREADY_SENDING = "Already sending"
REQUEST_TOO_LARGE = "Request too large."

FORM = b"application/x-www-form-urlencoded"
FIELD = b"d"


class Sending:
    """Serves any number of requests at once; of one session one at a time waits for the backend."""

    def __init__(self, *, limits: WebSocketSettings, counters: Counters) -> None:
        """A request may be as long as a WebSocket frame, each message in it as long as a message over HTTP."""
        self._limits = limits
        self._counters = counters
        self._served: set[SockJsSession] = set()
        """Those that a request with messages waits for."""

    async def serve(self, exchange: Exchange, said: Send, session: SockJsSession | None, query: bytes) -> None:
        """Answer once the backend takes more. Raises RequestBodyError."""
        if session is None or session.is_over:
            self._refuse(exchange, 404, NOT_FOUND)
            return
        payload = await self._read(exchange, said, query)
        if payload is None:
            self._refuse(exchange, 400, REQUEST_TOO_LARGE)
        elif session in self._served:
            self._refuse(exchange, 400, ALREADY_SENDING)
        else:
            await self._send(exchange, said, session, payload)

    async def _send(self, exchange: Exchange, said: Send, session: SockJsSession, payload: bytes) -> None:
        try:
            messages = parse_payload(payload, limit=self._limits.message_limit)
        except PayloadError as error:
            self._refuse(exchange, 400, str(error))
            return
        self._served.add(session)
        try:
            await has_room(session)
            if not session.is_over:
                session.say(messages)
                await has_room(session)
        finally:
            self._served.discard(session)
        if session.is_over:
            self._refuse(exchange, 404, NOT_FOUND)
        else:
            exchange.answer(taken(exchange, said))

    async def _read(self, exchange: Exchange, said: Send, query: bytes) -> bytes | None:
        """Return the JSON that was sent; None where it is too much."""
        if exchange.head.method == b"GET":
            return find_field(query, FIELD)
        body = await self.read_body(exchange)
        if body is None:
            return None
        content_types = header_values(exchange.head.headers, b"content-type")
        is_form = any(each.lower().startswith(FORM) for each in content_types) or body.startswith(FIELD + b"=")
        return find_field(body, FIELD) if said.is_form and is_form else body

    async def read_body(self, exchange: Exchange) -> bytes | None:
        """Return a request's body; None where it is too long. Raises RequestBodyError."""
        if exchange.head.expects_continue:
            exchange.send_continue()
        pieces = bytearray()
        async for piece in exchange.body.chunks():
            pieces += piece
            if len(pieces) > self._limits.frame_limit:
                return None
        return bytes(pieces)

    def _refuse(self, exchange: Exchange, status: int, text: str) -> None:
        self._counters.requests_refused += 1
        exchange.answer(text_answer(status, text, exchange.head.headers))


async def has_room(session: SockJsSession) -> None:
    """Wait until the backend takes more, or the session is over."""
    while session.is_full:
        room = asyncio.Event()
        session.when_room(room.set)
        try:
            await room.wait()
        finally:
            session.no_longer(room.set)


def taken(exchange: Exchange, said: Send) -> Answer:
    """Return the answer to what was taken."""
    headers = ((b"Content-Type", TEXT), *own_headers(exchange.head.headers))
    return make_answer(200, b"ok", headers) if said.is_form else make_answer(204, b"", headers)
