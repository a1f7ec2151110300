"""The way to backends: what a pool of connections to them, one of them, and an answer are to whoever asks.

Two clients fit this, and `proxy.settings` says which is used: `backend_pool`, our own, and `backend_aiohttp`. One
suite of tests runs over both. `proxy.upstream` asks; the answer is read by `relaying`, `holding`, `over_http`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Protocol

from yarl import URL

from handlers.protocol.http1 import Headers
from proxy.request_body import RequestBody
from proxy.tls import is_hostname

POOL_SECONDS = 55
"""How long an unused backend connection is kept (reference 1.7)."""
READ_BUFFER = 65_536
"""Bytes of an answer read ahead of a client that takes them slowly."""
DNS_SECONDS = 10
"""How long the addresses of a name are believed."""


class ConnectFailed(Exception):
    """A target could not be connected to: refused, unreachable, unknown name, or TLS failed."""


class AddressBlocked(ConnectFailed):
    """An `untrusted` target has no address that is public."""

    def __init__(self, addresses: Iterable[str]) -> None:
        super().__init__(f"not a public address: {', '.join(addresses)}")


class AnswerFailed(Exception):
    """The backend gave no usable answer. `is_stale` when a pooled connection died before its first byte."""

    def __init__(self, detail: str, *, is_stale: bool) -> None:
        super().__init__(detail)
        self.is_stale = is_stale


class AnswerTruncated(Exception):
    """The backend ended in the middle of its answer's body."""


class BackendAddress:
    """Where and how to connect. Connections are pooled by its `key`, so that equal addresses share them."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        only_public: bool = False,
    ) -> None:
        """With `tls` the certificate must be for `server_hostname`, or for `host` where that is None.

        With `only_public` no connection is made to an address that is not (`protocol.public_address`).

        Raises ConnectFailed for what is not a host's name.
        """
        self.name = f"{host}:{port}"
        self.port = port
        self.tls = tls
        self.server_hostname = server_hostname
        if server_hostname is not None and not is_hostname(server_hostname):
            raise ConnectFailed(f"{host}: no certificate can be for {server_hostname}")
        try:
            self.url = URL.build(scheme="https" if tls else "http", host=host, port=port)
        except ValueError as error:
            raise ConnectFailed(f"{host}: {error}") from error
        self.host = self.url.raw_host or host
        """As it is looked up, in ASCII."""
        self.certificate_name = (server_hostname or self.host) if tls else None
        """Whom the certificate must be for; None without TLS."""
        self.only_public = only_public
        self.key = (self.host, port, tls, server_hostname, only_public)


class BackendPool(Protocol):
    """Connects to targets and keeps connections for the next request. There is no cap on their number."""

    async def close(self) -> None:
        """Close every connection."""
        ...

    def take(self, address: BackendAddress, *, rested: bool = False) -> BackendConnection | None:
        """Return a pooled connection that can be had without waiting.

        For a request that may not be sent twice, ask for one that has `rested`: a backend that closes behind an answer
        has had the time to say so.
        """
        ...

    async def connect(self, address: BackendAddress) -> BackendConnection:
        """Return a connection, pooled or new.

        Raises ConnectFailed, or AddressBlocked of its kind; the caller bounds the time.
        """
        ...


class BackendConnection(Protocol):
    """One connection, for one request. `exchange` once, then read the answer or `close`."""

    is_reused: bool

    def close(self) -> None:
        """Give the connection up, in whatever state it is."""
        ...

    async def exchange(
        self, *, method: bytes, head: bytes, body: RequestBody, limit: float = 0, upgrades: bool = False
    ) -> BackendAnswer:
        """Send a request and return the answer's head. Interim (1xx) answers are skipped.

        The head must have come `limit` seconds after the last piece of the request was taken; 0 is no bound. With
        `upgrades` the answer may be a 101, which only `BackendAnswer.take_transport` or `close` can follow. Raises
        AnswerFailed, TimeoutError, or what the body raised. On any exception, cancellation included, the connection is
        closed.
        """
        ...


class BackendAnswer(Protocol):
    """An answer's head, and its body as it comes. `length` is None where that is delimited otherwise.

    `dropped` are the names of headers that were left out, because they are no names.
    """

    status: int
    reason: bytes
    headers: Headers
    length: int | None
    dropped: tuple[bytes, ...]

    def whole(self) -> bytes | None:
        """Return the complete body if it is here already, else None. Ask before anything was read.

        With the bytes the answer has been read to its end, and its connection is back in the pool or closed.
        """
        ...

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end. Raises AnswerTruncated."""
        ...

    @property
    def has_body_waiting(self) -> bool:
        """Whether some of the body, or its end, came with the head, so that reading it will not wait."""
        ...

    def close(self) -> None:
        """Stop reading; the connection is closed unless the body had already come whole."""
        ...

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """Take the transport after a 101; return it with the bytes that came behind that.

        The caller sets a protocol of its own at once. Raises AnswerTruncated when the backend is gone already.
        """
        ...
