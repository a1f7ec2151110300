"""Settings of the room: how much a held connection may cost, and for how long (sections `[hold]` and `[websocket]`).

Loaded and checked by `proxy.config`, handed to the edge, the broker and the sessions. The docstring under each
field is what the operator needs to know; docs/configuration.md says it at length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

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

    message_wait: Seconds = 5.0
    """Seconds for which an item whose `prev-id` is not its channel's last id waits for the one that it follows; then it
    is delivered all the same. 0 keeps no item waiting. 5 is what Pushpin ships."""

    message_wait_limit: Annotated[int, Meta(ge=1)] = 100
    """Items that may wait on one channel; one more, and all of them are delivered in the order of their coming. Pushpin
    drops those beyond 100."""

    last_id_limit: Annotated[int, Meta(ge=1)] = 100_000
    """Channels whose last id is remembered, some 200 bytes each, several times over; those without news for the longest
    are forgotten first. A forgotten channel counts as one that was never published to. Pushpin remembers 1,000,000."""

    wildcard_subscriptions: bool = False
    """Have channels that end in `*` get the items of every channel that begins with what stands before it: `news-*`
    those of `news-sport`, `*` alone all (of the route's `prefix`, which stays in front). Off, as in Pushpin: there `*`
    is a character like any other, and a backend that passes on what its clients ask for would give them everything."""

    update_on_first_subscription: bool = True
    """One second after a channel got its first subscriber, send the long polls on it to their backend once more, and
    fetch the links of its streams: what was published between the backend's answer and the hold reached nobody. Pushpin
    does so too, and since 1.41 it can be turned off there."""

    idle_timeout: Seconds = 1800.0
    """Seconds without a byte sent after which a held stream is closed, and without one either way a WebSocket; a long
    poll ends by its own timeout. 0 never closes. 1800 is Pushpin's fixed limit."""

    kernel_unsent_limit: Count = 131_072
    """Bytes not yet sent that the kernel may queue for a client (TCP_NOTSENT_LOWAT). 0 leaves the system's own limit,
    which lets 4 MB pile up before a slow client is seen to be slow."""

    user_timeout: Seconds = 60.0
    """Seconds a client may take nothing of what it was sent before it counts as vanished (TCP_USER_TIMEOUT; Linux
    counts the time in which its receive window is closed, too). Such an end of a held connection is logged and counted.
    0 leaves it to the system: about 15 minutes. A closed connection that still has something for its client is cut
    likewise, on a Unix socket too; one by TLS after 60 seconds at most."""

    probe_interval: Annotated[int, Meta(ge=0, le=32_767)] = 60
    """Seconds of silence after which the kernel asks a client whether it is still there (TCP keep-alive), and then
    every quarter of that. One that has not answered four times counts as vanished, and a WebSocket's backend is told. 0
    asks nobody: who vanishes without a word is then noticed when something is sent. 60 costs a packet a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SockJsSettings:
    """Bounds of a SockJS session, besides those of a WebSocket, which it is to its backend."""

    heartbeat: Seconds = 25.0
    """Seconds without a message after which a SockJS client is told that all is well (`h`). 0 never does, and then a
    poll stays unanswered until something comes. 25 is what SockJS has, below the 30 of impatient balancers."""

    disconnect_delay: Seconds = 5.0
    """Seconds a SockJS client may stay away between two polls before its session ends and the backend is told; for as
    long it may ask how a session has ended. 5 is Pushpin's limit."""

    outbox_limit: Annotated[int, Meta(ge=1024, le=2**31 - 1)] = 200_000
    """Bytes that may wait for a SockJS client between two polls. When more waits it has `hold.slow_grace` seconds to
    come for it; then, or with four times as much, its session ends. 200,000 is Pushpin's limit, without a grace."""

    response_limit: Annotated[int, Meta(ge=1024, le=2**31 - 1)] = 131_072
    """Bytes after which a streaming answer to a SockJS client ends, so that it asks anew: browsers keep all of it.
    128 KiB is what SockJS servers have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketSettings:
    """Bounds of a WebSocket, besides those of `HoldSettings`, which hold for it too."""

    message_limit: Annotated[int, Meta(ge=125, le=1_000_000_000)] = 200_000
    """Bytes a client's message may have where the backend is asked by WebSocket-over-HTTP, which takes messages whole.
    A longer one ends the connection with close code 1009. 200,000 is Pushpin's limit. It is also how much may wait for
    the backend's answer before nothing more is read from the client."""

    frame_limit: Annotated[int, Meta(ge=125, le=1_000_000_000)] = 1_048_576
    """Bytes a single frame may have, either way, after inflating it; a longer one ends the connection with 1009.
    Messages that pass through to a WebSocket backend may be longer, in several frames: each goes on as it comes. A
    frame is kept until it is whole, so this bounds what a connection can make Holdfast keep. 1 MiB is the default of
    common WebSocket servers."""

    events_limit: Annotated[int, Meta(ge=1024, le=1_000_000_000)] = 1_000_000
    """Bytes a backend's answer of WebSocket-over-HTTP events may have. A longer one is a fault of the backend's: 502
    for the opening one, close code 1011 later. 1,000,000 is Pushpin's limit."""

    requests_at_once: Annotated[int, Meta(ge=1, le=1_000_000)] = 500
    """WebSocket-over-HTTP requests that may be under way to one target at once; further ones wait for their turn. 500
    keep a backend busy, and a publication that has thousands of connections ask does not use up the open files."""

    control_rate: Annotated[float, Meta(ge=0, le=1_000_000)] = 100.0
    """Control messages of a backend (`c:`), and pings and pongs of a client, that are obeyed in a second, each; ten
    times as many at once. More end the connection with close code 1008. 0 sets no limit. 100 a second for one
    connection is more than any application has a use for."""

    over_subscription: Literal["ignore", "close"] = "ignore"
    """What a subscription beyond `hold.subscription_limit` does: `ignore`, as Pushpin does, though counted and logged,
    or `close` the connection with code 1008, so that no client goes on without what it was promised."""

    close_timeout: Seconds = 10.0
    """Seconds for the other side to answer a close frame; then the connection is ended without it. 0 does not wait.
    10 is what other WebSocket servers allow."""

    answer_pings: bool = False
    """Answer clients' pings here instead of handing them to the backend. Off, as in Pushpin: a pong says that the
    backend lives. Turn it on when the backend ignores pings, and clients leave for want of an answer."""

    compression: bool = False
    """Compress messages to clients that offer it (permessage-deflate, without context take-over, so that a publication
    is compressed once for all). Off, as in Pushpin: small messages hardly gain, and each costs CPU on both sides."""
