"""What a held session may ask of the door it came in by.

`handlers` never imports `proxy`: at hold time the door hands in one object of this shape, and sessions call
it synchronously from a publish or a timer. Every method returns at once; whatever needs awaiting, the door
does in a task of its own, counted and bounded.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Door(Protocol):
    """The way back from a held connection to ordinary HTTP.

    `is_behind` says that the transport has told the session to pause writing, and not yet to resume.
    """

    def take_back(self, transport: asyncio.Transport, kept: bytes, *, is_behind: bool) -> None:
        """Serve HTTP on `transport` again, beginning with the bytes that came while it was held."""
        ...

    def retry(self, transport: asyncio.Transport, kept: bytes, request: bytes, *, is_behind: bool) -> None:
        """Send `request`, the bytes given at hold time, to the backend again for this client."""
        ...

    def gone(self, transport: asyncio.Transport) -> None:
        """Take note that a held client's connection is closed."""
        ...
