"""A subscriber's long poll: answered by the next update, or empty-handed when its time is up.

For clients that cannot stream; not of the specification, which allows other ways of dispatch. The answer has a
cursor to come back with, so that nothing between two polls is missed where there is a history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from handlers.hub.frames import Frames
from handlers.hub.subscriber import Subscriber
from handlers.protocol.answers import Answer, AnswerForm, encode_answer
from handlers.protocol.http1 import Headers
from handlers.protocol.mercure.event import encode_poll
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId
from handlers.session import Session, Site

JSON = (b"Content-Type", b"application/json")


class HubPoll(Session):
    """One long poll. `place` says how far the hub has come, at the moment it is asked: the cursor to come back with."""

    __slots__ = ("_early", "_form", "_headers", "_place", "subscriber")

    def __init__(
        self,
        *,
        site: Site,
        transport: asyncio.Transport,
        subscriber: Subscriber,
        label: str,
        form: AnswerForm,
        headers: Headers,
        timeout: float,
        place: Callable[[], EventId],
    ) -> None:
        super().__init__(site=site, transport=transport, reusable=form.reusable, label=label)
        self.subscriber = subscriber
        self._form = form
        self._headers = headers
        self._place = place
        self._early: tuple[Update, ...] = ()
        self.deadline = site.clock.now() + timeout

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport; answer with what came meanwhile, or start waiting."""
        super().attach(kept, is_behind=is_behind)
        if self._early:
            self._answer(self._early, self._form)
        else:
            self.site.wheel.watch(self)

    def deliver(self, frames: Frames) -> None:
        """Answer with updates, as soon as the transport is ours: a subscriber may be told of itself as it joins."""
        if self.is_attached:
            self._answer(frames.updates, self._form)
        else:
            self._early = (*self._early, *frames.updates)

    def on_deadline(self, now: float) -> None:
        """The time is up: answer without an update."""
        self._answer((), self._form)

    def drain(self) -> None:
        """Answer early, as when the time is up, and close: the process stops."""
        self.reusable = False
        form = AnswerForm(version=self._form.version, reusable=False, method=self._form.method)
        self._answer((), form)

    def _answer(self, updates: tuple[Update, ...], form: AnswerForm) -> None:
        place = self._place()  # leaving may be told of, which makes updates that the client has not got
        self.leave()
        if self.transport.is_closing():
            return
        self.transport.write(encode_answer(poll_answer(updates, place, self._headers), form))
        self.give_back()


def poll_answer(updates: tuple[Update, ...], place: EventId, headers: Headers) -> Answer:
    """Return what a long poll is answered with: `updates`, and the cursor to come back with."""
    return Answer(status=200, reason=b"OK", headers=(JSON, *headers), body=encode_poll(updates, place))
