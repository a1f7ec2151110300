"""Subscribers by topic matcher, so that a publication looks only at those that can receive it.

Exact topics are found by dictionary. A pattern hangs under its anchor, the literal text it begins with, and is tried
only for topics that begin so; each distinct pattern once, however many sit on it. One index holds the matchers of one
dialect, because subscriptions are told of in the dialect of the watcher.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

from handlers.hub.poll import HubPoll
from handlers.hub.socket import HubSocket
from handlers.hub.stream import HubStream
from handlers.hub.subscriber import Readable
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import CompiledMatcher, Matching
from handlers.protocol.names import Topic

HubSession = HubStream | HubPoll | HubSocket
K = TypeVar("K", Matcher, str)


class Receivers(NamedTuple):
    """Some sessions: chunked streams, which get their bytes in one plain loop, and all others."""

    streams: tuple[HubStream, ...]
    others: tuple[HubSession, ...]


class Walk(Receivers):
    """Receivers that are asked for again and again, as long as nobody comes or goes."""

    @cached_property
    def readables(self) -> frozenset[Readable]:
        """What there is among them of rights to read: who asks for each of these has asked for everybody."""
        return frozenset(session.subscriber.readable for sessions in self for session in sessions)


NOBODY: Final = Walk((), ())


class SubscriberRow:
    """Everybody with one matcher.

    `compiled` is the matcher where that is a pattern, so that it is at hand for as long as somebody is here.
    """

    __slots__ = ("_walk", "compiled", "members")

    def __init__(self, compiled: CompiledMatcher | None = None) -> None:
        self.compiled = compiled
        self.members: dict[HubSession, None] = {}
        self._walk: Walk | None = None

    def add(self, session: HubSession) -> None:
        """Put `session` at the end."""
        self.members[session] = None
        self._walk = None

    def discard(self, session: HubSession) -> None:
        """Take `session` out if it is there."""
        self.members.pop(session, None)
        self._walk = None

    def walk(self) -> Walk:
        """Return everybody as they stand now; the tuples never change under a walker."""
        if self._walk is None:
            self._walk = split(self.members)
        return self._walk


class TopicIndex:
    """The matchers of one dialect; `patterns` is the kind of those that are neither exact nor the wildcard."""

    def __init__(self, matching: Matching, patterns: MatcherKind) -> None:
        self._matching = matching
        self._patterns = patterns
        self._exact: dict[str, SubscriberRow] = {}
        self._everything = SubscriberRow()
        self._anchored: dict[str, dict[Matcher, SubscriberRow]] = {}
        self._unanchored: dict[Matcher, SubscriberRow] = {}

    @property
    def unanchored(self) -> int:
        """How many patterns every topic has to be tried on."""
        return len(self._unanchored)

    def growth(self, matchers: Iterable[Matcher]) -> dict[str | None, tuple[int, int]]:
        """Return what `matchers` would do to each place that gets new ones, by its anchor: (patterns there, new ones).

        None is the place without an anchor.
        """
        wanted: dict[str | None, set[Matcher]] = {}
        for matcher in matchers:
            if matcher.is_pattern:
                wanted.setdefault(self._matching.anchor(matcher), set()).add(matcher)
        found: dict[str | None, tuple[int, int]] = {}
        for anchor, comers in wanted.items():
            place = self._unanchored if anchor is None else self._anchored.get(anchor, {})
            comers.difference_update(place)
            if comers:
                found[anchor] = len(place), len(comers)
        return found

    def add(self, matcher: Matcher, session: HubSession) -> None:
        """Subscribe `session` by `matcher`."""
        if matcher.is_wildcard:
            self._everything.add(session)
        elif matcher.is_pattern:
            compiled = self._matching.compile(matcher)
            self._place_of(compiled.anchor).setdefault(matcher, SubscriberRow(compiled)).add(session)
        else:
            self._exact.setdefault(matcher.value, SubscriberRow()).add(session)

    def discard(self, matcher: Matcher, session: HubSession) -> None:
        """Take back what `add` did; harmless when it is not there.

        Who leaves does so with all its matchers: equal ones, and `*` of either kind, are one here, and go together.
        """
        if matcher.is_wildcard:
            self._everything.discard(session)
        elif not matcher.is_pattern:
            drop(self._exact, matcher.value, session)
        else:
            anchor = self._matching.anchor(matcher)
            place = self._unanchored if anchor is None else self._anchored.get(anchor, {})
            drop(place, matcher, session)
            if anchor is not None and not place:
                self._anchored.pop(anchor, None)

    def rows(self, topic: Topic) -> Iterator[SubscriberRow]:
        """Yield the rows of all matchers that match `topic`; somebody may be in several."""
        if self._everything.members:
            yield self._everything
        exact = self._exact.get(topic)
        if exact is not None:
            yield exact
        if self._unanchored:
            yield from matching_rows(self._unanchored, topic)
        if self._anchored:
            for anchor in self._matching.anchors(self._patterns, topic):
                place = self._anchored.get(anchor)
                if place is not None:
                    yield from matching_rows(place, topic)

    def tries(self, topic: Topic) -> int:
        """Return how many patterns `topic` has to be tried on."""
        count = len(self._unanchored)
        if self._anchored:
            anchors = self._matching.anchors(self._patterns, topic)
            count += sum(len(self._anchored.get(anchor, ())) for anchor in anchors)
        return count

    def _place_of(self, anchor: str | None) -> dict[Matcher, SubscriberRow]:
        return self._unanchored if anchor is None else self._anchored.setdefault(anchor, {})


def matching_rows(place: dict[Matcher, SubscriberRow], topic: Topic) -> Iterator[SubscriberRow]:
    """Yield the rows of patterns that match `topic`."""
    for row in place.values():
        if row.compiled is not None and row.compiled.matches(topic):
            yield row


def gather(rows: Iterable[SubscriberRow]) -> Walk:
    """Return everybody in the rows, each session once."""
    found = tuple(rows)
    if not found:
        return NOBODY
    if len(found) == 1:
        return found[0].walk()
    # Mostly there is one long row, and a few who ask for everything: those are looked at, and it is taken as it is.
    longest = max(found, key=lambda row: len(row.members))
    others = (row.members for row in found if row is not longest)
    more = dict.fromkeys(session for members in others for session in members if session not in longest.members)
    walk = longest.walk()
    if not more:
        return walk
    streams, rest = split(more)
    return Walk(walk.streams + streams, walk.others + rest)


def split(sessions: Iterable[HubSession]) -> Walk:
    """Tell the chunked streams from the rest."""
    streams: list[HubStream] = []
    others: list[HubSession] = []
    for session in sessions:
        if isinstance(session, HubStream) and session.chunked:
            streams.append(session)
        else:
            others.append(session)
    return Walk(tuple(streams), tuple(others))


def drop(place: dict[K, SubscriberRow], key: K, session: HubSession) -> None:
    """Take `session` out of the row at `key`, and an empty row out of its place."""
    row = place.get(key)
    if row is None:
        return
    row.discard(session)
    if not row.members:
        del place[key]
