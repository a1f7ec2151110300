"""A backend's answer of which the body, or its beginning, is here already: read ahead, to be given to several.

Made by `proxy.sharing`; whoever gets it reads it as any other (`proxy.backend.BackendAnswer`).
"""

from __future__ import annotations

import asyncio

from proxy.backend import AnswerTruncated, BackendAnswer


class KeptAnswer:
    """A `proxy.backend.BackendAnswer` with the head of `answer` and a body that begins with `body`."""

    __slots__ = ("_body", "_rest", "dropped", "headers", "length", "reason", "status")

    def __init__(self, answer: BackendAnswer, body: bytes, *, rest: BackendAnswer | None = None) -> None:
        """`rest` is where the body goes on; None where `body` is all of it."""
        self.status = answer.status
        self.reason = answer.reason
        self.headers = answer.headers
        self.length = answer.length
        self.dropped = answer.dropped
        self._body = body
        self._rest = rest

    def whole(self) -> bytes | None:
        """Return the complete body if it is here, else None."""
        return self._body if self._rest is None else None

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end. Raises AnswerTruncated."""
        body, self._body = self._body, b""
        if body or self._rest is None:
            return body
        return await self._rest.read()

    @property
    def has_body_waiting(self) -> bool:
        """Whether reading will not wait."""
        return bool(self._body) or self._rest is None or self._rest.has_body_waiting

    def close(self) -> None:
        """Stop reading."""
        if self._rest is not None:
            self._rest.close()

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """Raise AnswerTruncated: an answer that is read ahead is no 101."""
        raise AnswerTruncated("an answer that several get has no connection to be taken")
