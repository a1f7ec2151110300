"""How publishers come in at the publish port: plainly, or by TLS where it has a certificate.

Made by `proxy.publishers`; `publish_api.http` calls `serve` for each of its sockets, and knows nothing of TLS.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from handlers.counters import Counters
from handlers.protocol.rate import Seldom
from handlers.timers import Clock
from proxy.certificates import CertificatePair
from proxy.client_entrances import serve_plainly
from proxy.doors import PUBLISHER_BACKLOG
from proxy.errors import SettingsError
from proxy.tls import CertificateError
from proxy.tls_entrance import TlsEntrance, TlsSite, ignore_bad_names

log = logging.getLogger("holdfast.tls")

HANDSHAKE_SECONDS = 10.0
"""How long a publisher may take for the TLS handshake."""

HANDSHAKE_LIMIT = 1024
"""Publishers who may be at their TLS handshake at once: as many as the kernel would have wait."""


class HandshakeRoom:
    """Room for `limit` TLS handshakes at once (`proxy.tls_entrance.Room`); whoever has done theirs is not counted."""

    def __init__(self, limit: int, *, clock: Clock, counters: Counters) -> None:
        self._limit = limit
        self._clock = clock
        self._counters = counters
        self._entering = 0
        self._refusals = Seldom()

    def enter(self) -> bool:
        """Note a connection; False, counted and told, when there is no room for it."""
        if self._entering >= self._limit:
            self._refuse()
            return False
        self._entering += 1
        return True

    def has_entered(self) -> None:
        """Forget one that was noted."""
        self._entering -= 1

    def _refuse(self) -> None:
        self._counters.publish_handshakes_refused += 1
        if self._refusals.take(self._clock.now()):
            text = "no room for another publisher: %d are at their TLS handshake (said every 10 seconds)"
            log.warning(text, self._limit)


class PublisherEntrance:
    """`serve` for each socket; `wait_closed` once those are closed."""

    def __init__(
        self,
        certificate: str,
        key: str,
        *,
        clock: Clock,
        counters: Counters,
        log_from: bool,
        handshake_limit: int = HANDSHAKE_LIMIT,
    ) -> None:
        """Read these files, which may be one; without a certificate there is no TLS.

        Raises SettingsError if they cannot be used.
        """
        room = HandshakeRoom(handshake_limit, clock=clock, counters=counters)
        self._site = TlsSite(
            clock=clock, counters=counters, handshake_timeout=HANDSHAKE_SECONDS, room=room, log_from=log_from
        )
        self._certificate: CertificatePair | None = None
        self._tls: list[TlsEntrance] = []
        if certificate:
            self._certificate = CertificatePair(Path(certificate), Path(key or certificate))
            try:
                self._certificate.context()
            except CertificateError as error:
                raise SettingsError(f"publish.tls_cert: {error}") from error

    @property
    def is_tls(self) -> bool:
        """Whether publishers speak TLS."""
        return self._certificate is not None

    async def serve(self, make: Callable[[], asyncio.Protocol], sock: socket.socket) -> asyncio.Server | TlsEntrance:
        """Serve whoever connects to `sock`, which listens already and is the returned entrance's from now on."""
        if self._certificate is None:
            return await serve_plainly(make, sock, backlog=PUBLISHER_BACKLOG)
        ignore_bad_names()
        self._tls.append(TlsEntrance(self._site, sock, certificate=self._certificate, make=make))
        self._tls[-1].open()
        return self._tls[-1]

    def reload(self) -> None:
        """Read the certificate again at the next connection."""
        if self._certificate is not None:
            self._certificate.forget()

    async def wait_closed(self) -> None:
        """Wait for the last handshakes to end, which closing has cut."""
        for entrance in self._tls:
            await entrance.wait_closed()
