"""Where clients come in: the sockets of `proxy.listen`, `tls_listen` and `unix_listen`, and the certificates there.

Made by `proxy.client_side`. `serve_plainly` is for publishers, too. However a client comes, it is a
`ClientConnection` of the one `ClientServer`, which counts them all together.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from handlers.counters import Counters
from handlers.timers import Clock, TimerHandle
from proxy.accept_queue import take_waiting
from proxy.certificates import CertificateFolder
from proxy.client_server import ClientServer
from proxy.doors import CLIENT_BACKLOG
from proxy.errors import SettingsError
from proxy.settings import ProxySettings
from proxy.tls import CertificateError
from proxy.tls_entrance import TlsEntrance, TlsSite, ignore_bad_names

log = logging.getLogger("holdfast.client")

TURNS_TO_ARRIVE = 3
"""Turns of the loop, any loop's, from where it accepts a connection to where its protocol knows of it."""


class ClientEntrances:
    """`load`, then `open`; `close`, then `wait_closed`. Each once; `reload` at any time after `load`."""

    def __init__(self, settings: ProxySettings, server: ClientServer, *, clock: Clock, counters: Counters) -> None:
        self._settings = settings
        self._server = server
        self._certificates = CertificateFolder(Path(settings.tls_certs))
        self._site = TlsSite(
            clock=clock,
            counters=counters,
            handshake_timeout=settings.tls_handshake_timeout,
            room=server,
            log_from=server.options.log_from,
        )
        self._clock = clock
        self._plain: list[tuple[asyncio.Server, socket.socket]] = []
        self._tls: list[TlsEntrance] = []
        self._ending: TimerHandle | None = None

    def load(self) -> None:
        """Read the certificates that there must be. Raises SettingsError with the file that cannot be used."""
        for address in self._settings.tls_addresses:
            try:
                self._certificates.default(address.port)
            except CertificateError as error:
                raise SettingsError(f"proxy.tls_certs: {error}") from error
        if self._settings.tls_listen:
            self._certificates.load()

    async def open(self, plain: Sequence[socket.socket], tls: Sequence[socket.socket]) -> None:
        """Serve whoever connects to these sockets, which listen already. Raises SettingsError as `load`."""
        for sock in plain:
            self._plain.append((await serve_plainly(self._server, sock, backlog=CLIENT_BACKLOG), sock))
        for sock in tls:
            ignore_bad_names()
            try:
                certificate = self._certificates.default(sock.getsockname()[1])
            except CertificateError as error:
                raise SettingsError(f"proxy.tls_certs: {error}") from error
            self._tls.append(TlsEntrance(self._site, sock, certificate=certificate, make=self._server))
            self._tls[-1].open()

    def reload(self) -> None:
        """Read the certificates again, each at its next use."""
        self._certificates.reload()

    async def close(self, grace: float) -> None:
        """Let in who waits, and then nobody any more; return when the server knows of all.

        TLS handshakes have `grace` seconds to come to their end.
        """
        late: list[socket.socket] = []
        for server, sock in self._plain:
            late += take_waiting(sock, self._site.counters)
            server.close()
        for entrance in self._tls:
            entrance.stop()
        if grace > 0:
            self._ending = self._clock.call_later(grace, self._end_handshakes)
        else:
            self._end_handshakes()
        await asyncio.gather(*map(self._admit, late))
        for _ in range(TURNS_TO_ARRIVE):
            await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        """Cut the handshakes that are left, and wait for their end."""
        if self._ending is not None:
            self._ending.cancel()
        self._end_handshakes()
        for entrance in self._tls:
            await entrance.wait_closed()

    def _end_handshakes(self) -> None:
        for entrance in self._tls:
            entrance.close()

    async def _admit(self, sock: socket.socket) -> None:
        """Have the server serve a connection that was accepted, as its loop does."""
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(self._server, sock)
        except OSError as error:
            log.debug("the client left: %s", error)
            sock.close()


async def serve_plainly(make: Callable[[], asyncio.Protocol], sock: socket.socket, *, backlog: int) -> asyncio.Server:
    """Serve whoever connects to a TCP or Unix socket, which becomes the server's."""
    loop = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(make, sock=sock, backlog=backlog)
    return await loop.create_server(make, sock=sock, backlog=backlog)
