"""What a backend's channels come to for one session: with the route's prefix, within the limit, logged and counted."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from handlers.protocol.instruct import ChannelHold
from handlers.protocol.subscribing import Subscription, subscribing
from handlers.session import Site
from proxy.protocol.route import Route, Target

log = logging.getLogger("holdfast.hold")


def subscribe(
    site: Site, channels: Iterable[ChannelHold], *, route: Route, target: Target | None, label: str, note: str = ""
) -> tuple[Subscription, ...]:
    """Return the subscriptions of a hold that `target` has asked for. `note` ends each log line."""
    limit, takes_wildcards = site.settings.subscription_limit, site.settings.wildcard_subscriptions
    implicit = target.subs if target else ()
    found = subscribing(channels, prefix=route.prefix, implicit=implicit, limit=limit, takes_wildcards=takes_wildcards)
    if found.refused:
        site.counters.channels_over_limit += len(found.refused)
        names = ", ".join(found.refused)
        log.warning("%s: not subscribed, over subscription_limit=%d: %.1000s", label, limit, names)
    if log.isEnabledFor(logging.INFO) and not route.is_quiet:
        for subscription in found.subscriptions:
            log.info("subscribe %s channel=%.200s%s", label, subscription.channel, note)
    return found.subscriptions
