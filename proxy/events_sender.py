"""Sends the events of one WebSocket to its backend as requests, and reads what is answered (reference 4.2, 4.3).

Used by `proxy.over_http`, which decides what to send and does what the answers say.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from handlers.deadline import Deadline
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers
from handlers.timers import Clock
from proxy.backend import BackendAnswer
from proxy.errors import UpstreamError
from proxy.protocol.grip_sig import Signer
from proxy.protocol.route import Target
from proxy.protocol.ws_events import EventsError
from proxy.protocol.ws_exchange import EventsAnswer, EventsRequest, parse_answer
from proxy.protocol.ws_request import is_events, one_request_headers, pack_headers, unpack_headers
from proxy.request_body import RequestBody
from proxy.upstream import BackendRequest, Upstream

LAST_SECONDS = 60.0
"""How long a backend may take to answer what it is told last: clients that come and go must not pile up requests."""
REFUSAL_LIMIT = 100_000
"""Bytes of the body with which a backend may refuse a WebSocket (reference 4.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsTemplate:
    """What all requests of a connection have in common. `headers` are without what differs from one to the next."""

    path: bytes
    host: bytes
    headers: Headers
    signer: Signer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsReply:
    """An answer of events, with the headers it came with."""

    headers: Headers
    answer: EventsAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Any other answer, whole, with the backend's headers; None where it was not wanted."""

    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSite:
    """What all senders of a process share. `events_limit` is in bytes."""

    upstream: Upstream
    clock: Clock
    events_limit: int
    requests_at_once: int
    slots: dict[Target, asyncio.Semaphore] = field(default_factory=dict)
    """For each target the right to ask it: one publication may have a thousand connections ask at once."""

    def slot(self, target: Target) -> asyncio.Semaphore:
        """Return what a request to `target` has to hold, first come, first served."""
        slot = self.slots.get(target)
        if slot is None:
            slot = self.slots[target] = asyncio.Semaphore(self.requests_at_once)
        return slot


class EventsSender:
    """One connection's way to its backend. One `send` at a time."""

    __slots__ = ("_headers", "_host", "_path", "_signer", "_site", "target")

    def __init__(self, *, site: SenderSite, template: EventsTemplate, target: Target) -> None:
        self._site = site
        self._path = template.path
        self._host = template.host
        self._headers = pack_headers(template.headers)
        self._signer = template.signer
        self.target = target

    async def send(self, request: EventsRequest, *, wants_refusal: bool) -> EventsReply | Refusal:
        """Send a request and read its answer.

        Raises EventsError for an answer of events that makes none, UnreachableError where nothing was sent, and
        UpstreamError or AnswerTruncated where it may have arrived.
        """
        async with self._site.slot(self.target):
            if request.is_last:
                return await self._send_last(request, wants_refusal=wants_refusal)
            return await self._send(request, wants_refusal=wants_refusal)

    async def _send_last(self, request: EventsRequest, *, wants_refusal: bool) -> EventsReply | Refusal:
        try:
            async with Deadline(self._site.clock, LAST_SECONDS):
                return await self._send(request, wants_refusal=wants_refusal)
        except TimeoutError as error:
            raise self._too_late(f"no answer to the last events within {LAST_SECONDS:g} seconds") from error

    async def _send(self, request: EventsRequest, *, wants_refusal: bool) -> EventsReply | Refusal:
        upstream = self._site.upstream
        reached = await upstream.send((self.target,), self._backend_request(request))
        limit = upstream.answer_limit(self.target)
        try:
            async with Deadline(self._site.clock, limit):
                return await self._read(reached.answer, wants_refusal=wants_refusal)
        except TimeoutError as error:
            raise self._too_late(f"no whole answer within {limit:g} seconds") from error
        finally:
            reached.answer.close()

    def _backend_request(self, request: EventsRequest) -> BackendRequest:
        grip_sig = self._signer.sign(int(self._site.clock.wall())) if self._signer else None
        return BackendRequest(
            method=b"POST",
            path=self._path,
            host=self._host,
            headers=one_request_headers(unpack_headers(self._headers), request, grip_sig=grip_sig),
            body=RequestBody.of(request.body),
            may_repeat=True,
        )

    async def _read(self, answer: BackendAnswer, *, wants_refusal: bool) -> EventsReply | Refusal:
        if is_events(answer.status, answer.headers):
            body = await read_whole(answer, self._site.events_limit)
            return EventsReply(headers=answer.headers, answer=parse_answer(answer.headers, body))
        if not wants_refusal:
            return Refusal(answer=None)
        try:
            body = await read_whole(answer, REFUSAL_LIMIT)
        except EventsError as error:
            raise UpstreamError(status=502, detail=f"{self.target.name}: {error.reason}") from error
        return Refusal(answer=Answer(status=answer.status, reason=answer.reason, headers=answer.headers, body=body))

    def _too_late(self, detail: str) -> UpstreamError:
        return UpstreamError(status=504, detail=f"{self.target.name}: {detail}")


async def read_whole(answer: BackendAnswer, limit: int) -> bytes:
    """Read a body of up to `limit` bytes. Raises EventsError beyond, or AnswerTruncated."""
    body = bytearray()
    while data := await answer.read():
        body += data
        if len(body) > limit:
            raise EventsError(f"the answer is longer than {limit} bytes")
    return bytes(body)
