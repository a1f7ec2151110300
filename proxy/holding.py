"""Obeys an instruct: answers at once, holds a stream, or holds a long poll.

The way out of the proxy: what is held here belongs to `handlers` from then on. A stream is subscribed before the
first byte of its head is written, so nothing published after the client sees it is missed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Protocol

from handlers.deadline import Deadline
from handlers.edge import Edge
from handlers.protocol.answers import Answer
from handlers.protocol.filters import OBEYED
from handlers.protocol.grip import is_grip, is_instruct_body, parse_instruct
from handlers.protocol.http1 import Headers, has_body
from handlers.protocol.instruct import HoldMode, Instruct
from handlers.protocol.subscribing import Subscription, subscribing
from handlers.response import ResponseSession
from handlers.session import NO_META, Site
from handlers.stream import StreamSession
from proxy.errors import RequestBodyError, UpstreamError
from proxy.flow import Flow

log = logging.getLogger("holdfast.hold")

REQUEST_TOO_LARGE = "Request too large to accept GRIP instruct."
REQUEST_TOO_SLOW = "Request body took too long to accept GRIP instruct."
HELD_BODY_LIMIT = 100_000
"""Bytes of a body that has to be kept: a long poll's timeout answer, or an `application/grip-instruct` body."""
REST_SECONDS = 60.0
"""How long the rest of a request's body may take once the backend has asked for a hold without waiting for it."""


