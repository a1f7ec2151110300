"""A held stream whose backend can be asked what comes next (`Grip-Link`, reference 3.9 and 3.10).

It asks when an item does not follow what it has had, when it has heard nothing for a while, and whenever the edge says
so. While it waits for the answer, items are kept; those that the answer does not contain follow it. How the backend is
asked is the door's matter (`handlers.door.StreamLink`). A stream without links is a plain `StreamSession`, and pays for
none of this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Unpack

from handlers.door import StreamLink
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.items import Item
from handlers.protocol.subscribing import NO_INQUIRY, Inquiry, LastSeen, Subscription, resumed, suspended
from handlers.session import Parts, Session
from handlers.stream import StreamSession

KEPT_ITEMS = 100
"""Items that are kept while a backend is asked; with one more the stream is cut."""

BEATS = 8
"""Beats in the time after which a backend is asked: so many requests at most come to it in that time for one link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How often a backend is asked without an occasion: after `seconds`, on the next beat.

    There are `BEATS` in that time, one of them at `phase`. Streams that would ask for the same have the same beats, so
    that those that wait together ask together, and once for all of them.
    """

    seconds: float
    phase: float

    def after(self, now: float) -> float:
        """Return the beat that is due for who begins to wait now."""
        beat = self.seconds / BEATS
        return self.phase + math.ceil((now + self.seconds - self.phase) / beat) * beat


class Room(Protocol):
    """The edge, to a stream that changes its channels while it is held."""

    def resubscribe(self, session: StreamSession, subscriptions: tuple[Subscription, ...]) -> None:
        """Put a session on these channels and take it off all others."""
        ...

    def replay(self, session: LinkedStreamSession, items: Sequence[Item]) -> None:
        """Deliver kept items to a session, but for those that it has had from its backend."""
        ...

    @property
    def mark(self) -> int:
        """A number that grows with the items, for `Inquiry`."""
        ...

    def catch_up(self, session: Session, asked: Inquiry) -> None:
        """Update a session if it has missed something before it was on its channels."""
        ...

    def published(self, subscriptions: Sequence[Subscription]) -> tuple[int, ...]:
        """Return for each channel a number that changes with every publication."""
        ...


class LinkedStreamSession(StreamSession):
    """One stream with links. Besides what a stream is told, its link tells it what the backend says next.

    That is `begin_part` with the head of an answer, `append` with what comes of the body, and `hold_again` at its end,
    or `finish`. Without `polling` there is no next link, and it is asked for nothing.
    """

    __slots__ = (
        "_asked",
        "_counts",
        "_is_due",
        "_kept_items",
        "_kept_size",
        "_link",
        "_poll_due",
        "_polling",
        "_room",
        "is_fetching",
    )

    def __init__(
        self,
        *,
        room: Room,
        link: StreamLink,
        polling: Polling | None,
        chunked: bool,
        debug: bool,
        keep_alive: KeepAlive | None,
        fetches_at_once: bool = False,
        **parts: Unpack[Parts],
    ) -> None:
        """With `fetches_at_once` the first answer was a part and no hold: nothing is delivered before there is one."""
        super().__init__(chunked=chunked, debug=debug, keep_alive=keep_alive, **parts)
        if fetches_at_once:
            self.subscriptions = tuple(map(suspended, self.subscriptions))
        self.is_fetching = False
        self._asked = NO_INQUIRY
        self._room = room
        self._link: StreamLink | None = link
        self._polling = polling
        self._poll_due = math.inf
        self._counts: tuple[int, ...] = ()
        self._is_due = fetches_at_once
        self._kept_items: list[Item] = []
        self._kept_size = 0

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport; ask the backend at once if there was a reason meanwhile."""
        self._await_poll()
        super().attach(kept, is_behind=is_behind)
        if self._is_due and not self.transport.is_closing():
            self._fetch()

    def leave(self) -> None:
        """Come off every channel and out of the timer wheel; stop asking, and let it be known that the hold is over."""
        super().leave()
        self._kept_items.clear()
        link, self._link = self._link, None
        if link is not None:
            link.ended()

    @property
    def can_update(self) -> bool:
        """Whether there is a next link."""
        return self._polling is not None

    def update(self) -> None:
        """Fetch the next link: now, or once more when it has been fetched."""
        if self._polling is None or self._link is None or self.transport.is_closing():
            return
        if self.is_fetching or not self.is_attached:
            self._is_due = True
        else:
            self._fetch()

    def keep(self, item: Item) -> None:
        """Take an item that is to follow what the backend says next. More than may wait cuts the stream."""
        self._kept_items.append(item)
        self._kept_size += len(item.http_stream.content or b"") if item.http_stream else 0
        if len(self._kept_items) > KEPT_ITEMS or self._kept_size > self.site.settings.outbox_limit:
            self.site.counters.link_overflows += 1
            self.cut(f"{len(self._kept_items)} items of {self._kept_size} bytes wait for its backend's answer")

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._link is not None:
            self._link.caught_up()

    # -- what the link says -------------------------------------------------------------------------------------------

    def ask(self) -> LastSeen:
        """Return what the backend is to be told, and note that it has been: it is about to be asked."""
        self._asked = Inquiry(last_seen=self.last_seen(), mark=self._room.mark)
        return self._asked.last_seen

    def begin_part(self, subscriptions: tuple[Subscription, ...], meta: Mapping[str, str]) -> None:
        """The backend has begun to answer: these are the channels now, and keep-alives would stand in between."""
        self.meta = meta
        self._keep_alive = None
        self._room.resubscribe(self, tuple(map(suspended, subscriptions)))

    def append(self, data: bytes) -> None:
        """Write a piece of the answer's body."""
        self.touched = self.site.clock.now()
        self.write(self.frame(data))

    def hold_again(self, keep_alive: KeepAlive | None, polling: Polling | None) -> None:
        """The answer is at its end, and the stream goes on with what was published meanwhile."""
        self.is_fetching = False
        self._keep_alive = self.framed(keep_alive)
        self._polling = polling
        self._start_beat(self.site.clock.now())
        if self._is_due and polling is not None:
            self._fetch()
            return
        self._is_due = False
        self._await_poll()
        self.set_deadline()
        items, self._kept_items, self._kept_size = self._kept_items, [], 0
        self._room.resubscribe(self, tuple(map(resumed, self.subscriptions)))
        self._room.replay(self, items)
        self._room.catch_up(self, self._asked)  # on channels that are new, something may have come before they were

    # -- time ---------------------------------------------------------------------------------------------------------

    def on_deadline(self, now: float) -> None:
        """Ask the backend if it is time to, and do what any stream has to."""
        if self._poll_due <= now and not self.transport.is_closing():
            self._poll(now)
        super().on_deadline(now)

    @property
    def next_due(self) -> float:
        """When the wheel is to wake this session."""
        return min(super().next_due, self._poll_due)

    def _await_poll(self) -> None:
        if self._polling is None:
            self._poll_due = math.inf
            return
        self._counts = self._room.published(self.subscriptions)
        self._poll_due = self._polling.after(self.site.clock.now())

    def _poll(self, now: float) -> None:
        """Ask the backend, unless something has been published on all channels since it was last time to."""
        assert self._polling is not None, "nothing is due without it"
        counts = self._room.published(self.subscriptions)
        if counts and all(before != after for before, after in zip(self._counts, counts, strict=False)):
            self._counts = counts
            self._poll_due = self._polling.after(now)
        else:
            self._poll_due = math.inf
            self.update()

    def _fetch(self) -> None:
        assert self._link is not None, "it has not ended"
        self._is_due = False
        self.is_fetching = True
        self._poll_due = math.inf
        self._room.resubscribe(self, tuple(map(suspended, self.subscriptions)))
        self._link.fetch(self.ask())
