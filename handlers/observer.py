"""Whom the edge tells what goes on in it, where somebody outside of the room wants to know.

Implemented by `publish_api.zeromq` (stats, the channels of the SUB socket) and `proxy.presence`; where those are in
another process, `handlers.links.reporter` stands for them. Where nobody wants to know there is None, and nothing is
called.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from handlers.protocol.names import Channel
from handlers.protocol.observed import Interest, Observed, Subscribed
from handlers.timers import Clock, TimerHandle


class Observer(Protocol):
    """Told synchronously, behind what it is told of; returns at once and raises nothing."""

    def observe(self, event: Observed) -> None:
        """Take note of what has happened."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who wants to know, and what."""

    observer: Observer
    interest: Interest


class Observers:
    """Several observers as one. They are added before anything happens."""

    def __init__(self) -> None:
        self._all: list[Observer] = []

    def add(self, observer: Observer) -> None:
        """Tell `observer` too, behind those that are there."""
        self._all.append(observer)

    def observe(self, event: Observed) -> None:
        """Tell everybody."""
        for observer in self._all:
            observer.observe(event)


class Lingering:
    """Passes on what it is told, but that a channel has lost its last long poll only `seconds` later.

    Somebody who polls has no connection between two polls, and has not left (reference 3.8). A channel that gets a poll
    meanwhile has never been without.
    """

    def __init__(self, observer: Observer, *, seconds: float, clock: Clock) -> None:
        self._observer = observer
        self._seconds = seconds
        self._clock = clock
        self._due: dict[Channel, float] = {}
        """When it is told that a channel has lost its last poll, in the order of their falling due."""
        self._timer: TimerHandle | None = None
        self._is_closed = False

    def observe(self, event: Observed) -> None:
        """Take note of what has happened (`Observer`)."""
        if self._is_closed:
            return
        if isinstance(event, Subscribed) and event.mode == "response" and self._seconds:
            if not event.subscribers:
                self._due[event.channel] = self._clock.now() + self._seconds
                self._wait()
                return
            self._due.pop(event.channel, None)
        self._observer.observe(event)

    def close(self) -> None:
        """Tell nothing more."""
        self._is_closed = True
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._timer is None and self._due:
            self._timer = self._clock.call_at(next(iter(self._due.values())), self._tell_due)

    def _tell_due(self) -> None:
        self._timer = None
        now = self._clock.now()
        for channel in self._take_due(now):
            self._observer.observe(Subscribed("response", channel, 0))
        self._wait()

    def _take_due(self, now: float) -> Iterable[Channel]:
        due: list[Channel] = []
        for channel, when in self._due.items():
            if when > now:
                break
            due.append(channel)
        for channel in due:
            del self._due[channel]
        return due
