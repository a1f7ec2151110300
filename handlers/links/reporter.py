"""Tells the parent what is observed at this worker: what one turn of the loop brings goes up in one message.

It is the observer of a worker's edge, where somebody in the parent wants to know. What is told is not acknowledged: the
parent, which takes it, does nothing that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from handlers.protocol.link import Seen
from handlers.protocol.observed import Observed


class Reporter:
    """An `Observer`. Use it on the loop it was made on."""

    def __init__(self, send: Callable[[Seen], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._events: list[Observed] = []

    def observe(self, event: Observed) -> None:
        """Take note of what has happened (`Observer`)."""
        if not self._events:
            self._loop.call_soon(self.flush)
        self._events.append(event)

    def flush(self) -> None:
        """Send what has been noted, if anything has."""
        events, self._events = self._events, []
        if events:
            self._send(Seen(tuple(events)))
