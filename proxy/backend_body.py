"""A request's body on its way to a backend, whichever client has the connection; the root of the task that sends it.

Whatever goes wrong with it is turned into what the connection is to do: nobody waits for this task, but somebody waits
for the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from proxy.errors import RequestBodyError
from proxy.request_body import RequestBody

log = logging.getLogger("holdfast.backend")


class BodyTaker(Protocol):
    """The connection that a body is sent on."""

    async def write(self, data: bytes) -> None:
        """Write, then wait until the backend has taken enough. Raises ConnectionError once it is gone."""
        ...

    def fail(self, error: Exception) -> None:
        """Have whoever waits for the answer, its head or its body, get `error`."""
        ...

    def spoil(self) -> None:
        """Never use the connection again; the answer may still come, or be here."""
        ...


async def send_body(body: RequestBody, taker: BodyTaker, progress: Callable[[], None]) -> None:
    """Send `body` from its first byte on, calling `progress` after each piece taken. Raises CancelledError alone."""
    try:
        is_chunked = body.length is None
        async for data in body.chunks():
            await taker.write(encode_chunk(data) if is_chunked else data)
            progress()
        if is_chunked:
            await taker.write(LAST_CHUNK)
    except RequestBodyError as error:
        taker.fail(error)  # the client's fault
    except OSError:
        # The client is gone, or the backend stopped taking the body. It may have answered already, so reading decides
        # what to tell the client.
        taker.spoil()
    except Exception as error:
        log.exception("a request's body was not sent")
        taker.fail(error)
