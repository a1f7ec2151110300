"""All subscribers of the hub, and the fan-out of updates to them.

`deliver` is the hot path, called when an update is stored: synchronous, no matter how many are connected that do not
receive. Each session gets an update once, however many of its matchers match however many of the topics.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence, Set
from time import perf_counter
from typing import NoReturn, Protocol

from handlers.counters import Counters
from handlers.errors import HubRefusal
from handlers.hub.frames import Frames
from handlers.hub.subscriber import Readables
from handlers.hub.topic_index import HubSession, Receivers, SubscriberRow, TopicIndex, Walk, gather, split
from handlers.open_ended import write_all
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import Matching
from handlers.protocol.mercure.subscription import encode_presence
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import Topic
from handlers.session import Session, guarded
from handlers.timers import Clock

log = logging.getLogger("holdfast.hub")

TOO_MANY_PATTERNS = "Service Unavailable"
SHARES = 10
TOPICS_AT_ONCE = 100
"""Topics that an update may have whatever is subscribed to: with more, they are counted against the patterns."""


class Watcher(Protocol):
    """Whoever tells of subscriptions (`presence`)."""

    def came(self, session: HubSession) -> None:
        """A subscriber is connected and receives."""
        ...

    def gone(self, session: HubSession) -> None:
        """A subscriber is not connected any more."""
        ...


class Audience:
    """Subscribes sessions and delivers updates to them. For sessions it is the `handlers.session.Index`."""

    def __init__(
        self, *, matching: Matching, clock: Clock, counters: Counters, hub_path: str, unanchored_limit: int
    ) -> None:
        self.matching = matching
        self.readables = Readables()
        self.watcher: Watcher | None = None
        self._clock = clock
        self._counters = counters
        self._hub_path = hub_path
        self._unanchored_limit = unanchored_limit
        self._current = TopicIndex(matching, MatcherKind.URLPATTERN)
        self._legacy = TopicIndex(matching, MatcherKind.SELECTOR)
        self._sessions: dict[Session, None] = {}

    @property
    def sessions(self) -> Set[Session]:
        """Every session held now: a live view, to be copied before a walk on which sessions end."""
        return self._sessions.keys()

    @property
    def subscribers(self) -> tuple[HubSession, ...]:
        """Everybody who is connected, in the order of their coming."""
        return tuple(session for session in self._sessions if isinstance(session, HubSession))

    def check_room(self, matchers: tuple[Matcher, ...]) -> None:
        """Raise HubRefusal when `matchers` make more patterns in one place than a topic may have to be tried on there.

        Of those without an anchor one subscriber may bring a tenth, or the first would take it all.
        """
        current = self._current.growth(each for each in matchers if not each.is_legacy)
        legacy = self._legacy.growth(each for each in matchers if each.is_legacy)
        new = current.pop(None, (0, 0))[1] + legacy.pop(None, (0, 0))[1]
        if new > max(1, self._unanchored_limit // SHARES):
            self._refuse(f"{new} patterns without a beginning are more than a subscriber's share of the")
        if new and self._current.unanchored + self._legacy.unanchored + new > self._unanchored_limit:
            self._refuse("patterns without a beginning are over the")
        for anchor, (there, comers) in (*current.items(), *legacy.items()):
            if there + comers > self._unanchored_limit:
                self._refuse(f"patterns that begin with {anchor:.200} are over the")

    def check_cost(self, topics: Sequence[Topic]) -> None:
        """Raise HubRefusal when an update with `topics` would keep everybody waiting, so many patterns are to be tried.

        A hundred topics are not too many, even with as many patterns in one place as there may be.
        """
        if len(topics) <= TOPICS_AT_ONCE:
            return
        most = TOPICS_AT_ONCE * max(1, self._unanchored_limit)
        tries = sum(self._current.tries(topic) + self._legacy.tries(topic) for topic in topics)
        if tries > most:
            reason = f"its {len(topics)} topics are to be tried on patterns {tries} times, more than {most}"
            raise HubRefusal(503, TOO_MANY_PATTERNS, reason=reason)

    def _refuse(self, what: str) -> NoReturn:
        raise HubRefusal(503, TOO_MANY_PATTERNS, reason=f"{what} unanchored_limit of {self._unanchored_limit}")

    def join(self, session: HubSession) -> None:
        """Subscribe a session; from here on it receives. Raises HubRefusal, and then it is not subscribed.

        Others may have come since the door asked for room.
        """
        self.check_room(session.subscriber.matchers)
        self._sessions[session] = None
        self._counters.sessions_opened += 1
        self._counters.mercure_subscribers += 1
        self._counters.mercure_subscribers_opened += 1
        for matcher in session.subscriber.matchers:
            self._index_of(matcher).add(matcher, session)
        if self.watcher is not None:
            self.watcher.came(session)

    def leave(self, session: Session) -> None:
        """Unsubscribe a session; harmless when it is not subscribed."""
        if session not in self._sessions:
            return
        assert isinstance(session, HubSession), "nothing else can join"
        del self._sessions[session]
        self._counters.mercure_subscribers -= 1
        for matcher in session.subscriber.matchers:
            self._index_of(matcher).discard(matcher, session)
        if self.watcher is not None:
            self.watcher.gone(session)

    def deliver(self, *updates: Update) -> int:
        """Give `updates`, at least one, to all who are subscribed and may read them; return how many there were.

        Several are alike (`handlers.protocol.mercure.update_run`): each receiver gets all of them, in one write.
        """
        began, first = perf_counter(), updates[0]
        if first.presence is None:
            rows = (row for topic in first.topics for row in self._rows(topic))
            receivers = self._send(self._readers(gather(rows), first), Frames(*updates))
        else:
            receivers = self._deliver_presence(first)
        self._counters.fanout.observe(perf_counter() - began)
        return receivers

    def _deliver_presence(self, update: Update) -> int:
        """Tell of a subscription, to each watcher in its dialect; who speaks both is told in the current one."""
        assert update.presence is not None, "asked by the caller"
        current_topic, legacy_topic = update.topics
        current = gather(self._current.rows(current_topic))
        legacy = gather(self._legacy.rows(legacy_topic))
        if current != ((), ()) and legacy != ((), ()):
            told = {*current.streams, *current.others}
            legacy = split(session for sessions in legacy for session in sessions if session not in told)
        receivers = self._send_presence(current, update, legacy=False)
        return receivers + self._send_presence(legacy, update, legacy=True)

    def _send_presence(self, walk: Walk, update: Update, *, legacy: bool) -> int:
        if not walk.streams and not walk.others:
            return 0  # nobody watches: nothing to encode
        readers = self._readers(walk, update)
        return self._send(readers, Frames(encode_presence(self._hub_path, update, legacy=legacy)))

    def _send(self, receivers: Receivers, frames: Frames) -> int:
        streams, others = receivers
        if streams:
            write_all(streams, frames.chunk, self._clock.now())
        for session in others:
            guarded(session, session.deliver, frames)
        count = len(streams) + len(others)
        self._counters.deliveries += count * len(frames.updates)
        return count

    def _readers(self, walk: Walk, update: Update) -> Receivers:
        """Return those of `walk` who may read `update`; equal grants are asked once."""
        if not update.private:
            return walk
        matches = self.matching.matches
        lets = {readable for readable in walk.readables if readable.lets(update.topics, matches)}
        if len(lets) == len(walk.readables):
            return walk
        return Receivers(
            tuple(session for session in walk.streams if session.subscriber.readable in lets),
            tuple(session for session in walk.others if session.subscriber.readable in lets),
        )

    def _rows(self, topic: Topic) -> Iterator[SubscriberRow]:
        yield from self._current.rows(topic)
        yield from self._legacy.rows(topic)

    def _index_of(self, matcher: Matcher) -> TopicIndex:
        return self._legacy if matcher.is_legacy else self._current