class HeldAnswer(Protocol):
    """An answer that may carry an instruct: a backend's, or that of the `test` target."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def reason(self) -> bytes:
        """The reason phrase; may be empty."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers as they came."""
        ...

    @property
    def length(self) -> int | None:
        """The length of the body in bytes, or None where the answer does not say."""
        ...

    @property
    def has_body_waiting(self) -> bool:
        """Whether reading the body will not wait."""
        ...

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request on its way, the answer it got, and what that asks for."""

    flow: Flow
    answer: HeldAnswer
    instruct: Instruct


class Holding:
    """Turns instructs into answers and sessions."""

    def __init__(self, *, site: Site, edge: Edge) -> None:
        self._site = site
        self._edge = edge
        self._told: set[str] = set()

    async def obey(self, flow: Flow, answer: HeldAnswer) -> None:
        """Do what the answer's instruct says. Raises InstructError when it cannot be obeyed."""
        if is_grip(answer.headers) and not await self._read_request(flow):
            self._site.counters.requests_unsupported += 1
            log.warning("%s: %s", flow.uri, REQUEST_TOO_LARGE)
            flow.exchange.answer_text(400, REQUEST_TOO_LARGE)
            return
        body = await read_limited(flow, answer) if is_instruct_body(answer.headers) else None
        instruct = parse_instruct(status=answer.status, reason=answer.reason, headers=answer.headers, body=body)
        instruct = replace(instruct, headers=instruct.headers + flow.added_headers)
        self._tell_unsupported(flow, instruct)
        asked = Asked(flow=flow, answer=answer, instruct=instruct)
        if instruct.hold is HoldMode.RESPONSE:
            await self._hold_response(asked)
        elif instruct.hold is HoldMode.STREAM and has_body(method=flow.exchange.head.method, status=instruct.status):
            await self._hold_stream(asked)
        else:
            await self._answer(asked)

    async def _read_request(self, flow: Flow) -> bool:
        """Read what is left of the request's body, since the request may have to be sent again; say if it is small."""
        try:
            async with Deadline(self._site.clock, REST_SECONDS):
                return await flow.exchange.body.read_small()
        except TimeoutError as error:
            raise RequestBodyError(REQUEST_TOO_SLOW, status=408) from error

    async def _answer(self, asked: Asked) -> None:
        instruct, exchange = asked.instruct, asked.flow.exchange
        length = asked.answer.length if instruct.body is None else len(instruct.body)
        if instruct.hold is HoldMode.STREAM:
            length = None  # a HEAD request is told of the stream that a GET would get
        exchange.begin(status=instruct.status, reason=instruct.reason, headers=instruct.headers, length=length)
        async for data in body_of(asked):
            await exchange.write(data)
        exchange.end()

    async def _hold_stream(self, asked: Asked) -> None:
        flow, instruct, exchange = asked.flow, asked.instruct, asked.flow.exchange
        unlinked = next((channel for channel in instruct.channels if channel.prev_id is not None), None)
        if unlinked is not None and instruct.next_link is None:
            await self._end_stream(asked, f"channel '{unlinked.name}' specifies prev-id, but no next link found")
            return
        form = exchange.form
        session = StreamSession(
            site=self._site,
            transport=exchange.transport,
            subscriptions=self._subscribe(asked),
            reusable=form.reusable and form.version == b"1.1",
            label=flow.uri,
            chunked=form.version == b"1.1",
            debug=flow.shows_reasons,
            keep_alive=instruct.keep_alive,
            meta=dict(instruct.meta) or NO_META,
            prefix=flow.route.prefix,
        )
        self._edge.join(session)
        try:
            exchange.begin(status=instruct.status, reason=instruct.reason, headers=instruct.headers, length=None)
            if instruct.body is None and not asked.answer.has_body_waiting:
                exchange.flush_head()
            async for data in body_of(asked):
                await exchange.write(data)
            exchange.hand_over(session)
        except BaseException:
            session.leave()
            raise

    async def _end_stream(self, asked: Asked, reason: str) -> None:
        # As Pushpin does: the body is sent and the answer ends, since nothing could ever be recovered.
        flow = asked.flow
        self._site.counters.instructs_refused += 1
        log.warning("%s: stream ended: %s", flow.uri, reason)
        answer = await whole_answer(asked)
        if flow.shows_reasons:
            reason_text = f"\n\n{reason}\n".encode("utf-8", "surrogateescape")
            answer = Answer(
                status=answer.status, reason=answer.reason, headers=answer.headers, body=answer.body + reason_text
            )
        flow.exchange.answer(answer)

    async def _hold_response(self, asked: Asked) -> None:
        exchange = asked.flow.exchange
        session = ResponseSession(
            site=self._site,
            transport=exchange.transport,
            subscriptions=self._subscribe(asked),
            label=asked.flow.uri,
            form=exchange.form,
            answer=await whole_answer(asked),
            timeout=asked.instruct.timeout,
            request=exchange.request_bytes(),
            meta=dict(asked.instruct.meta) or NO_META,
            prefix=asked.flow.route.prefix,
        )
        self._edge.join(session)
        try:
            exchange.hand_over(session)
        except BaseException:
            session.leave()
            raise

    def _subscribe(self, asked: Asked) -> tuple[Subscription, ...]:
        flow = asked.flow
        limit = self._site.settings.subscription_limit
        implicit = flow.target.subs if flow.target else ()
        found = subscribing(asked.instruct.channels, prefix=flow.route.prefix, implicit=implicit, limit=limit)
        if found.refused:
            self._site.counters.channels_over_limit += len(found.refused)
            names = ", ".join(found.refused)
            log.warning("%s: not subscribed, over subscription_limit=%d: %.1000s", flow.uri, limit, names)
        if log.isEnabledFor(logging.INFO):
            retry = " retry" if flow.exchange.is_retry else ""
            for subscription in found.subscriptions:
                log.info("subscribe %s channel=%.200s%s", flow.uri, subscription.channel, retry)
        return found.subscriptions

    def _tell_unsupported(self, flow: Flow, instruct: Instruct) -> None:
        parts = {
            "Grip-Link rel=next": instruct.next_link is not None,
            "Grip-Link rel=gone": instruct.gone_link is not None,
            "prev-id": any(channel.prev_id is not None for channel in instruct.channels),
        }
        names = {name for channel in instruct.channels for name in channel.filters} - OBEYED
        parts |= {f"filter {name:.100}": True for name in sorted(names)}
        for name, is_used in parts.items():
            if is_used and name not in self._told:
                self._told.add(name)
                log.warning("%s: not supported yet, has no effect: %s (said once)", flow.uri, name)


async def body_of(asked: Asked) -> AsyncIterator[bytes]:
    """Yield the body the client is to get: the instruct's, or the backend's as it comes."""
    if asked.instruct.body is not None:
        if asked.instruct.body:
            yield asked.instruct.body
        return
    while data := await asked.answer.read():
        yield data


async def whole_answer(asked: Asked) -> Answer:
    """Return what the client is to get, its body read whole. Raises UpstreamError (502) beyond HELD_BODY_LIMIT."""
    instruct = asked.instruct
    body = await read_limited(asked.flow, asked.answer) if instruct.body is None else instruct.body
    return Answer(status=instruct.status, reason=instruct.reason, headers=instruct.headers, body=body)


async def read_limited(flow: Flow, answer: HeldAnswer) -> bytes:
    """Read a body that has to be kept whole. Raises UpstreamError (502) beyond HELD_BODY_LIMIT."""
    body = bytearray()
    while data := await answer.read():
        body += data
        if len(body) > HELD_BODY_LIMIT:
            target = flow.target.name if flow.target else ""
            detail = f"GRIP instruct response too large from {target}"
            raise UpstreamError(status=502, detail=detail, is_public=True)
    return bytes(body)
