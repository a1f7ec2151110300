"""What somebody outside of the room may want to be told of what goes on in it.

Implemented by `publish_api.zeromq.stats`. Whoever has one calls it synchronously, behind what it tells of; it returns
at once and raises nothing. Where nobody wants to know there is None, and nothing is called.
"""

from __future__ import annotations

from typing import Literal, Protocol

from handlers.protocol.items import Item
from handlers.protocol.names import Channel

Mode = Literal["response", "stream", "ws"]
"""How a session is held."""

Transport = Literal["http-response", "http-stream", "ws-message"]
"""The format in which an item was delivered."""


class Observer(Protocol):
    """Told of deliveries, of channels' subscribers, and of connections."""

    def delivered(self, item: Item, transport: Transport, receivers: int) -> None:
        """An item went to so many sessions, of which there is at least one."""
        ...

    def subscribed(self, mode: Mode, channel: Channel, subscribers: int) -> None:
        """A channel has so many sessions of this mode now; 0 says that the last one has left."""
        ...

    def connected(self, connection_id: str, kind: Literal["http", "ws"], peer: str, *, is_tls: bool) -> None:
        """A client has come, from the IP address `peer`."""
        ...

    def disconnected(self, connection_id: str) -> None:
        """That client has gone."""
        ...
