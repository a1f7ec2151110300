"""GRIP channels and Mercure topics as one namespace, when the operator says so.

An update also goes to whoever a backend has put on the channel of one of its topics, in the form of the hold: its event
to a stream, its data as the answer of a long poll and as a message of a WebSocket. An item with an `http-stream` format
also becomes an update of the topic that is called like its channel; it is stored before it is delivered to either side.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from handlers.broker import Broker, Outlet
from handlers.counters import Counters
from handlers.hub.hub import Hub, new_event_id
from handlers.protocol.items import (
    Action,
    HttpResponseFormat,
    HttpStreamFormat,
    Item,
    MessageKind,
    WsMessageFormat,
)
from handlers.protocol.mercure.event import encode_event, parse_events
from handlers.protocol.mercure.matcher import WILDCARD
from handlers.protocol.mercure.reserved import is_reserved
from handlers.protocol.mercure.subscription import EVENT_TYPE
from handlers.protocol.mercure.target import is_target
from handlers.protocol.mercure.text import is_plain_text
from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.names import Channel, EventId, ItemId, Topic

log = logging.getLogger("holdfast.hub")

Key = tuple[Channel, ItemId]


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A publication on its way: its items go to channels once none of its updates is left to be stored."""

    items: Sequence[Item]
    done: asyncio.Future[None]
    left: int = 0
    error: BaseException | None = None
    """Why one of its updates is not stored."""
    keys: list[Key] = field(default_factory=list)
    """Those of its items whose storing it has begun."""
    before: list[Waiting] = field(default_factory=list)
    """Publications ahead of it that have begun to store an item of its own, whose fate it shares."""


class Bridge:
    """Carries updates over to channels, and items to topics. `follow` and `publish` are its two directions."""

    def __init__(
        self,
        *,
        hub: Hub,
        edge: Outlet,
        broker: Broker,
        counters: Counters,
        hub_path: str,
        shows_private: bool,
        makes_private: bool,
    ) -> None:
        """`shows_private`: private updates reach channels. `makes_private`: items become private updates."""
        self._hub = hub
        self._edge = edge
        self._broker = broker
        self._counters = counters
        self._hub_path = hub_path
        self._shows_private = shows_private
        self._makes_private = makes_private
        self._owners: dict[EventId, list[Waiting]] = {}
        """Who waits for an update that an item became, until that is stored."""
        self._storing: dict[Key, tuple[Waiting, tuple[EventId, ...]]] = {}
        self._waiting: deque[Waiting] = deque()

    def follow(self, update: Update) -> None:
        """Deliver an update to the sessions on the channels of its topics, each once (`Hub.follower`)."""
        if update.id in self._owners:
            # Its item reaches the channel itself, in this place of the order.
            self._answered(update.id, None)
            return
        if update.private and not self._shows_private:
            return
        items = [item_of(update, Channel(topic)) for topic in update.topics if not is_target(topic)]
        if items:
            self._edge.deliver_once(items)

    def publish(self, items: Sequence[Item]) -> asyncio.Future[None] | None:
        """Store what `items` say on topics, then deliver them on channels (`broker.PublishSink`).

        None says that it is done. The future has StorageError when something could not be stored; then nothing is
        delivered on channels. Whoever waits for it may leave: the items are delivered all the same, in the order of
        the calls, items that become no update among them.
        """
        waiting = Waiting(items=items, done=asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        waiting.left = 1  # until all its updates are on their way: the first ones may be stored meanwhile
        for item in items:
            self._store(item, waiting)
        waiting.left -= 1
        self._go_on()
        if not waiting.done.done():
            return waiting.done
        waiting.done.result()
        return None

    def _store(self, item: Item, waiting: Waiting) -> None:
        """Have an item's updates stored. Of one that is being stored already the outcome is waited for."""
        key = None if item.id is None else (item.channel, item.id)
        if key is not None and key in self._storing:
            before, ids = self._storing[key]
            waiting.before.append(before)
            self._own(waiting, (event_id for event_id in ids if event_id in self._owners))
            return
        updates = tuple(self._updates_of(item))
        self._own(waiting, (update.id for update in updates))
        if key is not None and updates:
            self._storing[key] = waiting, tuple(update.id for update in updates)
            waiting.keys.append(key)
        for update in updates:
            self._hub.publish(update).add_done_callback(partial(self._failed, update.id))

    def _own(self, waiting: Waiting, ids: Iterable[EventId]) -> None:
        for event_id in ids:
            self._owners.setdefault(event_id, []).append(waiting)
            waiting.left += 1

    def _failed(self, event_id: EventId, stored: asyncio.Future[StoredUpdate]) -> None:
        # One that is stored has been answered by `follow`, in its place of the order.
        if stored.exception() is not None:
            self._answered(event_id, stored.exception())

    def _answered(self, event_id: EventId, error: BaseException | None) -> None:
        for waiting in self._owners.pop(event_id, ()):
            waiting.left -= 1
            waiting.error = waiting.error or error
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._waiting[0].left:
            self._finish(self._waiting.popleft())

    def _finish(self, waiting: Waiting) -> None:
        for key in waiting.keys:
            del self._storing[key]
        error = waiting.error or next((each.error for each in waiting.before if each.error), None)
        waiting.before.clear()
        waiting.error = error
        try:
            if error is None:
                self._broker.publish(waiting.items)
        except Exception as failure:  # noqa: BLE001  # whoever waits for `done` gets it
            error = failure
        if waiting.done.done():
            return
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)

    def _updates_of(self, item: Item) -> Iterator[Update]:
        """Yield an update for each event of the item's stream format; none if the item was published before."""
        published = item.http_stream
        if published is None or published.action is not Action.SEND or not published.content:
            return
        if self._broker.knows(item):
            return
        topic = Topic(item.channel)
        if not topic or topic == WILDCARD or not is_plain_text(topic) or is_reserved(topic, self._hub_path):
            self._refuse(item, "no topic can have this name")
            return
        if published.content_filters is not None:
            self._refuse(item, "it is for subscriptions with filters")
            return
        try:
            events = parse_events(published.content)
        except ValueError:
            self._refuse(item, "it is not text")
            return
        for event in events:
            kind = event.type if is_plain_text(event.type) and event.type != EVENT_TYPE else ""
            yield Update(
                topics=(topic,),
                id=new_event_id(),
                data=event.data,
                private=self._makes_private,
                type=kind,
                retry=event.retry or 0,
            )

    def _refuse(self, item: Item, why: str) -> None:
        self._counters.mercure_unbridged += 1
        log.info("channel=%.200s item not made an update: %s", item.channel, why)


def item_of(update: Update, channel: Channel) -> Item:
    """Return what the sessions on a channel get of an update."""
    data = update.data.encode()
    return Item(
        channel=channel,
        http_stream=HttpStreamFormat(content=encode_event(update)),
        http_response=HttpResponseFormat(body=data),
        ws_message=WsMessageFormat(kind=MessageKind.TEXT, content=data),
    )
