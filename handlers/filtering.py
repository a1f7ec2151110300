"""Who of a row gets an item, and what of it: order, `content-filters` and filters, asked session by session.

The edge calls this for each row that it delivers to. A row in which nobody has to be looked at is walked as it stands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from handlers.channel_rows import Held, Row, S
from handlers.counters import Counters
from handlers.door import Asker
from handlers.filter_queue import FilterQueue, Room, Waiting, mismatch, not_applied
from handlers.protocol.filters import IN_TURN, apply_content, passes
from handlers.protocol.items import Item
from handlers.protocol.percent_template import FilterError
from handlers.protocol.subscribing import Subscription, Suspended
from handlers.session import Session, guarded

log = logging.getLogger("holdfast.edge")

Told = set[Session] | None
"""Who has had one of several items of which each session gets one; None where each gets all."""

Changed = tuple[S, bytes]
"""A session, and the content that its filters make of an item for it alone."""

IsDue = Callable[[Session, Subscription, Item, Told], bool]
"""Says whether an item is the next one for a session that has to have them in order."""


class Filtering:
    """The look at each session of a selective row."""

    def __init__(self, *, counters: Counters, is_due: IsDue, room: Room) -> None:
        self.asker: Asker | None = None
        """Who asks backends about items; without one, items that one would have to be asked about are not delivered."""
        self._counters = counters
        self._is_due = is_due
        self._room = room
        self._queues: dict[Session, FilterQueue] = {}

    def receivers(
        self, item: Item, told: Told, row: Row[S], wanted: tuple[str, ...] | None, content: bytes | None
    ) -> tuple[tuple[S, ...], list[Changed[S]]]:
        """Return who gets the item as it is, and who gets content of its own; None is no content to change.

        Sessions with a filter that has to be asked are in neither: the item goes to their queues.
        """
        if wanted is None and told is None and not row.is_selective:
            return row.walk(), []
        receivers: list[S] = []
        changed: list[Changed[S]] = []
        item_meta = dict(item.meta)
        for session in row.walk():
            subscription = row.members.get(session)
            if subscription is None or (told is not None and session in told):
                continue  # it has ended since the walk began, or has had its item
            if IN_TURN in subscription.filters and self._has_to_wait(session, subscription):
                self._put(session, Waiting(item=item, wanted=wanted, content=content, told=told))
                continue
            is_ordered = subscription.prev_id is not None or type(subscription) is Suspended
            if is_ordered and not self._is_due(session, subscription, item, told):
                continue
            if wanted is not None and subscription.content_filters != wanted:
                self._counters.deliveries_filtered += 1
                guarded(session, mismatch, session, subscription, wanted)
            elif not is_wanted(session, subscription, item_meta):
                self._counters.deliveries_filtered += 1
                log.debug("%s channel=%s filtered", session.label, item.channel)
            elif content is not None and subscription.content_filters:
                self._change(session, subscription, content, changed)
            else:
                receivers.append(session)
        if told is not None:
            told.update(receivers, (session for session, _ in changed))
        return tuple(receivers), changed

    def forget(self, session: Session) -> None:
        """Let go of what waits for a session's filters: it has ended."""
        queue = self._queues.pop(session, None) if self._queues else None
        if queue is not None:
            queue.close()

    def _put(self, session: Session, waiting: Waiting) -> None:
        queue = self._queues.get(session)
        if queue is None:
            assert isinstance(session, Held), "nothing else is in a row"
            queue = FilterQueue(session, room=self._room, asker=self.asker, counters=self._counters)
            self._queues[session] = queue
        guarded(session, queue.put, waiting)

    def _has_to_wait(self, session: Session, subscription: Subscription) -> bool:
        """Say whether an item is for the session's queue: not while it is kept for a backend's answer anyway."""
        if type(subscription) is not Suspended:
            return True
        queue = self._queues.get(session)
        return queue is not None and queue.is_busy

    def _change(self, session: S, subscription: Subscription, content: bytes, changed: list[Changed[S]]) -> None:
        try:
            own = apply_content(subscription.filters, content, meta=session.meta, id_on=session.id_on)
        except FilterError as error:
            not_applied(session, subscription.channel, str(error), self._counters)
        else:
            changed.append((session, own))


def is_wanted(session: Session, subscription: Subscription, item_meta: Mapping[str, str]) -> bool:
    """Say whether the subscription's filters let an item with this meta through to this session."""
    return passes(subscription.filters, meta=session.meta, item_meta=item_meta, is_subscribed=session.is_subscribed)
