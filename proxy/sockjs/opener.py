"""Opens SockJS sessions: each is one WebSocket to the backend, opened by `proxy.websocket` as any (reference 8.1)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from msgspec import structs

from handlers.settings import WebSocketSettings
from handlers.sockjs.session import Key, SockJsSession, SockJsSite
from handlers.sockjs.socket import SockJsSocket
from proxy.flow import Flow
from proxy.incoming import Incoming
from proxy.outgoing import shorten
from proxy.protocol.route import Target
from proxy.protocol.sockjs_path import backend_target
from proxy.sockjs.opening import OpeningExchange, handshake_head
from proxy.websocket import WebSockets

SOCKET = b"/websocket"
"""What the backend of a WebSocket finds behind SockJS's path, with SockJS frames in it or without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request that opens a session: who asks, and whom. `query` is what the backend gets of the request's."""

    flow: Flow
    targets: tuple[Target, ...]
    test: Target | None
    query: bytes


class Opener:
    """Opens sessions, any number at once. Raises as `WebSockets.serve` does."""

    def __init__(self, *, shared: SockJsSite, limits: WebSocketSettings, websockets: WebSockets) -> None:
        self._shared = shared
        self._limits = limits
        self._websockets = websockets

    async def open(self, wanted: Wanted, key: Key) -> SockJsSession | None:
        """Open a session that polls find by `key`; None when the backend has refused, and the client been told."""
        return await self._open(wanted, key=key, suffix=b"")

    async def open_socket(self, wanted: Wanted) -> None:
        """Open a session for a WebSocket with SockJS frames in it, and hold that."""
        session = await self._open(wanted, key=None, suffix=SOCKET)
        if session is None:
            return
        exchange = wanted.flow.exchange
        try:
            socket = SockJsSocket(of=session, limits=self._limits, transport=exchange.transport, label=wanted.flow.uri)
            exchange.hand_over(socket)
        except BaseException:
            session.abort()
            raise
        session.receive_by(socket)

    async def open_raw(self, wanted: Wanted) -> None:
        """Open a WebSocket without SockJS: only its path is another."""
        flow = structs.replace(wanted.flow, incoming=self._incoming(wanted, suffix=SOCKET))
        try:
            await self._websockets.serve(flow, wanted.targets, wanted.test)
        finally:
            note_target(wanted.flow, flow)

    async def _open(self, wanted: Wanted, *, key: Key | None, suffix: bytes) -> SockJsSession | None:
        incoming = self._incoming(wanted, suffix=suffix)
        client = wanted.flow.exchange
        session = SockJsSession(shared=self._shared, key=key, label=incoming.uri, extra=known_of(client.transport))
        exchange = OpeningExchange(client=client, session=session, head=handshake_head(client.head, incoming.path))
        flow = structs.replace(wanted.flow, exchange=exchange, incoming=incoming)
        try:
            await self._websockets.serve(flow, wanted.targets, wanted.test)
        finally:
            note_target(wanted.flow, flow)
            if not exchange.is_handed_over:
                session.discard()
        return session if exchange.is_handed_over else None

    @staticmethod
    def _incoming(wanted: Wanted, *, suffix: bytes) -> Incoming:
        incoming, route = wanted.flow.incoming, wanted.flow.route
        path = backend_target(route.sockjs.encode(), route.sockjs_as_path.encode(), wanted.query, suffix=suffix)
        scheme = "wss" if incoming.is_tls else "ws"
        uri = f"{scheme}://{incoming.authority.decode('latin-1')}{shorten(path)}"
        return structs.replace(incoming, path=path, uri=uri)


def known_of(client: asyncio.Transport) -> dict[str, object]:
    """Return what a session's transport knows of its client: where it is, and whether it has come by TLS."""
    is_tls = client.get_extra_info("ssl_object") is not None
    return {"peername": client.get_extra_info("peername"), "ssl_object": True if is_tls else None}


def note_target(flow: Flow, opened: Flow) -> None:
    """Have the log say where the session that a request has opened leads."""
    flow.target, flow.is_over_http = opened.target, opened.is_over_http
