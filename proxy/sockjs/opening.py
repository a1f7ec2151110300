"""The handshake of a WebSocket that no client has sent, for a SockJS session to be opened with.

`proxy.websocket` opens it as any other, asking this in place of the client's exchange: the backend's refusal goes to
the client that waits, and its acceptance to the session.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from dataclasses import replace

from msgspec import structs

from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers, without_headers
from handlers.session import Session
from handlers.sockjs.session import SockJsSession
from proxy.exchange import Exchange
from proxy.incoming import Repetition
from proxy.protocol.framing import RequestHead
from proxy.protocol.sockjs_answer import cross_origin_headers
from proxy.request_body import NO_BODY

# Of the request that opens the session, not of the session; and what a handshake has of its own.
_NOT_PASSED = frozenset(
    (
        b"accept",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"if-modified-since",
        b"if-none-match",
        b"last-event-id",
        b"sec-websocket-extensions",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    )
)
KEY_BYTES = 16


def handshake_head(head: RequestHead, target: bytes) -> RequestHead:
    """Return the head of a WebSocket's handshake for `target`, with the client's headers from `head`."""
    passed = without_headers(head.headers, _NOT_PASSED)
    if not head.is_websocket:
        key = base64.b64encode(secrets.token_bytes(KEY_BYTES))
        passed = without_headers(passed, (b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-protocol"))
        passed += ((b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", key))
    return structs.replace(
        head,
        method=b"GET",
        target=target,
        version=b"1.1",
        content_length=None,
        chunked=False,
        keep_alive=True,
        upgrade=b"websocket",
        expects_continue=False,
        headers=(*passed, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")),
    )


class _Elsewhere:
    """The connection of an exchange that has none (`proxy.exchange.ClientTransport`): a session's transport."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.writable = transport
        self.is_draining = False
        self.writing_paused = False
        self.outlives_client = False

    async def flushed(self) -> None:
        """Nothing is written here."""

    def detach(self) -> bytes:
        """Nothing is read here."""
        return b""


class OpeningExchange(Exchange):
    """The client's side of the handshake. `client` is the exchange of the request that waits for it."""

    __slots__ = ("_client", "session")

    def __init__(self, *, client: Exchange, session: SockJsSession, head: RequestHead) -> None:
        super().__init__(
            connection=_Elsewhere(session),
            head=head,
            head_bytes=b"",
            body=NO_BODY,
            peer=client.peer,
            is_tls=client.is_tls,
            retried=None,
            earlier=Repetition(),
        )
        self._client = client
        self.session = session

    def switch(self, head: bytes) -> None:
        """The backend has accepted: tell a client that has asked for a WebSocket, when it is handed over."""
        self.is_begun = self.is_switched = True
        if self._client.head.is_websocket:
            self._client.switch(head)

    def hand_over(self, session: Session) -> None:
        """Give the SockJS session to the WebSocket session, whose transport it is."""
        session.attach(b"", is_behind=False)
        self.is_handed_over = True
        self.session.opened()
        if self._client.is_draining:
            session.drain()

    # -- the backend's refusal ----------------------------------------------------------------------------------------

    def answer(self, answer: Answer) -> None:
        """Refuse."""
        self.is_begun = self.is_ended = True
        self._client.answer(replace(answer, headers=(*answer.headers, *self._added)))

    def begin(self, *, status: int, reason: bytes, headers: Headers, length: int | None) -> None:
        """Begin a refusal."""
        self.is_begun = True
        self._client.begin(status=status, reason=reason, headers=(*headers, *self._added), length=length)

    def send(self, data: bytes) -> None:
        """Send a piece of a refusal."""
        self._client.send(data)

    def flush_head(self) -> None:
        """Send the head of a refusal."""
        self._client.flush_head()

    def send_whole(self, data: bytes) -> None:
        """Send the body of a refusal."""
        self._client.send_whole(data)

    async def write(self, data: bytes) -> None:
        """Send a piece of a refusal, and wait while the client is behind."""
        await self._client.write(data)

    def end(self) -> None:
        """End a refusal."""
        self._client.end()

    @property
    def _added(self) -> Headers:
        return () if self._client.head.is_websocket else cross_origin_headers(self._client.head.headers)
