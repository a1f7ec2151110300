"""What observers are told of: values that say what has just happened to channels, connections and items.

Made by the edge where somebody wants to know (`handlers.observer`), and sent over the link where that is in another
process. One kind each for what the stats socket tells of (reference 7.1). Channels and ids of items are here by their
carried names (`carried_name`), whoever observes uncarries them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from handlers.protocol.names import Channel, ItemId

Mode = Literal["response", "stream", "ws"]
"""How a session is held."""

Transport = Literal["http-response", "http-stream", "ws-message"]
"""The format in which an item was delivered."""


class Event(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What all of them have in common."""


class Subscribed(Event, frozen=True, array_like=True, tag="s"):
    """A channel has so many sessions of this mode now; 0 says that the last one has left."""

    mode: Mode
    channel: Channel
    subscribers: int


class Connected(Event, frozen=True, array_like=True, tag="c"):
    """A connection is held. `peer` is an IP address, `route` the route's explicit id or empty."""

    id: str
    mode: Mode
    peer: str
    is_tls: bool = False
    route: str = ""


class Disconnected(Event, frozen=True, array_like=True, tag="d"):
    """A connection is held no more; these were its channels, by their full names."""

    id: str
    mode: Mode
    channels: tuple[Channel, ...] = ()
    route: str = ""


class Delivered(Event, frozen=True, array_like=True, tag="i"):
    """An item went to so many sessions of one edge, of which there is at least one."""

    channel: Channel
    item_id: ItemId | None
    transport: Transport
    receivers: int


Observed = Subscribed | Connected | Disconnected | Delivered


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be told of. What nobody wants is not even noted."""

    channels: bool = False
    connections: bool = False
    deliveries: bool = False

    def __or__(self, other: Interest) -> Interest:
        """Return what one of the two wants."""
        return Interest(
            channels=self.channels or other.channels,
            connections=self.connections or other.connections,
            deliveries=self.deliveries or other.deliveries,
        )

    @property
    def is_any(self) -> bool:
        """Whether there is anything to be told of."""
        return self.channels or self.connections or self.deliveries
