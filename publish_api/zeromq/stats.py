"""The stats socket: tells whoever subscribes to it what happens here (reference 7.1).

An `Observer`, told of things as they happen, that also reads the counters ten times a second. It exists only where the
socket is configured. ZeroMQ keeps QUEUE messages for a subscriber that is slow, and drops what comes after that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar, assert_never

from handlers.counters import Counters
from handlers.protocol.carried_name import is_text, show, show_bytes, uncarry
from handlers.protocol.names import Channel
from handlers.protocol.observed import Connected, Delivered, Disconnected, Mode, Observed, Subscribed
from handlers.timers import Clock, TimerHandle
from publish_api.protocol.stats_message import Field, Kind, encode_stats
from publish_api.zeromq.connection_totals import ConnectionTotals
from publish_api.zeromq.settings import ZeroMQSettings

QUEUE = 200_000
"""Messages that wait for one subscriber."""

TICK = 0.1
"""Seconds for which what is counted, and changes of how many there are, are gathered."""

REPEATED_AT = 0.75
"""The part of a time to live after which a message that still holds is sent again."""


Place = tuple[Mode, Channel]
K = TypeVar("K")


@dataclass(slots=True, kw_only=True)
class _Told:
    """What was told last of a channel and mode, or of a connection, and when that is told again."""

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
        self._subscriptions: dict[Place, _Told] = {}
        self._connections: dict[str, _Told] = {}
        self._changed: dict[Place, int] = {}
        """How many subscribers there are where that has changed, and is to be told in a moment."""
        self._totals = ConnectionTotals(ttl=settings.stats_connections_max_ttl)
        self._is_closed = False
        counters = count()
        self._requests = counters.requests
        self._report = _Report(counters, clock.now())

    def begin(self) -> None:
        """Begin to tell what is counted."""
        self._timer = self._clock.call_later(TICK, self._tick)

    def close(self) -> None:
        """Tell nothing more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def observe(self, event: Observed) -> None:
        """Tell of what has happened (`handlers.observer.Observer`)."""
        match event:
            case Delivered():
                self._delivered(event)
            case Subscribed():
                self._subscribed(event)
            case Connected():
                self._connected(event)
            case Disconnected():
                self._disconnected(event)
            case _:
                assert_never(event)

    def _delivered(self, event: Delivered) -> None:
        fields: dict[str, Field] = {
            **self._name_of("channel", event.channel),
            "count": event.receivers,
            "transport": event.transport,
        }
        item_id = {} if event.item_id is None else self._name_of("item-id", event.item_id)
        self._send("message", {**item_id, **fields})

    def _subscribed(self, event: Subscribed) -> None:
        """Tell of the first and the last subscriber at once, of how many there are in a moment."""
        place = event.mode, event.channel
        if not event.subscribers:
            self._subscriptions.pop(place, None)
            self._changed.pop(place, None)
            self._send("sub", {"mode": event.mode, **self._name_of("channel", event.channel), "unavailable": True})
        elif place in self._subscriptions:
            self._changed[place] = event.subscribers
        else:
            self._tell_subscribers(place, event.subscribers, self._clock.now())

    def _connected(self, event: Connected) -> None:
        if not self._settings.stats_connection_send:
            self._totals.step(event.route, 1)
            return
        kind = "ws" if event.mode == "ws" else "http"
        fields: dict[str, Field] = {"id": event.id, "type": kind, "peer-address": event.peer}
        if event.route:
            fields["route"] = event.route
        if event.is_tls:
            fields["ssl"] = True
        self._tell_connection(event.id, fields, self._clock.now())

    def _disconnected(self, event: Disconnected) -> None:
        if not self._settings.stats_connection_send:
            self._totals.step(event.route, -1)
        elif self._connections.pop(event.id, None) is not None:
            route: dict[str, Field] = {"route": event.route} if event.route else {}
            self._send("conn", {"id": event.id, **route, "unavailable": True})

    def _tick(self) -> None:
        now, counters = self._clock.now(), self._count()
        requests, self._requests = counters.requests - self._requests, counters.requests
        if requests > 0:
            self._send("activity", {"count": requests})
            self._send("counts", {"requests-received": requests})
        self._tell_again(now)
        self._report.note(counters, now)
        if self._settings.stats_interval and self._report.age(now) >= self._settings.stats_interval:
            self._send("report", self._report.close(counters, now))
            self._report = _Report(counters, now)
        self._timer = self._clock.call_later(TICK, self._tick)

    def _tell_again(self, now: float) -> None:
        """Tell of what has changed, and of what still holds where it is time to."""
        changed, self._changed = self._changed, {}
        for place, subscribers in changed.items():
            self._tell_subscribers(place, subscribers, now)
        for place in self._due(self._subscriptions, now):
            self._tell_subscribers(place, self._subscriptions[place].fields["subscribers"], now)
        for connection_id in self._due(self._connections, now):
            self._tell_connection(connection_id, self._connections[connection_id].fields, now)
        for fields in self._totals.take_due(now):
            self._send("conn-max", fields)

    def _due(self, told: dict[K, _Told], now: float) -> list[K]:
        return [key for key, _ in takewhile(lambda each: each[1].due <= now, told.items())]

    def _tell_subscribers(self, place: Place, subscribers: Field, now: float) -> None:
        ttl = self._settings.stats_subscription_ttl
        mode, channel = place
        name = self._name_of("channel", channel)
        fields: dict[str, Field] = {"mode": mode, **name, "ttl": ttl, "subscribers": subscribers}
        self._subscriptions.pop(place, None)  # to the end of the order
        self._subscriptions[place] = _Told(fields=fields, due=now + ttl * REPEATED_AT)
        self._send("sub", fields)

    def _tell_connection(self, connection_id: str, fields: dict[str, Field], now: float) -> None:
        ttl = self._settings.stats_connection_ttl
        self._connections.pop(connection_id, None)
        self._connections[connection_id] = _Told(fields=fields, due=now + ttl * REPEATED_AT)
        self._send("conn", {**fields, "ttl": ttl})

    def _name_of(self, field: str, carried: str) -> dict[str, Field]:
        """Return the fields for a name: TNetStrings have the very bytes, JSON has them beside the text."""
        name = uncarry(carried)
        if is_text(name) or self._settings.stats_format == "tnetstring":
            return {field: name}
        return {field: show(name), f"{field}-bin": show_bytes(name)}

    def _send(self, kind: Kind, fields: dict[str, Field]) -> None:
        if not self._is_closed:
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
