"""From the channels a backend names to the channels a session sits on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from handlers.protocol.instruct import ChannelHold
from handlers.protocol.names import Channel

CONTENT_FILTERS = frozenset(("build-id", "var-subst", "http-modify"))
"""Filters that change content. An item's `content-filters` must equal a subscription's list of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A session's place on a channel, and the names of the filters that its items pass through, in order."""

    channel: Channel
    filters: tuple[str, ...] = ()

    @property
    def content_filters(self) -> tuple[str, ...]:
        """Those of the filters that change content."""
        return tuple(name for name in self.filters if name in CONTENT_FILTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribing:
    """What a hold subscribes to, and which channels were one too many."""

    subscriptions: tuple[Subscription, ...]
    refused: tuple[Channel, ...]


def subscribing(
    channels: Iterable[ChannelHold], *, prefix: str, implicit: Iterable[Channel], limit: int
) -> Subscribing:
    """Put the route's prefix before the backend's channels and add the target's implicit ones.

    A channel named twice counts once, with the filters named last. Only the first `limit` of the backend's
    channels are subscribed; implicit ones, which the operator wrote, always are.
    """
    named: dict[Channel, Subscription] = {}
    refused: dict[Channel, None] = {}
    for channel in channels:
        name = Channel(prefix + channel.name)
        if name not in named and len(named) >= limit:
            refused[name] = None
            continue
        named[name] = Subscription(channel=name, filters=channel.filters)
    for name in implicit:
        named.setdefault(name, Subscription(channel=name))
    return Subscribing(subscriptions=tuple(named.values()), refused=tuple(refused))
