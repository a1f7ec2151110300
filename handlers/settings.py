"""Settings of the room: how much a held connection may cost, and for how long (section `[hold]`).

Loaded and checked by `proxy.config`, handed to the edge, the broker and the sessions. The docstring under each
field is what the operator needs to know; docs/configuration.md says it at length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""A whole number of what the kernel counts in 32 bits."""

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
"""Seconds, fractions allowed, up to a year: the bound keeps `inf` out of timers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSettings:
    """Bounds of a held connection."""

    subscription_limit: Annotated[int, Meta(ge=1, le=100_000)] = 20
    """Channels a backend may put one connection on. Of more, the first ones count; the others are logged and counted.
    20 is Pushpin's `connection_subscription_max`."""

    outbox_limit: Annotated[int, Meta(ge=1024, le=2**31 - 1)] = 1_048_576
    """Bytes a held client may fall behind, as long as it takes something within `user_timeout`. One that is further
    behind has `slow_grace` seconds to catch up before its connection is closed. A megabyte rides out a pause of seconds
    on a phone, and a thousand stuck clients still fit in a gigabyte."""

    slow_grace: Seconds = 1.0
    """Seconds a held client may be more than `outbox_limit` behind, and then up to four times as much, before its
    connection is closed. With 0 it is closed at the next turn of the timers. A burst of publications puts every client
    behind for a moment; one second tells the slow from the rest."""

    kept_limit: Count = 65_536
    """Bytes a client may send while its HTTP request is held; they are kept for what follows on the connection. A
    client that sends more loses it; with 0, one that sends anything. 64 KiB is more than any pipelining client sends,
    and too little to fill memory with."""

    id_cache_ttl: Seconds = 60.0
    """Seconds for which a published item's (channel, id) is remembered, so that a publisher's retry is not delivered
    twice. 0 remembers nothing. 60 is what Pushpin ships."""

    idle_timeout: Seconds = 1800.0
    """Seconds without a byte sent after which a held stream is closed; a long poll ends by its own timeout. 0 never
    closes. 1800 is Pushpin's fixed limit."""

    kernel_unsent_limit: Count = 131_072
    """Bytes not yet sent that the kernel may queue for a client (TCP_NOTSENT_LOWAT). 0 leaves the system's own limit,
    which lets 4 MB pile up before a slow client is seen to be slow."""

    user_timeout: Seconds = 60.0
    """Seconds a client may take nothing of what it was sent before it counts as vanished (TCP_USER_TIMEOUT; Linux
    counts the time in which its receive window is closed, too). Such an end of a held connection is logged and counted.
    0 leaves it to the system: about 15 minutes."""
