"""Where clients come in: the sockets of `proxy.listen`, `tls_listen` and `unix_listen`, and the certificates there.

Made by `proxy.client_side`. `serve_plainly` is for publishers, too. However a client comes, it is a
`ClientConnection` of the one `ClientServer`, which counts them all together.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from handlers.counters import Counters
from handlers.timers import Clock
from proxy.certificates import CertificateFolder
from proxy.client_server import ClientServer
from proxy.doors import CLIENT_BACKLOG
from proxy.errors import SettingsError
from proxy.settings import ProxySettings
from proxy.tls import CertificateError
from proxy.tls_entrance import TlsEntrance, TlsSite, ignore_bad_names


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
        self._plain: list[asyncio.Server] = []
        self._tls: list[TlsEntrance] = []

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
            self._plain.append(await serve_plainly(self._server, sock, backlog=CLIENT_BACKLOG))
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

    def close(self) -> None:
        """Let nobody in any more."""
        for server in self._plain:
            server.close()
        for entrance in self._tls:
            entrance.close()

    async def wait_closed(self) -> None:
        """Wait for the last handshakes to end, which `close` has cut."""
        for entrance in self._tls:
            await entrance.wait_closed()


async def serve_plainly(make: Callable[[], asyncio.Protocol], sock: socket.socket, *, backlog: int) -> asyncio.Server:
    """Serve whoever connects to a TCP or Unix socket, which becomes the server's."""
    loop = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(make, sock=sock, backlog=backlog)
    return await loop.create_server(make, sock=sock, backlog=backlog)
