"""What the edge knows of order: the newest id of each channel, and who has missed something.

Items that name the one they follow arrive in order as far as that is possible (`broker`). A session whose backend named
the id that it has seen last (`prev-id`) gets an item only behind that one; otherwise its backend is asked (reference
3.6, 3.8). The edge calls this synchronously from deliveries, joins and leaves.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable

from handlers.counters import Counters
from handlers.protocol.first_subscribers import FirstSubscribers
from handlers.protocol.items import Item
from handlers.protocol.last_ids import LastIds
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Inquiry, Subscription, was_asked
from handlers.recovery import Recovery
from handlers.session import Session
from handlers.settings import HoldSettings
from handlers.timers import NOWHERE, Clock, TimerWheel

log = logging.getLogger("holdfast.edge")

OnChannel = Callable[[Channel], Iterable[Session]]


class Reliability:
    """Last ids, first subscribers, and the queue of those that ask their backend again."""

    def __init__(
        self, *, on_channel: OnChannel, clock: Clock, wheel: TimerWheel, counters: Counters, settings: HoldSettings
    ) -> None:
        """`on_channel` gives the streams and long polls on a channel."""
        self.recovery = Recovery(clock=clock, wheel=wheel, counters=counters)
        self.deadline = math.inf
        self.tick = NOWHERE
        self._last_ids = LastIds(limit=settings.last_id_limit)
        self._firsts = FirstSubscribers()
        self._updates_firsts = settings.update_on_first_subscription
        self._on_channel = on_channel
        self._clock = clock
        self._wheel = wheel
        self._counters = counters

    def expire(self, now: float) -> None:
        """Update who is on the channels that are due (`handlers.timers.Timed`)."""
        for channel in self._firsts.take_due(now):
            self.recovery.ask(self._on_channel(channel))
        self._wait()

    def note(self, item: Item) -> None:
        """An item is being delivered: from here on it is its channel's last."""
        if not item.no_seq and (item.id is not None or self._last_ids):
            self._last_ids.note(item.channel, item.id)

    @property
    def mark(self) -> int:
        """A number that grows with every item that is noted: when it was, for `Inquiry`."""
        return self._last_ids.noted

    def has_missed(self, subscription: Subscription, inquiry: Inquiry, *, prefix: str) -> bool:
        """Say whether something came on the channel between the backend's answer and now.

        A backend that was asked (`inquiry`) could know of all that had come by then. Whatever id it names, only what
        came since counts: it would be asked for ever.
        """
        last = self._last_ids.get(subscription.channel)
        if subscription.prev_id is None or last is None or last == subscription.prev_id:
            return False
        if was_asked(inquiry, subscription, prefix=prefix):
            return self._last_ids.came_after(subscription.channel, inquiry.mark)
        return True

    def gap(self, session: Session, item: Item) -> None:
        """An item does not follow what `session` has had: its backend knows what lies between."""
        self._counters.gaps += 1
        log.debug("%s channel=%s id=%s: not what follows, its backend is asked", session.label, item.channel, item.id)
        self.recovery.ask((session,))

    def came(self, channel: Channel) -> None:
        """A channel has got its first subscriber."""
        if self._updates_firsts:
            self._firsts.came(channel, self._clock.now())
            self._wait()

    def emptied(self, channel: Channel) -> None:
        """A channel's last subscriber was a long poll, and has left."""
        if self._updates_firsts:
            self._firsts.emptied(channel, self._clock.now())

    def recover(self, sessions: Iterable[Session]) -> None:
        """Forget all last ids and have all `sessions` updated (the command `recover`)."""
        self._last_ids.clear()
        self.recovery.ask(sessions)

    def _wait(self) -> None:
        self.deadline = self._firsts.next_due
        self._wheel.watch(self)
