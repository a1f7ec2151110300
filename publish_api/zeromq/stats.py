"""The stats socket: tells whoever subscribes to it what happens here (reference 7.1).

An `Observer`, told of things as they happen, that also reads the counters ten times a second. It exists only where the
socket is configured. ZeroMQ keeps QUEUE messages for a subscriber that is slow, and drops what comes after that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from handlers.counters import Counters
from handlers.observer import Mode, Transport
from handlers.protocol.items import Item
from handlers.protocol.names import Channel
from handlers.timers import Clock, TimerHandle
from publish_api.protocol.stats_message import Field, Kind, encode_stats
from publish_api.zeromq.settings import ZeroMQSettings

QUEUE = 200_000
"""Messages that wait for one subscriber."""

TICK = 0.1
"""Seconds for which what is counted, and changes of how many there are, are gathered."""

REPEATED_AT = 0.75
"""The part of a time to live after which a message that still holds is sent again."""


@dataclass(slots=True, kw_only=True)
class _Subscription:
    """What was told last of a channel and mode, and when that is told again."""

    subscribers: int
    due: float
    has_changed: bool = False


@dataclass(slots=True, kw_only=True)
class _Connection:
    """What is told of a connection, and when again."""

    fields: dict[str, Field]
    due: float


class Stats:
    """Sends what it is told, and what the counters say. `begin` once, then `close` once (`handlers.observer`)."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        *,
        name: str,
        settings: ZeroMQSettings,
        clock: Clock,
        count: Callable[[], Counters],
    ) -> None:
        """`name` is who tells it, in every message. `count` returns the counters of all processes together."""
        self._send_bytes = send
        self._name = name
        self._settings = settings
        self._clock = clock
        self._count = count
        self._timer: TimerHandle | None = None
        # Both in the order in which they fall due, as the time to live is the same for all of a kind.
        self._subscriptions: dict[tuple[Mode, Channel], _Subscription] = {}
        self._connections: dict[str, _Connection] = {}
        counters = count()
        self._requests = counters.requests
        self._report = _Report(counters, clock.now())

    def begin(self) -> None:
        """Begin to tell what is counted."""
        self._timer = self._clock.call_later(TICK, self._tick)

    def close(self) -> None:
        """Tell nothing more of what is counted."""
        if self._timer is not None:
            self._timer.cancel()

    def delivered(self, item: Item, transport: Transport, receivers: int) -> None:
        """Tell of a delivery."""
        fields: dict[str, Field] = {"channel": item.channel, "count": receivers, "transport": transport}
        self._send("message", fields if item.id is None else {"item-id": item.id, **fields})

    def subscribed(self, mode: Mode, channel: Channel, subscribers: int) -> None:
        """Tell of the first and the last subscriber at once, of how many there are in a moment."""
        key = mode, channel
        if not subscribers:
            self._subscriptions.pop(key, None)
            self._send("sub", {"mode": mode, "channel": channel, "unavailable": True})
        elif key in self._subscriptions:
            self._subscriptions[key].subscribers = subscribers
            self._subscriptions[key].has_changed = True
        else:
            self._tell_subscribers(key, subscribers, self._clock.now())

    def connected(self, connection_id: str, kind: Literal["http", "ws"], peer: str, *, is_tls: bool) -> None:
        """Tell of a client."""
        fields: dict[str, Field] = {"id": connection_id, "type": kind, "peer-address": peer}
        if is_tls:
            fields["ssl"] = True
        self._tell_connection(connection_id, fields, self._clock.now())

    def disconnected(self, connection_id: str) -> None:
        """Tell of its end; harmless when it was never told of."""
        if self._connections.pop(connection_id, None) is not None:
            self._send("conn", {"id": connection_id, "unavailable": True})

    def _tick(self) -> None:
        now, counters = self._clock.now(), self._count()
        requests, self._requests = counters.requests - self._requests, counters.requests
        if requests > 0:
            self._send("activity", {"count": requests})
            self._send("counts", {"requests-received": requests})
        for key, subscription in tuple(self._subscriptions.items()):
            if subscription.has_changed or subscription.due <= now:
                self._tell_subscribers(key, subscription.subscribers, now)
        for connection_id, connection in tuple(self._connections.items()):
            if connection.due > now:
                break
            self._tell_connection(connection_id, connection.fields, now)
        self._report.note(counters, now)
        if self._settings.stats_interval and self._report.age(now) >= self._settings.stats_interval:
            self._send("report", self._report.close(counters, now))
            self._report = _Report(counters, now)
        self._timer = self._clock.call_later(TICK, self._tick)

    def _tell_subscribers(self, key: tuple[Mode, Channel], subscribers: int, now: float) -> None:
        ttl = self._settings.stats_subscription_ttl
        self._subscriptions.pop(key, None)  # to the end of the order
        self._subscriptions[key] = _Subscription(subscribers=subscribers, due=now + ttl * REPEATED_AT)
        mode, channel = key
        self._send("sub", {"mode": mode, "channel": channel, "ttl": ttl, "subscribers": subscribers})

    def _tell_connection(self, connection_id: str, fields: dict[str, Field], now: float) -> None:
        ttl = self._settings.stats_connection_ttl
        self._connections.pop(connection_id, None)
        self._connections[connection_id] = _Connection(fields=fields, due=now + ttl * REPEATED_AT)
        self._send("conn", {**fields, "ttl": ttl})

    def _send(self, kind: Kind, fields: dict[str, Field]) -> None:
        self._send_bytes(encode_stats(kind, {"from": self._name, **fields}, self._settings.stats_format))


class _Report:
    """What one report says: the counters' steps since it was begun, and the connections in that time."""

    def __init__(self, counters: Counters, now: float) -> None:
        self._begun = self._noted = now
        self._received = counters.publications
        self._sent = counters.deliveries
        self._most = 0
        self._seconds = 0.0

    def age(self, now: float) -> float:
        """Return for how long it has been running."""
        return now - self._begun

    def note(self, counters: Counters, now: float) -> None:
        """Look how many connections are held."""
        held = counters.sessions_stream + counters.sessions_response + counters.sessions_websocket
        self._most = max(self._most, held)
        self._seconds += held * (now - self._noted)
        self._noted = now

    def close(self, counters: Counters, now: float) -> dict[str, Field]:
        """Return what it says."""
        return {
            "connections": self._most,
            "minutes": math.ceil(self._seconds / 60),
            "received": counters.publications - self._received,
            "sent": counters.deliveries - self._sent,
            "duration": round(self.age(now) * 1000),
        }
