"""An answer of a backend that may ask for a hold, and its body read whole where it has to be kept.

Used by `proxy.holding` for answers to clients' requests, and by `proxy.link_fetch` for those to next links.
"""

from __future__ import annotations

from typing import Protocol

from handlers.deadline import Deadline
from handlers.protocol.http1 import Headers
from handlers.timers import Clock
from proxy.errors import UpstreamError

HELD_BODY_LIMIT = 100_000
"""Bytes of a body that has to be kept: a long poll's timeout answer, or an `application/grip-instruct` body."""


class HeldAnswer(Protocol):
    """An answer that may carry an instruct: a backend's, or that of the `test` target."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def reason(self) -> bytes:
        """The reason phrase; may be empty."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers as they came."""
        ...

    @property
    def length(self) -> int | None:
        """The length of the body in bytes, or None where the answer does not say."""
        ...

    @property
    def has_body_waiting(self) -> bool:
        """Whether reading the body will not wait."""
        ...

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end."""
        ...


async def read_limited(
    answer: HeldAnswer,
    *,
    target: str,
    clock: Clock,
    seconds: float,
    limit: int = HELD_BODY_LIMIT,
    what: str = "GRIP instruct response",
) -> bytes:
    """Read a body that has to be kept whole; `target` is who sends it. It has `seconds` to come; 0 is no bound.

    `limit` is in bytes, and `what` is the body's name in the text for a longer one.

    Raises UpstreamError: 502 over the limit, 504 when the time is up.
    """
    too_large = f"{what} too large from {target}"
    if not seconds:
        return await _read_limited(answer, limit, too_large)
    try:
        async with Deadline(clock, seconds):
            return await _read_limited(answer, limit, too_large)
    except TimeoutError as error:
        detail = f"{target}: no end of the answer within {seconds:g} seconds"
        raise UpstreamError(status=504, detail=detail) from error


async def _read_limited(answer: HeldAnswer, limit: int, too_large: str) -> bytes:
    body = bytearray()
    while data := await answer.read():
        body += data
        if len(body) > limit:
            raise UpstreamError(status=502, detail=too_large, is_public=True)
    return bytes(body)
