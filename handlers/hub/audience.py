"""All subscribers of the hub, and the fan-out of updates to them.

`deliver` is the hot path, called when an update is stored: synchronous, no matter how many are connected that do not
receive. Each session gets an update once, however many of its matchers match however many of the topics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Set
from typing import NoReturn, Protocol

from handlers.counters import Counters
from handlers.errors import HubRefusal
from handlers.hub.frames import Frames
from handlers.hub.stream import HubStream
from handlers.hub.subscriber import Readable, Readables
from handlers.hub.topic_index import HubSession, SubscriberRow, TopicIndex, gather
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

    def deliver(self, update: Update) -> int:
        """Give `update` to everybody who is subscribed to it and may read it; return how many there were."""
        if update.presence is None:
            rows = (row for topic in update.topics for row in self._rows(topic))
            return self._send(*gather(rows), Frames(update), update)
        return self._deliver_presence(update)

    def _deliver_presence(self, update: Update) -> int:
        """Tell of a subscription, to each watcher in its dialect; who speaks both is told in the current one."""
        assert update.presence is not None, "asked by the caller"
        current_topic, legacy_topic = update.topics
        chunked, others = gather(self._current.rows(current_topic))
        told = {*chunked, *others}
        receivers = self._send_presence(chunked, others, update, legacy=False)
        chunked, others = gather(self._legacy.rows(legacy_topic))
        chunked = tuple(session for session in chunked if session not in told)
        others = tuple(session for session in others if session not in told)
        return receivers + self._send_presence(chunked, others, update, legacy=True)

    def _send_presence(
        self, chunked: tuple[HubStream, ...], others: tuple[HubSession, ...], update: Update, *, legacy: bool
    ) -> int:
        if not chunked and not others:
            return 0  # nobody watches: nothing to encode
        return self._send(chunked, others, Frames(encode_presence(self._hub_path, update, legacy=legacy)), update)

    def _send(
        self, chunked: tuple[HubStream, ...], others: tuple[HubSession, ...], frames: Frames, update: Update
    ) -> int:
        if update.private:
            may_read = self._reader_of(update)
            chunked = tuple(session for session in chunked if may_read(session.subscriber.readable))
            others = tuple(session for session in others if may_read(session.subscriber.readable))
        if chunked:
            write_all(chunked, frames.chunk, self._clock.now())
        for session in others:
            guarded(session, session.deliver, frames)
        self._counters.deliveries += len(chunked) + len(others)
        return len(chunked) + len(others)

    def _reader_of(self, update: Update) -> Callable[[Readable], bool]:
        """Return a function that says who may read a private update; equal grants are asked once."""
        known: dict[Readable, bool] = {}
        matches = self.matching.matches

        def may_read(readable: Readable) -> bool:
            found = known.get(readable)
            if found is None:
                found = known[readable] = readable.lets(update.topics, matches)
            return found

        return may_read

    def _rows(self, topic: Topic) -> Iterator[SubscriberRow]:
        yield from self._current.rows(topic)
        yield from self._legacy.rows(topic)

    def _index_of(self, matcher: Matcher) -> TopicIndex:
        return self._legacy if matcher.is_legacy else self._current
