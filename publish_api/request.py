"""A request for one of the hub's paths, as `publish_api.mercure_port` sees it.

Made by `publish_api.connection`, which has the body, or is still receiving it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from publish_api.errors import RequestRefused
from publish_api.protocol.request_head import RequestHead


class Request:
    """A head, and a body that is received when it is asked for."""

    __slots__ = ("_ask", "_body", "_error", "_waiting", "head")

    def __init__(self, head: RequestHead, body: bytes | None, ask: Callable[[], None]) -> None:
        """`ask` is called when the body is wanted. It is None while not here whole: `receive` or `refuse` follows."""
        self.head = head
        self._body = body
        self._ask = ask
        self._error: RequestRefused | None = None
        self._waiting: asyncio.Future[bytes] | None = None

    @property
    def is_read(self) -> bool:
        """Whether somebody waits for the body."""
        return self._waiting is not None

    async def read(self) -> bytes:
        """Return the body; to be called at most once. Raises RequestRefused when it does not come."""
        if self._error is not None:
            raise self._error
        self._ask()
        if self._body is None:
            self._waiting = asyncio.get_running_loop().create_future()
            return await self._waiting
        return self._body

    def receive(self, body: bytes) -> None:
        """The body is here."""
        self._body = body
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(body)

    def refuse(self, error: RequestRefused) -> None:
        """The body does not come."""
        self._error = error
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
