"""The clients' door as held sessions see it: the way back from a held connection to ordinary HTTP."""

from __future__ import annotations

import asyncio

from proxy.connection import ClientServer


class ClientDoor:
    """Implements `handlers.door.Door`. Both methods return at once; the new connection's own task does the rest."""

    def __init__(self) -> None:
        self.server: ClientServer | None = None
        """Set by the composition root once the server exists; sessions are only made after that."""

    def take_back(self, transport: asyncio.Transport, kept: bytes, *, is_behind: bool) -> None:
        """Serve HTTP on `transport` again, beginning with `kept`."""
        self._connect(transport, kept, is_retry=False, is_behind=is_behind)

    def retry(self, transport: asyncio.Transport, kept: bytes, request: object, *, is_behind: bool) -> None:
        """Serve the held request again, as bytes in front of those kept."""
        assert isinstance(request, bytes), "the front holds requests as bytes"
        self._connect(transport, request + kept, is_retry=True, is_behind=is_behind)

    def gone(self, transport: asyncio.Transport) -> None:
        """A held client's connection is closed."""
        assert self.server is not None, "no session without a server"
        self.server.gone(transport)

    def _connect(self, transport: asyncio.Transport, data: bytes, *, is_retry: bool, is_behind: bool) -> None:
        assert self.server is not None, "no session without a server"
        self.server.adopt(transport, data, is_retry=is_retry, is_behind=is_behind)
