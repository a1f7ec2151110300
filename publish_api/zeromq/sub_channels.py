"""Has the SUB socket subscribe to the channels that somebody is on, as Pushpin does (reference 6.2; row P07).

An observer of the edge, where `zeromq.subscribe` is `channels`. ZeroMQ passes each subscription on to the publishers'
XPUB sockets: a channel's first listener as a byte 1 and its name, the end of its last one as a byte 0 and its name.
"""

from __future__ import annotations

from collections.abc import Callable

from handlers.protocol.carried_name import uncarry
from handlers.protocol.fields import encode_field
from handlers.protocol.names import Channel
from handlers.protocol.observed import Mode, Observed, Subscribed
from handlers.protocol.wildcards import is_wildcard


class SubChannels:
    """An `Observer`. `subscribe` and `unsubscribe` get the bytes that the channels' names begin with."""

    def __init__(
        self,
        *,
        subscribe: Callable[[bytes], None],
        unsubscribe: Callable[[bytes], None],
        takes_wildcards: bool,
    ) -> None:
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._takes_wildcards = takes_wildcards
        self._modes: dict[Channel, set[Mode]] = {}
        """How a channel is listened to; none has an empty set."""

    def observe(self, event: Observed) -> None:
        """Take note of what has happened (`handlers.observer.Observer`)."""
        if not isinstance(event, Subscribed):
            return
        modes = self._modes.get(event.channel)
        if event.subscribers:
            if modes is None:
                self._modes[event.channel] = {event.mode}
                self._subscribe(self._beginning(event.channel))
            else:
                modes.add(event.mode)
        elif modes is not None:
            modes.discard(event.mode)
            if not modes:
                del self._modes[event.channel]
                self._unsubscribe(self._beginning(event.channel))

    def close(self) -> None:
        """Take note of nothing more."""
        self._subscribe = self._unsubscribe = _ignore

    def _beginning(self, channel: Channel) -> bytes:
        # ZeroMQ asks how a name begins, so that one that stands for many is what it asks without the `*`.
        name = uncarry(channel)
        return encode_field(name[:-1] if self._takes_wildcards and is_wildcard(channel) else name)


def _ignore(beginning: bytes) -> None:
    """Do nothing: the socket is closed."""
