"""How often something may happen. Used wherever the other end sets the pace and each time costs, be it a log line."""

from __future__ import annotations

import math
from typing import Final

QUIET_SECONDS: Final = 10.0
"""How long nothing more is said about what was just told."""


class TokenBucket:
    """At most `rate` events per second in the long run, and `burst` at once.

    Starts full. A rate of 0 is no limit; a burst of less than one event counts as one, or nothing would ever pass.
    `now` is in seconds, of a clock that does not jump; one that goes back neither adds nor takes.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> bool:
        """Count one event; False when it is over the rate, and then it has not been counted."""
        if self._rate <= 0:
            return True
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Seldom:
    """Lets one event pass in `QUIET_SECONDS`, the first one at once. `now` as for a `TokenBucket`."""

    __slots__ = ("_quiet_until",)

    def __init__(self) -> None:
        self._quiet_until = -math.inf

    def take(self, now: float) -> bool:
        """Say whether this is one that passes."""
        if now < self._quiet_until:
            return False
        self._quiet_until = now + QUIET_SECONDS
        return True
