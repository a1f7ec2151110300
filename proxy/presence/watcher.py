"""Makes presence notices of what the edges' observers are told: a channel's first subscriber and its last, and ends.

What is told here is of all workers together. A channel counts once, whatever kinds of connections are on it.
"""

from __future__ import annotations

from collections.abc import Callable

from handlers.protocol.names import Channel
from handlers.protocol.observed import Disconnected, Mode, Observed, Subscribed
from proxy.protocol.presence_notice import ChannelSubscribed, ChannelUnsubscribed, ConnectionEnded, Notice, Started


class PresenceWatcher:
    """An `Observer` (`handlers.observer`). `tell` gets each notice; `wall` returns the time in seconds since 1970."""

    def __init__(
        self, tell: Callable[[Notice], None], *, channels: bool, connections: bool, wall: Callable[[], float]
    ) -> None:
        self._tell = tell
        self._tells_channels = channels
        self._tells_connections = connections
        self._wall = wall
        self._modes: dict[Channel, set[Mode]] = {}

    def start(self) -> None:
        """Tell that nobody is there yet."""
        self._tell(Started(at=self._wall()))

    def observe(self, event: Observed) -> None:
        """Take note of what has happened."""
        match event:
            case Subscribed() if self._tells_channels:
                self._subscribed(event)
            case Disconnected(mode="stream" | "ws" as kind) if self._tells_connections:
                self._tell(
                    ConnectionEnded(
                        at=self._wall(),
                        id=event.id,
                        kind=kind,
                        channels=event.channels,
                        route=event.route,
                    )
                )
            case _:
                pass

    def _subscribed(self, event: Subscribed) -> None:
        modes = self._modes.get(event.channel)
        if event.subscribers:
            if modes is None:
                self._modes[event.channel] = {event.mode}
                self._tell(ChannelSubscribed(at=self._wall(), channel=event.channel))
            else:
                modes.add(event.mode)
        elif modes is not None:
            modes.discard(event.mode)
            if not modes:
                del self._modes[event.channel]
                self._tell(ChannelUnsubscribed(at=self._wall(), channel=event.channel))
