"""One request on a publisher's connection, and the place that its answer has there.

Made by `publish_api.connection` when the head is here; answered by whoever the plan names, perhaps before those in
front of it; written, and logged, in the order of the requests.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from handlers.counters import Counters
from handlers.errors import Busy
from handlers.protocol.http1 import CONTINUE
from handlers.protocol.items import Item
from publish_api.errors import RequestRefused
from publish_api.plan import Kind, Plan, encode_for, refuse
from publish_api.protocol.answer import PublishAnswer

log = logging.getLogger("holdfast.publish")


class Answering(Protocol):
    """A connection, to whoever answers its exchanges."""

    def go_on(self) -> None:
        """Write what can be written now that an exchange has its answer. Harmless at any time."""
        ...


class Exchange:
    """A request and, once there is one, its answer."""

    __slots__ = ("answer", "connection", "items", "keeps_open", "owes_continue", "plan")

    answer: PublishAnswer | None
    items: Sequence[Item]
    """What it publishes."""

    keeps_open: bool
    """Another request may follow on the connection."""

    owes_continue: bool
    """Its body is wanted, and the publisher asked to be told so, and has not been told."""

    def __init__(self, connection: Answering, plan: Plan) -> None:
        self.connection = connection
        self.plan = plan
        self.answer = None
        self.items = ()
        self.keeps_open = plan.may_keep
        self.owes_continue = False

    def encode(self) -> bytes:
        """Return the bytes of the answer. There must be one."""
        plan, answer = self.plan, self.answer
        assert answer is not None, "only what is answered is written"
        if answer is plan.answer:
            data = plan.answer_kept if self.keeps_open else plan.answer_last
        else:
            data = encode_for(plan.head, answer, keeps_open=self.keeps_open)
        return CONTINUE + data if self.owes_continue else data

    def refuse(self, error: RequestRefused) -> None:
        """Answer that the request is not served."""
        self._refuse(error)

    def fail(self, error: BaseException) -> None:
        """Answer that serving the request failed: for now (`Busy`), or by a fault of ours."""
        if isinstance(error, Busy):
            refusal = RequestRefused(503, "Service Unavailable", ((b"Retry-After", b"%d" % error.retry_after),))
            self._refuse(refusal, note=f" error={str(error)!r}")
            return
        log.debug("a publisher's request failed", exc_info=error)
        self._refuse(RequestRefused(500, "Internal server error."), note=f" error={error!r}")

    def _refuse(self, error: RequestRefused, note: str = "") -> None:
        self.answer = refuse(error, note=note, as_json=self.plan.kind is Kind.CONTROL)

    def note(self, counters: Counters) -> None:
        """Write the one line a request gets, in Pushpin's shape (reference 8.3), and count it if it was refused."""
        answer, plan = self.answer, self.plan
        assert answer is not None, "only what is answered is noted"
        if plan.line and answer is plan.answer:
            if log.isEnabledFor(logging.INFO):
                line = plan.line + str(len(self.items))
                log.info(line)
            return
        says_no = plan.is_probe and answer.status == 503
        if answer.status >= 400 and not says_no:
            counters.publishes_refused += 1
        level = logging.WARNING if says_no else level_of(answer.status, is_probe=plan.is_probe)
        log.log(level, "control: %s code=%d %d%.500s", plan.label, answer.status, len(answer.body), answer.note)


def level_of(status: int, *, is_probe: bool) -> int:
    """Return how much a request's line matters. Probes come every few seconds."""
    if status < 400:
        return logging.DEBUG if is_probe else logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR
