"""The items of one session that has a filter to ask (`http-check`, `http-modify`): one after the other, in their order.

An item waits here until those before it have been asked about, on whatever channel they came; only then is it looked at
whether it is the next one of its channel. Sessions without such a filter have no queue.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, assert_never

from handlers.channel_rows import Held
from handlers.counters import Counters
from handlers.door import Asker
from handlers.linked_stream import LinkedStreamSession
from handlers.protocol.filter_run import Asking, FilterRun
from handlers.protocol.http_filter import Dropped, Failed, Passed, Question, Verdict, url_of
from handlers.protocol.items import Item
from handlers.protocol.names import Channel
from handlers.protocol.percent_template import FilterError
from handlers.protocol.subscribing import Subscription, Suspended, id_on, last_seen, place_for, with_place
from handlers.session import Session, guarded
from handlers.stream import StreamSession

log = logging.getLogger("holdfast.edge")

WAITING = 100
"""Items that may wait in one session; with one more it is cut."""


class Room(Protocol):
    """The edge, to a queue."""

    def subscribe(self, session: Held, subscription: Subscription) -> None:
        """Give a session another place on its channel."""
        ...

    def give(self, session: Held, item: Item, content: bytes | None) -> None:
        """Do with an item what it says, with this content."""
        ...

    def follows(self, session: Session, subscription: Subscription, item: Item) -> bool:
        """Say whether an item is the next one on a place that has them in order; see to the gap if it is not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An item, the `content-filters` it is for, and the content that filters may change."""

    item: Item
    wanted: tuple[str, ...] | None
    content: bytes | None
    told: set[Session] | None = None
    """Who has had one of the items of which each session gets one only (`Edge.deliver_once`)."""


class FilterQueue:
    """One session's. `put` and `close`; all else comes from the answers."""

    __slots__ = ("_asker", "_call_off", "_counters", "_is_closed", "_room", "_run", "_session", "_waiting")

    def __init__(self, session: Held, *, room: Room, asker: Asker | None, counters: Counters) -> None:
        self._session = session
        self._room = room
        self._asker = asker
        self._counters = counters
        self._waiting: deque[Waiting] = deque()
        self._run: FilterRun | None = None
        """Of the first one that waits, while it is asked about."""
        self._call_off: Callable[[], None] | None = None
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether the next item has to wait."""
        return self._run is not None

    def put(self, waiting: Waiting) -> None:
        """Take an item; it goes on at once if no other waits."""
        if len(self._waiting) >= WAITING:
            self._counters.filter_overflows += 1
            self._session.cut(f"{WAITING} items wait for the answers of its filters")
            return
        self._waiting.append(waiting)
        self._go_on()

    def close(self) -> None:
        """The session has ended: nothing more is asked or given."""
        self._is_closed = True
        left, self._run = len(self._waiting), None
        self._waiting.clear()
        call_off, self._call_off = self._call_off, None
        if call_off is not None:
            call_off()
        if left:
            self._counters.filter_items_left += left
            log.info("%s ended with %d items that waited for its filters", self._session.label, left)

    def _go_on(self) -> None:
        while self._waiting and self._run is None:
            self._begin(self._waiting[0])

    def _begin(self, waiting: Waiting) -> None:
        """Look at the first one: it is done with, or has been asked about, when this returns."""
        session, item = self._session, waiting.item
        place = self._place(item.channel)
        if place is None or (waiting.told is not None and session in waiting.told):
            self._done()
        elif type(place) is Suspended:
            self._done()
            self._keep(item)
        elif place.prev_id is not None and not self._room.follows(session, place, item):
            self._done()
        elif waiting.wanted is not None and place.content_filters != waiting.wanted:
            self._counters.deliveries_filtered += 1
            self._note(place, item)
            self._done()
            guarded(session, mismatch, session, place, waiting.wanted)
        else:
            # Filters see the ids with this item among them, which is noted only when they have answered.
            places = with_place(session.subscriptions, moved(place, item))
            self._run = FilterRun(
                place.filters,
                content=waiting.content,
                meta=session.meta,
                item_meta=dict(item.meta),
                is_subscribed=session.is_subscribed,
                id_on=partial(_id_on, places, session.prefix),
            )
            self._step(waiting)

    def _step(self, waiting: Waiting) -> None:
        assert self._run is not None, "it has begun"
        try:
            found = self._run.step()
            if isinstance(found, Asking):
                self._ask(found, waiting)
                return
        except FilterError as error:
            self._end(waiting, Failed(reason=str(error)))
        else:
            self._end(waiting, found)

    def _ask(self, asking: Asking, waiting: Waiting) -> None:
        session, item = self._session, waiting.item
        url = url_of(asking.name, session.meta)
        if self._asker is None:
            raise FilterError(f"{asking.name}: there is nobody to ask it")
        place = self._place(item.channel)
        places = session.subscriptions if place is None else with_place(session.subscriptions, moved(place, item))
        question = Question(
            filter=asking.name,
            url=url,
            origin=session.label,
            route=session.route,
            content=asking.content,
            meta=dict(session.meta),
            item_meta=item.meta,
            last_seen=last_seen(places, prefix=session.prefix),
        )
        self._call_off = self._asker.ask(question, partial(self._answered, asking.name))

    def _answered(self, name: str, verdict: Verdict) -> None:
        self._call_off = None
        if not self._is_closed:
            guarded(self._session, self._take, name, verdict)

    def _take(self, name: str, verdict: Verdict) -> None:
        assert self._run is not None, "it was asked for"
        waiting = self._waiting[0]
        match verdict:
            case Passed(content=content):
                self._run.take(content)
                self._step(waiting)
            case Failed(reason=reason):
                self._end(waiting, Failed(reason=f"{name}: {reason}"))
            case Dropped():
                self._end(waiting, verdict)
            case _:
                assert_never(verdict)
        self._go_on()

    def _end(self, waiting: Waiting, verdict: Verdict) -> None:
        """The filters are through with the first one."""
        item = waiting.item
        place = self._place(item.channel)
        self._done()
        if type(place) is Suspended:
            self._keep(item)  # its backend is being asked, and does not know of it
            return
        if place is None or (place.prev_id is not None and not self._room.follows(self._session, place, item)):
            return
        self._note(place, item)
        match verdict:
            case Passed(content=content):
                if waiting.told is not None:
                    waiting.told.add(self._session)
                self._room.give(self._session, item, content)
            case Dropped():
                self._counters.deliveries_filtered += 1
                log.debug("%s channel=%s filtered", self._session.label, item.channel)
            case Failed(reason=reason):
                not_applied(self._session, item.channel, reason, self._counters)
            case _:
                assert_never(verdict)

    def _done(self) -> None:
        self._run = None
        if self._waiting:
            self._waiting.popleft()

    def _place(self, channel: Channel) -> Subscription | None:
        session = self._session
        takes_wildcards = session.site.settings.wildcard_subscriptions
        return place_for(channel, session.subscriptions, takes_wildcards=takes_wildcards)

    def _note(self, place: Subscription, item: Item) -> None:
        if place.prev_id is not None:
            self._room.subscribe(self._session, moved(place, item))

    def _keep(self, item: Item) -> None:
        assert isinstance(self._session, LinkedStreamSession), "no other is ever suspended"
        guarded(self._session, self._session.keep, item)


def moved(place: Subscription, item: Item) -> Subscription:
    """Return a place as it is behind an item. One without an id ends the checking (reference 3.9, step 2)."""
    return place if place.prev_id is None else replace(place, prev_id=item.id)


def mismatch(session: Session, subscription: Subscription, wanted: tuple[str, ...]) -> None:
    """Tell of an item that this session's filters do not fit; on a debug route the client is told, and ended."""
    log.debug("%s channel=%s content filter mismatch", session.label, subscription.channel)
    if isinstance(session, StreamSession) and session.debug:
        filters = subscription.content_filters
        text = f"\n\ncontent filter mismatch: subscription={','.join(filters)} message={','.join(wanted)}\n"
        session.finish(text.encode())


def not_applied(session: Session, channel: Channel, why: str, counters: Counters) -> None:
    """Tell of an item that a session does not get because of a filter; on a debug route a stream ends with that."""
    counters.filters_failed += 1
    log.warning("%s channel=%s item not delivered: %s", session.label, channel, why)
    if isinstance(session, StreamSession) and session.debug:
        guarded(session, session.finish, f"\n\n{why}\n".encode("utf-8", "replace"))


def _id_on(places: tuple[Subscription, ...], prefix: str, name: str) -> str | None:
    return id_on(places, prefix + name)
