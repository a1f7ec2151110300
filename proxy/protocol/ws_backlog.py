"""What a client has said and the backend has not accepted yet, in order (reference 4.3, Content-Bytes-Accepted).

Used by `ws_over_http`, one for each connection. It says what goes into the next request and what is left after its
answer. When to send is not its matter, nor what its events mean; CLOSE and DISCONNECT never come here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.protocol.ws_events import Event

EVENT_COST: Final = 64
"""What an event weighs beside its content, in bytes: empty messages take memory too."""


class Backlog:
    """Events, of which the first few may have been kept back, and the first few may be offered: in a request now."""

    __slots__ = ("_events", "_kept", "_offered", "_weight")

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._kept = 0  # events
        self._offered = 0  # events
        self._weight = 0

    @property
    def weight(self) -> int:
        """All contents in bytes, offered ones included, and EVENT_COST for each event."""
        return self._weight

    @property
    def has_news(self) -> bool:
        """There is something that was in no request before."""
        return len(self._events) > self._kept

    @property
    def has_more(self) -> bool:
        """There is something that is not offered."""
        return len(self._events) > self._offered

    @property
    def offered_bytes(self) -> int:
        """The contents that are offered."""
        return sum(len(event.content) for event in self._events[: self._offered])

    @property
    def kept_bytes(self) -> int:
        """The contents that were kept back. An offer holds them all: they are what is left of the one before."""
        return sum(len(event.content) for event in self._events[: self._kept])

    def append(self, event: Event) -> None:
        """Add what the client has said."""
        self._events.append(event)
        self._weight += len(event.content) + EVENT_COST

    def offer(self, *, one_event: bool, limit: int) -> list[Event]:
        """Return the first event, or as many as have at most `limit` content bytes; in any case one, if there is one.

        Pushpin counts bytes where it means events, and sends an empty message together with another (10.1, D5).
        """
        self._offered = min(1, len(self._events)) if one_event else self._fitting(limit)
        return self._events[: self._offered]

    def accept(self, count: int) -> bool:
        """Forget the first `count` of the offered bytes, keep back the others; say whether anything was forgotten.

        An event without content goes with what stands in front of it, and of one cut in two the rest is kept.
        """
        accepted = 0
        left = count
        for event in self._events[: self._offered]:
            if len(event.content) > left:
                break
            left -= len(event.content)
            accepted += 1
        if left:
            event = self._events[accepted]
            self._events[accepted] = replace(event, content=event.content[left:])
        del self._events[:accepted]
        self._weight -= count + accepted * EVENT_COST
        self._kept = self._offered - accepted
        self._offered = 0
        return bool(accepted or left)

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()
        self._kept = self._offered = self._weight = 0

    def _fitting(self, limit: int) -> int:
        size = 0
        for index, event in enumerate(self._events):
            size += len(event.content)
            if index and size > limit:
                return index
        return len(self._events)
