"""From the channels a backend names to the channels a session sits on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from handlers.protocol.filters import HTTP_FILTERS, IN_TURN, needs_look
from handlers.protocol.instruct import ChannelHold
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.wildcards import covers, is_wildcard

LastSeen = tuple[tuple[str, ItemId], ...]
"""Channels by the backend's names for them, each with the id of the last item that a session has had there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What a backend was told when it was asked for what came since, and when: `mark` is the edge's (`Edge.mark`)."""

    last_seen: LastSeen = ()
    mark: int = 0


NO_INQUIRY = Inquiry()
"""Of a request that tells its backend of nothing seen."""

CONTENT_FILTERS = frozenset(("build-id", "var-subst", "http-modify"))
"""Filters that change content. An item's `content-filters` must equal a subscription's list of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A session's place on a channel, and the names of the filters that its items pass through, in order.

    With `prev_id`, the id of the item it has had last, items must follow that one (reference 3.6).
    """

    channel: Channel
    filters: tuple[str, ...] = ()
    prev_id: ItemId | None = None

    @property
    def is_selective(self) -> bool:
        """Whether each item has to be looked at before it is delivered."""
        return self.prev_id is not None or needs_look(self.filters)

    @property
    def content_filters(self) -> tuple[str, ...]:
        """Those of the filters that change content."""
        return tuple(name for name in self.filters if name in CONTENT_FILTERS)


class Suspended(Subscription):
    """A place on a channel whose items are kept in the session until the backend has told what came before them.

    A kind of its own and no field, so that those who are never suspended do not pay for it.
    """

    __slots__ = ()

    @property
    def is_selective(self) -> bool:
        """Each item has to be looked at: it is kept."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribing:
    """What a hold subscribes to, and which channels were one too many."""

    subscriptions: tuple[Subscription, ...]
    refused: tuple[Channel, ...]


def subscribing(
    channels: Iterable[ChannelHold],
    *,
    prefix: str,
    implicit: Iterable[Channel],
    limit: int,
    takes_wildcards: bool = False,
) -> Subscribing:
    """Put the route's prefix before the backend's channels and add the target's implicit ones.

    A channel named twice counts once, with the filters named last. Only the first `limit` of the backend's
    channels are subscribed; implicit ones, which the operator wrote, always are. With `takes_wildcards`, an id that was
    seen last means nothing on a channel that stands for many: ids are each channel's own.
    """
    named: dict[Channel, Subscription] = {}
    refused: dict[Channel, None] = {}
    for channel in channels:
        name = Channel(prefix + channel.name)
        if name not in named and len(named) >= limit:
            refused[name] = None
            continue
        prev_id = None if takes_wildcards and is_wildcard(name) else channel.prev_id
        named[name] = Subscription(channel=name, filters=channel.filters, prev_id=prev_id)
    for name in implicit:
        named.setdefault(name, Subscription(channel=name))
    return Subscribing(subscriptions=in_turn(tuple(named.values())), refused=tuple(refused))


def with_place(subscriptions: tuple[Subscription, ...], place: Subscription) -> tuple[Subscription, ...]:
    """Return the subscriptions with `place` among them: where one of its channel was, or else behind all others."""
    if any(each.channel == place.channel for each in subscriptions):
        return tuple([place if each.channel == place.channel else each for each in subscriptions])
    return (*subscriptions, place)


def place_for(channel: Channel, subscriptions: Iterable[Subscription], *, takes_wildcards: bool) -> Subscription | None:
    """Return the place by which items of a channel come: its own, or else the longest that covers it (row X01)."""
    best: Subscription | None = None
    for each in subscriptions:
        if each.channel == channel:
            return each
        covers_it = takes_wildcards and is_wildcard(each.channel) and covers(each.channel, channel)
        if covers_it and (best is None or len(best.channel) < len(each.channel)):
            best = each
    return best


def in_turn(subscriptions: tuple[Subscription, ...]) -> tuple[Subscription, ...]:
    """Return the places of a session with the mark that its items wait for each other, if any has a filter to ask."""
    if all(HTTP_FILTERS.isdisjoint(each.filters) for each in subscriptions):
        return subscriptions
    return tuple([each if IN_TURN in each.filters else _marked(each) for each in subscriptions])


def _marked(subscription: Subscription) -> Subscription:
    return replace(subscription, filters=(*subscription.filters, IN_TURN))


def id_on(subscriptions: Iterable[Subscription], channel: str) -> str | None:
    """Return the id that was seen last on a channel, empty if that is not known; None off the channel."""
    for each in subscriptions:
        if each.channel == channel:
            return each.prev_id or ""
    return None


def suspended(subscription: Subscription) -> Subscription:
    """Return the same place, with its items kept for later."""
    return Suspended(channel=subscription.channel, filters=subscription.filters, prev_id=subscription.prev_id)


def resumed(subscription: Subscription) -> Subscription:
    """Return the same place, with its items delivered as they come."""
    return Subscription(channel=subscription.channel, filters=subscription.filters, prev_id=subscription.prev_id)


def was_asked(inquiry: Inquiry, subscription: Subscription, *, prefix: str) -> bool:
    """Say whether a backend was asked what came on a channel; its own name for that has no `prefix`."""
    name = subscription.channel.removeprefix(prefix)
    return any(channel == name for channel, _ in inquiry.last_seen)


def last_seen(subscriptions: Iterable[Subscription], *, prefix: str) -> LastSeen:
    """Return what a backend is told when it is asked for what came since: its own names have no `prefix`."""
    return tuple(
        [(each.channel.removeprefix(prefix), each.prev_id) for each in subscriptions if each.prev_id is not None]
    )
