"""Channels that have just got their first subscriber (reference 3.8): a machine without a clock.

What is published between a backend's answer and the moment the client is on the channel reaches nobody, if nobody else
is on it. So, a moment after a channel has got its first subscriber, who is on it asks the backend once more. A channel
of long polls lingers: between two polls of one client it has nobody, and is not new each time.
"""

from __future__ import annotations

import math
from collections import deque

from handlers.protocol.names import Channel

DELAY = 1.0
"""Seconds from the first subscriber to the update."""

LINGER = 60.0
"""Seconds for which a channel whose last long poll is gone still counts as subscribed."""


class FirstSubscribers:
    """Told when channels come and go, it says which are due for an update."""

    def __init__(self) -> None:
        self._due: deque[tuple[float, Channel]] = deque()
        self._lingering: dict[Channel, float] = {}

    def __len__(self) -> int:
        """Return how many channels are remembered."""
        return len(self._due) + len(self._lingering)

    @property
    def next_due(self) -> float:
        """When `take_due` has something to give, `math.inf` for never."""
        return self._due[0][0] if self._due else math.inf

    def came(self, channel: Channel, now: float) -> None:
        """Somebody is on the channel, and nobody was."""
        self._drop_lingered(now)
        if self._lingering.pop(channel, None) is None:
            self._due.append((now + DELAY, channel))

    def emptied(self, channel: Channel, now: float) -> None:
        """The last one has left, and was a long poll."""
        self._drop_lingered(now)
        self._lingering.pop(channel, None)  # so that the newest stands last
        self._lingering[channel] = now + LINGER

    def take_due(self, now: float) -> tuple[Channel, ...]:
        """Return the channels whose time has come, once."""
        due: list[Channel] = []
        while self._due and self._due[0][0] <= now:
            due.append(self._due.popleft()[1])
        self._drop_lingered(now)
        return tuple(due)

    def _drop_lingered(self, now: float) -> None:
        while self._lingering:
            channel = next(iter(self._lingering))
            if self._lingering[channel] > now:
                return
            del self._lingering[channel]
