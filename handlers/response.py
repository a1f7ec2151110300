"""A held long poll: the first publication answers it, or its timeout does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from handlers.door import GoneLink
from handlers.protocol.answers import Answer, AnswerForm, encode_answer, merge_headers
from handlers.protocol.body_patch import BodyPatchError, patch_body
from handlers.protocol.http1 import Headers, standard_reason
from handlers.protocol.items import HttpResponseFormat
from handlers.protocol.jsonp import NotEncodable
from handlers.protocol.presentation import Presentation
from handlers.protocol.subscribing import Subscription
from handlers.session import NO_META, Session, Site

log = logging.getLogger("holdfast.session")

Encoded = dict[tuple[AnswerForm, Headers, bytes, Presentation | None], bytes]
"""One publication's answer by form, held headers, held body (empty unless it is patched) and presentation, so that
equal long polls share one encoding."""


class ResponseSession(Session):
    """One long poll. `answer` is the backend's, for when the time is up; `request` the client's bytes, for a retry."""

    __slots__ = ("_form", "_link", "_request", "_timeout_answer", "presentation")

    def __init__(
        self,
        *,
        site: Site,
        transport: asyncio.Transport,
        subscriptions: tuple[Subscription, ...],
        label: str,
        form: AnswerForm,
        answer: Answer,
        timeout: float,
        request: bytes,
        link: GoneLink | None = None,
        meta: Mapping[str, str] = NO_META,
        prefix: str = "",
    ) -> None:
        super().__init__(
            site=site,
            transport=transport,
            subscriptions=subscriptions,
            reusable=form.reusable,
            label=label,
            meta=meta,
            prefix=prefix,
        )
        self._form = form
        self._timeout_answer = answer
        self._request = request
        self._link = link
        self.presentation: Presentation | None = None
        """Of a request whose answers are for pages of other origins. Set by the door."""
        self.deadline = site.clock.now() + timeout

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Take over the transport and start waiting."""
        super().attach(kept, is_behind=is_behind)
        self.site.wheel.watch(self)

    def leave(self) -> None:
        """Come off every channel and out of the timer wheel, and tell whoever wants to know that the hold has ended."""
        super().leave()
        link, self._link = self._link, None
        if link is not None:
            link.ended()

    def publish(self, published: HttpResponseFormat, encoded: Encoded) -> None:
        """Answer with a publication."""
        patched = self._timeout_answer.body if published.body_patch is not None else b""
        key = (self._form, self._timeout_answer.headers, patched, self.presentation)
        data = encoded.get(key)
        if data is None:
            data = encoded[key] = self._encode(self._published_answer(published), self._form)
        self._answer(data)

    @property
    def can_update(self) -> bool:
        """Whether the request can be sent again: always."""
        return True

    def hint(self) -> None:
        """Ask the backend again, with the request as the client sent it."""
        self.update()

    def update(self) -> None:
        """Ask the backend again, with what it said was seen last (reference 3.8)."""
        if self.transport.is_closing():
            self.leave()
            return
        self._link = None  # the hold has not ended: its backend is about to say how it goes on
        self.leave()
        self.site.counters.retries += 1
        self.site.door.retry(
            self.transport, self._kept, self._request, last_seen=self.last_seen(), is_behind=self.is_behind
        )

    def on_deadline(self, now: float) -> None:
        """The time is up: answer with what the backend gave for this case."""
        self._answer(self._encode(self._timeout_answer, self._form))

    def drain(self) -> None:
        """Answer early, as for a timeout, and close: the process stops."""
        self.reusable = False
        form = AnswerForm(version=self._form.version, reusable=False, method=self._form.method)
        self._answer(self._encode(self._timeout_answer, form))

    def _answer(self, data: bytes) -> None:
        self.leave()
        if self.transport.is_closing():
            return
        self.transport.write(data)
        self.give_back()

    def _encode(self, answer: Answer, form: AnswerForm) -> bytes:
        if self.presentation is None:
            return encode_answer(answer, form)
        try:
            presented = self.presentation.answer(answer, is_held=True)
        except NotEncodable as error:
            self.site.counters.jsonp_failures += 1
            log.warning("%s: an answer cannot be a script: %s", self.label, error)
            presented = self.presentation.failure()
        return encode_answer(presented, form)

    def _published_answer(self, published: HttpResponseFormat) -> Answer:
        return Answer(
            status=published.code,
            reason=standard_reason(published.code) if published.reason is None else published.reason,
            headers=merge_headers(self._timeout_answer.headers, published.headers),
            body=self._published_body(published),
        )

    def _published_body(self, published: HttpResponseFormat) -> bytes:
        if published.body_patch is None:
            return published.body or b""
        try:
            return patch_body(self._timeout_answer.body, published.body_patch)
        except BodyPatchError as error:
            # The client gets what it would have got at the timeout; Pushpin sends an empty body.
            self.site.counters.patches_failed += 1
            log.warning("%s: body-patch failed, the held body is sent as it is: %s", self.label, error)
            return self._timeout_answer.body
