"""How many connections each route has, for the stats socket where it does not tell of single ones (reference 7.1).

Time is passed in. What is told is the most there were since the last message.
"""

from __future__ import annotations

from dataclasses import dataclass

from publish_api.protocol.stats_message import Field

INTERVAL = 1.0
"""Seconds for which a number that changes is gathered."""

REPEATED_AT = 0.75
"""The part of the time to live after which a number that has not changed is told again."""


@dataclass(slots=True, kw_only=True)
class _Total:
    """One route's connections: now, the most since the last message, and what that said, and when."""

    now: int = 0
    most: int = 0
    told: int = -1
    told_at: float = float("-inf")


class ConnectionTotals:
    """By the routes' explicit ids; all routes without one are together under the empty one."""

    def __init__(self, *, ttl: int) -> None:
        """`ttl`: seconds for which a message holds."""
        self._ttl = ttl
        self._routes: dict[str, _Total] = {}

    def step(self, route: str, step: int) -> None:
        """Note that a connection has come (1) or gone (-1)."""
        total = self._routes.setdefault(route, _Total())
        total.now += step
        total.most = max(total.most, total.now)

    def take_due(self, now: float) -> list[dict[str, Field]]:
        """Return the fields of the messages that are to be sent now. That a route has none is told once."""
        due: list[dict[str, Field]] = []
        for route, total in tuple(self._routes.items()):
            age = now - total.told_at
            if age < (INTERVAL if total.most != total.told else self._ttl * REPEATED_AT):
                continue
            fields: dict[str, Field] = {"route": route} if route else {}
            due.append({**fields, "max": total.most, "ttl": self._ttl})
            total.told, total.told_at, total.most = total.most, now, total.now
            if not total.now and not total.told:
                del self._routes[route]
        return due
