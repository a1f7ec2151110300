"""The clients' server, as each of its connections sees it: whom to tell, and what all of them share.

`proxy.client_server` is one. No more than the types.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from handlers.counters import Counters
from handlers.door import Door
from handlers.timers import Clock, TimerWheel
from proxy.exchange import Exchange
from proxy.protocol.framing import FramingLimits

if TYPE_CHECKING:
    from proxy.connection import ClientConnection

Serve = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """What all connections of a server share."""

    serve: Serve
    limits: FramingLimits
    keep_alive_timeout: float
    body_timeout: float
    user_timeout: float
    clock: Clock
    counters: Counters
    log_from: bool
    """Whether a refused client's address is logged."""


class ConnectionOwner(Door, Protocol):
    """The server, as its connections see it (`proxy.client_server`)."""

    options: ConnectionOptions
    loop: asyncio.AbstractEventLoop
    wheel: TimerWheel
    is_draining: bool
    """Whether each connection's next answer is its last."""
    patience: float
    """Seconds that a connection may be without a request."""

    def admit(self, connection: ClientConnection, transport: asyncio.Transport) -> bool:
        """Note a client's transport, or cut it when there is no room."""
        ...

    def left(self, connection: ClientConnection) -> None:
        """Forget a connection: it speaks HTTP no more, or is closed."""
        ...
