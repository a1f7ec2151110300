"""All sessions of this process, indexed by channel, and the fan-out to them.

`deliver_all` is the hot path. It is synchronous, encodes each form of an item once, writes what is for one channel to
each receiver with one call and touches nobody else. Rows are walked as tuples made when membership last changed, so a
session may leave (or be cut, or be given back and held again) in the middle of a delivery without disturbing it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from time import perf_counter
from typing import assert_never

from msgspec.structs import replace

from handlers.channel_rows import ChannelRows, Held, row_of
from handlers.connection_events import connected, disconnected
from handlers.counters import Counters
from handlers.door import Asker
from handlers.filter_queue import moved
from handlers.filtering import Filtering, Told
from handlers.giving import OPCODES, Giving
from handlers.linked_stream import LinkedStreamSession
from handlers.observer import Observer
from handlers.open_ended import write_all
from handlers.places import Places
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.item_run import split_runs
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.names import Channel
from handlers.protocol.observed import Interest
from handlers.protocol.sifting import sift
from handlers.protocol.subscribing import NO_INQUIRY, Inquiry, Subscription, Suspended, place_for, with_place
from handlers.protocol.ws_deflate import deflate_frame
from handlers.protocol.ws_frames import CloseReason, encode_frame
from handlers.reliability import Reliability
from handlers.response import Encoded, ResponseSession
from handlers.session import Session, guarded
from handlers.settings import HoldSettings
from handlers.stream import StreamSession
from handlers.timers import Clock, TimerWheel
from handlers.websocket import WebSocketSession

log = logging.getLogger("holdfast.edge")


class Edge:
    """Subscribes sessions and delivers items to them."""

    counted = "receivers"
    """What `deliver_all` counts, for the log."""

    def __init__(self, *, clock: Clock, wheel: TimerWheel, counters: Counters, settings: HoldSettings) -> None:
        self._clock = clock
        self._counters = counters
        self._places = Places(takes_wildcards=settings.wildcard_subscriptions)
        self._channels = self._places.channels
        self._takes_wildcards = settings.wildcard_subscriptions
        self._watcher: Observer | None = None
        self._worker = 1
        self._reliability = Reliability(
            on_channel=self._places.held_on, clock=clock, wheel=wheel, counters=counters, settings=settings
        )
        self._filtering = Filtering(counters=counters, is_due=self._is_due, room=self)
        self._giving = Giving(clock=clock, counters=counters)
        self.give = self._giving.give
        """Gives one item to one session, with content of its own (`handlers.filter_queue.Room`)."""
        self._sessions: set[Session] = set()
        self.arrivals = 0
        """Grows whenever something is published, or everybody is to ask anew: an answer begun earlier may be older."""
        self.on_items: Callable[[Sequence[Item]], None] | None = None
        """Called with what is published, before anybody gets it; returns at once and raises nothing."""

    def watch(self, observer: Observer, interest: Interest, *, worker: int = 1) -> None:
        """Tell `observer` what it wants to know, before anybody is held. `worker` is the number of this process's."""
        self._worker = worker
        self._places.watcher = observer if interest.channels else None
        self._watcher = observer if interest.connections else None

    def let_ask(self, asker: Asker) -> None:
        """Have `asker` asked about the items of sessions whose filters are their backends', before anybody is held."""
        self._filtering.asker = asker

    @property
    def sessions(self) -> Set[Session]:
        """Every session held now: a live view, to be copied before a walk on which sessions end."""
        return self._sessions

    @property
    def channels(self) -> Mapping[Channel, ChannelRows]:
        """Every channel with somebody on it: a live view, which nobody else changes."""
        return self._channels

    def join(self, session: Held) -> None:
        """Put `session` on the channels of its subscriptions; from here on it receives."""
        self._sessions.add(session)
        self._counters.sessions_opened += 1
        self._count(session, 1)
        if self._watcher is not None:
            self._watcher.observe(connected(session, worker=self._worker))
        for subscription in session.subscriptions:
            self._put(session, subscription)

    def subscribe(self, session: Held, subscription: Subscription) -> None:
        """Put a session that has joined on one more channel, or give it other filters there."""
        session.subscriptions = with_place(session.subscriptions, subscription)
        if session in self._sessions:
            self._put(session, subscription)

    def unsubscribe(self, session: Held, channel: Channel) -> None:
        """Take a session off a channel; harmless when it is not there."""
        session.subscriptions = tuple(each for each in session.subscriptions if each.channel != channel)
        self._take_off(session, channel)

    def resubscribe(self, session: StreamSession, subscriptions: tuple[Subscription, ...]) -> None:
        """Put a session on these channels and take it off all others (`handlers.linked_stream.Room`)."""
        wanted = {each.channel for each in subscriptions}
        for before in session.subscriptions:
            if before.channel not in wanted:
                self._take_off(session, before.channel)
        session.subscriptions = subscriptions
        if session in self._sessions:
            for subscription in subscriptions:
                self._put(session, subscription)

    def published(self, subscriptions: Sequence[Subscription]) -> tuple[int, ...]:
        """Return for each channel a number that changes with every publication (`handlers.linked_stream.Room`)."""
        rows = (self._channels.get(each.channel) for each in subscriptions)
        return tuple([-1 if each is None else each.published for each in rows])

    def replay(self, session: LinkedStreamSession, items: Sequence[Item]) -> None:
        """Deliver to a session what was published while its backend was asked, and is not in the answer."""
        sifted = sift(items, session.subscriptions, takes_wildcards=self._takes_wildcards)
        self._counters.items_contained += sifted.contained
        for item in sifted.news:
            alone = ChannelRows()
            place = place_for(item.channel, session.subscriptions, takes_wildcards=self._takes_wildcards)
            if place is not None and session in self._sessions:
                row_of(alone, session).add(session, place)
            if item.http_stream is not None:
                self._deliver_stream(item, alone, None, item.http_stream)
        if session in self._sessions:
            for item in sifted.unsure:
                self._reliability.gap(session, item)

    def leave(self, session: Session) -> None:
        """Take `session` off all its channels; harmless when it is on none."""
        if session not in self._sessions:
            return
        assert isinstance(session, Held), "nothing else can join"
        self._sessions.discard(session)
        self._reliability.recovery.forget(session)
        self._filtering.forget(session)
        self._count(session, -1)
        for subscription in session.subscriptions:
            self._take_off(session, subscription.channel)
        if self._watcher is not None:
            self._watcher.observe(disconnected(session, worker=self._worker))

    @property
    def mark(self) -> int:
        """When it is, for `Inquiry`: a number that grows with the items."""
        return self._reliability.mark

    def catch_up(self, session: Session, asked: Inquiry = NO_INQUIRY) -> None:
        """Update a session that has just been attached, if something came on its channels since its backend answered.

        Of streams and long polls whose backend says what it has seen last (reference 3.6); `asked` is what it said that
        to. A few are updated at once, a crowd in batches.
        """
        if session not in self._sessions:
            return
        if any(self._reliability.has_missed(each, asked, prefix=session.prefix) for each in session.subscriptions):
            self._reliability.recovery.hurry(session)

    def recover(self) -> None:
        """Have every stream and long poll ask its backend again, some at a time (the command `recover`)."""
        self.arrivals += 1
        self._reliability.recover([session for session in self._sessions if session.can_update])

    def deliver_all(self, items: Sequence[Item]) -> list[int]:
        """Give `items`, in their order, to whoever is on their channels; return how many there were for each."""
        self.arrivals += 1
        began = perf_counter()
        if self.on_items is not None:
            self.on_items(items)
        receivers: list[int] = []
        for item in items:
            self._reliability.note(item)
        for run in split_runs(items):
            receivers += self._deliver_run(run) if len(run) > 1 else (self.deliver(run[0]),)
        self._counters.fanout.observe(perf_counter() - began)
        return receivers

    def deliver_once(self, items: Sequence[Item]) -> int:
        """Give each session the first of `items` that reaches it; return how many there were."""
        self.arrivals += 1
        if len(items) == 1:
            return self.deliver(items[0])
        told: set[Session] = set()
        return sum([self.deliver(item, told) for item in items])

    def deliver(self, item: Item, told: set[Session] | None = None) -> int:
        """Give `item` to every session on its channel, each in its own format; return how many there were.

        With `told`, sessions in that set are passed over, and those that receive are put into it.
        """
        rows = self._places.find(item.channel)
        if rows is None:
            return 0
        rows.note_published(1)
        receivers = 0
        if item.http_stream is not None:
            receivers += self._deliver_stream(item, rows, told, item.http_stream)
        if item.http_response is not None:
            receivers += self._deliver_response(item, rows, told, item.http_response)
        if item.ws_message is not None:
            receivers += self._deliver_message(item, rows, told, item.ws_message)
        return receivers

    def _deliver_run(self, run: Sequence[Item]) -> list[int]:
        """Deliver items of one channel that are alike: what each session gets of them leaves in one write."""
        rows = self._places.find(run[0].channel)
        if rows is None:
            return [0] * len(run)
        if rows.is_selective:
            return [self.deliver(item) for item in run]
        rows.note_published(len(run))
        now = self._clock.now()
        contents = [item.http_stream.content for item in run if item.http_stream and item.http_stream.content]
        messages = [item.ws_message for item in run if item.ws_message]
        chunked, raw = rows.chunked.walk(), rows.raw.walk()
        plain, deflated = rows.messages.walk(), rows.deflated.walk()
        if contents and chunked:
            write_all(chunked, b"".join([encode_chunk(content) for content in contents]), now)
        if contents and raw:
            write_all(raw, b"".join(contents), now)
        if messages and plain:
            write_all(plain, b"".join([encode_frame(OPCODES[each.kind], each.content) for each in messages]), now)
        if messages and deflated:
            write_all(deflated, b"".join([deflate_frame(OPCODES[each.kind], each.content) for each in messages]), now)
        streams, websockets = len(chunked) + len(raw), len(plain) + len(deflated)
        self._counters.deliveries += len(contents) * streams + len(messages) * websockets
        receivers: list[int] = []
        for item in run:
            count = streams * (item.http_stream is not None) + websockets * (item.ws_message is not None)
            if item.http_response is not None:
                count += self._deliver_response(item, rows, None, item.http_response)
            receivers.append(count)
        return receivers

    def _deliver_stream(self, item: Item, rows: ChannelRows, told: Told, published: HttpStreamFormat) -> int:
        content = published.content if published.action is Action.SEND else None
        choose, wanted = self._filtering.receivers, published.content_filters
        chunked, changed_chunked = choose(item, told, rows.chunked, wanted, content)
        raw, changed_raw = choose(item, told, rows.raw, wanted, content)
        receivers = len(chunked) + len(raw) + len(changed_chunked) + len(changed_raw)
        if published.action is Action.SEND:
            if published.content:
                self._counters.deliveries += receivers
                now = self._clock.now()
                write_all(chunked, encode_chunk(published.content), now)
                write_all(raw, published.content, now)
                for session, own in changed_chunked + changed_raw:
                    write_all((session,), session.frame(own), now)
        elif published.action is Action.CLOSE:
            for session in chunked + raw:
                guarded(session, session.finish)
        elif published.action is Action.HINT:
            for session in chunked + raw:
                guarded(session, session.update)  # those without a next link go on as they are
        return receivers

    def _deliver_response(self, item: Item, rows: ChannelRows, told: Told, published: HttpResponseFormat) -> int:
        body = published.body if published.action is Action.SEND else None
        sessions, changed = self._filtering.receivers(item, told, rows.responses, published.content_filters, body)
        if published.action is Action.SEND:
            self._counters.deliveries += len(sessions) + len(changed)
            encoded: Encoded = {}
            for session in sessions:
                guarded(session, session.publish, published, encoded)
            for session, own in changed:
                own_encoded: Encoded = {}
                guarded(session, session.publish, replace(published, body=own), own_encoded)
        elif published.action is Action.HINT:
            for session in sessions:
                guarded(session, session.hint)
        return len(sessions) + len(changed)

    def _deliver_message(self, item: Item, rows: ChannelRows, told: Told, published: WsMessageFormat) -> int:
        content = published.content if published.action is Action.SEND else None
        choose, wanted = self._filtering.receivers, published.content_filters
        plain, changed_plain = choose(item, told, rows.messages, wanted, content)
        deflated, changed_deflated = choose(item, told, rows.deflated, wanted, content)
        receivers = len(plain) + len(deflated) + len(changed_plain) + len(changed_deflated)
        match published.action:
            case Action.SEND:
                self._counters.deliveries += len(plain) + len(deflated)
                opcode, now = OPCODES[published.kind], self._clock.now()
                if plain:
                    write_all(plain, encode_frame(opcode, published.content), now)
                if deflated:
                    write_all(deflated, deflate_frame(opcode, published.content), now)
                for session, own in changed_plain + changed_deflated:
                    self._giving.send_message(session, item.channel, published.kind, own)
            case Action.CLOSE:
                reason = CloseReason(code=published.code, reason=published.reason)
                for session in plain + deflated:
                    guarded(session, session.close_by_us, reason)
            case Action.REFRESH:
                for session in plain + deflated:
                    guarded(session, session.refresh)
            case Action.HINT:
                pass  # reference 6.4: a hint says nothing to a WebSocket
            case _:
                assert_never(published.action)
        return receivers

    def _is_due(self, session: Session, subscription: Subscription, item: Item, told: Told) -> bool:
        """Say whether `item` is the next one for a session that has to have them in order; note it, or the gap."""
        assert isinstance(session, Held), "nothing else is in a row"
        if type(subscription) is Suspended:
            assert isinstance(session, LinkedStreamSession), "no other is ever suspended"
            if told is not None:
                told.add(session)
            guarded(session, session.keep, item)
            return False
        if not self.follows(session, subscription, item):
            return False
        self.subscribe(session, moved(subscription, item))
        return True

    def follows(self, session: Session, subscription: Subscription, item: Item) -> bool:
        """Say whether `item` is the next one on a place that has them in order, and see to the gap if it is not."""
        if item.prev_id == subscription.prev_id:
            return True
        if item.id == subscription.prev_id:
            self._counters.items_contained += 1  # the very one that the backend says it has told of
        else:
            self._reliability.gap(session, item)
        return False

    def _put(self, session: Held, subscription: Subscription) -> None:
        if self._places.put(session, subscription):
            self._reliability.came(subscription.channel)

    def _take_off(self, session: Held, channel: Channel) -> None:
        if self._places.take_off(session, channel) and isinstance(session, ResponseSession):
            self._reliability.emptied(channel)

    def _count(self, session: Held, step: int) -> None:
        match session:
            case StreamSession():
                self._counters.sessions_stream += step
            case ResponseSession():
                self._counters.sessions_response += step
            case WebSocketSession():
                self._counters.sessions_websocket += step
            case _:
                assert_never(session)
