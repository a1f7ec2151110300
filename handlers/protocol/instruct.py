"""What a backend's answer asks for: the values; `grip` parses headers and bodies into them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from handlers.protocol.http1 import Headers
from handlers.protocol.names import ItemId


class HoldMode(enum.Enum):
    """`Grip-Hold`: a long poll (answered once) or a stream (each publication appended)."""

    RESPONSE = "response"
    STREAM = "stream"


class KeepAliveMode(enum.Enum):
    """Whether traffic restarts the keep-alive timer (`idle`) or not (`interval`)."""

    IDLE = "idle"
    INTERVAL = "interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelHold:
    """One channel of a hold.

    `name` is the backend's word; with the route's prefix in front of it (`subscribing`) it becomes a `Channel`.
    """

    name: str
    prev_id: ItemId | None = None
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAlive:
    """Bytes to send every `timeout` seconds."""

    data: bytes
    timeout: float = 55
    mode: KeepAliveMode = KeepAliveMode.IDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLink:
    """`Grip-Link: <uri>; rel=next; timeout=N`."""

    uri: str
    timeout: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruct:
    """A parsed instruct, and the answer the client is to get with it.

    `headers` are the client's: without Grip-*, hop-by-hop headers and Content-Length, and filtered by
    Grip-Expose-Headers. `body` is None when the backend's own body is the answer's body, otherwise
    (`application/grip-instruct`) the bytes given there.
    """

    hold: HoldMode | None
    channels: tuple[ChannelHold, ...]
    timeout: int
    keep_alive: KeepAlive | None
    meta: tuple[tuple[str, str], ...]
    next_link: NextLink | None
    gone_link: str | None
    status: int
    reason: bytes
    headers: Headers
    body: bytes | None
