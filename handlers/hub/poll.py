"""A subscriber's long poll: answered by the first update, or empty-handed when its time is up.

For clients that cannot stream; not of the specification, which allows other ways of dispatch. The answer names the
event to come back with, so that nothing between two polls is missed where there is a history.
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
    """One long poll. `last_id` says which event the hub dispatched last, at the moment it is asked."""

    __slots__ = ("_early", "_form", "_headers", "_last_id", "subscriber")

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
        last_id: Callable[[], EventId],
    ) -> None:
        super().__init__(site=site, transport=transport, subscriptions=(), reusable=form.reusable, label=label)
        self.subscriber = subscriber
        self._form = form
        self._headers = headers
        self._last_id = last_id
        self._early: tuple[Update, ...] = ()
        self.deadline = site.clock.now() + timeout

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport; answer with what came meanwhile, or start waiting."""
        super().attach(kept, is_behind=is_behind)
        if self._early:
            self._answer(self._early, self._early[-1].id, self._form)
        else:
            self.site.wheel.watch(self)

    def deliver(self, frames: Frames) -> None:
        """Answer with an update, as soon as the transport is ours: a subscriber may be told of itself as it joins."""
        if self.is_attached:
            self._answer((frames.update,), frames.update.id, self._form)
        else:
            self._early = (*self._early, frames.update)

    def on_deadline(self, now: float) -> None:
        """The time is up: answer without an update."""
        self._answer((), self._last_id(), self._form)

    def drain(self) -> None:
        """Answer early, as when the time is up, and close: the process stops."""
        self.reusable = False
        form = AnswerForm(version=self._form.version, reusable=False, method=self._form.method)
        self._answer((), self._last_id(), form)

    def _answer(self, updates: tuple[Update, ...], last_id: EventId, form: AnswerForm) -> None:
        self.leave()
        if self.transport.is_closing():
            return
        self.transport.write(encode_answer(poll_answer(updates, last_id, self._headers), form))
        self.give_back()


def poll_answer(updates: tuple[Update, ...], last_id: EventId, headers: Headers) -> Answer:
    """Return what a long poll is answered with: `updates`, and the event to come back with."""
    return Answer(status=200, reason=b"OK", headers=(JSON, *headers), body=encode_poll(updates, last_id))
