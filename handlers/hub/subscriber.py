"""Who is behind a held connection of the hub: matchers say what it asks for, grants what it may read."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.mercure.matching import CompiledMatcher
from handlers.protocol.mercure.target import is_target
from handlers.protocol.mercure.update import ActiveSubscription
from handlers.protocol.names import SubscriberId, Topic

Matches = Callable[[Matcher, Topic], bool]


class Readable:
    """What private updates somebody may read. One object for all with equal grants, so that they are asked once."""

    __slots__ = ("__weakref__", "matchers")

    def __init__(self, matchers: tuple[Matcher, ...]) -> None:
        self.matchers = matchers

    def lets(self, topics: Iterable[Topic], matches: Matches) -> bool:
        """Say whether a private update on `topics` may be read: any grant on any topic will do (reference 1.9.4).

        Where targets are among the topics they alone count: a token's strings are names of targets and of topics, and
        who is granted the topic is not whom the publisher meant (reference 3).
        """
        topics = tuple(topics)
        asked = tuple(filter(is_target, topics)) or topics
        return any(matches(matcher, topic) for topic in asked for matcher in self.matchers)


class Readables:
    """Keeps one `Readable` for each set of matchers that somebody has."""

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[tuple[Matcher, ...], Readable] = weakref.WeakValueDictionary()

    def of(self, matchers: tuple[Matcher, ...]) -> Readable:
        """Return the one object that stands for `matchers`."""
        found = self._known.get(matchers)
        if found is None:
            found = self._known[matchers] = Readable(matchers)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One subscriber. `subscriptions` has one entry a matcher where the hub tells of subscriptions, else none.

    `compiled` holds its patterns from the moment they were checked. `name` says whose token it is, for the log.
    """

    id: SubscriberId
    matchers: tuple[Matcher, ...]
    readable: Readable
    subscriptions: tuple[ActiveSubscription, ...] = ()
    compiled: tuple[CompiledMatcher, ...] = ()
    name: str = ""
