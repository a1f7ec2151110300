"""`RawClient` and `WsClient` by TLS: the same bytes, with the `ssl` module between them and the socket.

`install` lays a certificate out as `proxy.tls_certs` has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Self

from tests.proxy.certificates import self_signed
from tests.support.client import READ_SIZE, RawClient
from tests.support.patience import bounded
from tests.support.websocket import WsClient


def install(folder: Path, stem: str, *names: str) -> Path:
    """Make a certificate for `names` and put it into `folder` as `stem`, in place of what is there; return its file."""
    made = self_signed(folder, *names)
    key = folder / f"{stem}.key"
    key.write_bytes(made.read_bytes())
    return made.replace(folder / f"{stem}.crt")


def trusting(*certificates: Path) -> ssl.SSLContext:
    """Make what a client needs that trusts these certificates and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context


class TlsClient(RawClient):
    """One connection by TLS."""

    tls: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO

    @classmethod
    async def connect_tls(
        cls,
        address: tuple[str, int],
        context: ssl.SSLContext,
        name: str | None = "localhost",
        *,
        receive_buffer: int | None = None,
    ) -> Self:
        """Connect, ask for `name`, and shake hands. Raises ssl.SSLError."""
        client = await cls.connect(address, receive_buffer=receive_buffer)
        client._incoming, client._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()  # noqa: SLF001  # its own
        client.tls = context.wrap_bio(client._incoming, client._outgoing, server_hostname=name)  # noqa: SLF001
        try:
            await client.shake_hands()
        except BaseException:
            client.close()
            raise
        return client

    async def shake_hands(self) -> None:
        """Do the handshake."""
        async with bounded():
            while True:
                try:
                    self.tls.do_handshake()
                except ssl.SSLWantReadError:
                    await self._flush()
                    await self._take_in()
                else:
                    await self._flush()
                    return

    async def send(self, data: bytes) -> None:
        """Write all of `data`."""
        self.tls.write(data)
        await self._flush()

    def pending(self) -> bytes:
        """Return what has arrived and was not read, without waiting."""
        try:
            while not self.at_eof:
                data = self._socket.recv(READ_SIZE)
                self.at_eof = not data
                self._incoming.write(data)
        except BlockingIOError:
            pass
        while data := self._decrypt() or b"":
            self._buffer += data
        return bytes(self._buffer)

    async def close_politely(self, last: bytes = b"") -> None:
        """Send `last` and close_notify, as browsers do, and wait for the peer's end, whatever it says before."""
        if last:
            self.tls.write(last)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self._flush()
        async with bounded():
            while await asyncio.get_running_loop().sock_recv(self._socket, READ_SIZE):
                pass
        self.close()

    async def _receive(self) -> None:
        while (data := self._decrypt()) is None:
            await self._take_in()
        self._buffer += data
        self.at_eof = not data

    def _decrypt(self) -> bytes | None:
        """Return what can be read; None if nothing has come, nothing if the peer has closed."""
        try:
            return self.tls.read(READ_SIZE)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""

    async def _take_in(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)


class TlsWsClient(TlsClient, WsClient):
    """A WebSocket by TLS."""
