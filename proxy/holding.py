"""Obeys an instruct: answers at once, holds a stream, or holds a long poll.

The way out of the proxy: what is held here belongs to `handlers` from then on. A stream is subscribed before the
first byte of its head is written, so nothing published after the client sees it is missed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from handlers.deadline import Deadline
from handlers.edge import Edge
from handlers.errors import InstructError
from handlers.linked_stream import LinkedStreamSession
from handlers.protocol.answers import Answer
from handlers.protocol.filters import OBEYED
from handlers.protocol.grip import is_grip, is_instruct_body, parse_instruct
from handlers.protocol.http1 import has_body
from handlers.protocol.instruct import HoldMode, Instruct
from handlers.protocol.subscribing import NO_INQUIRY, Inquiry, Subscription
from handlers.response import ResponseSession
from handlers.session import NO_META, Site
from handlers.stream import StreamSession
from proxy.answer_body import built, is_built, pieces_of
from proxy.cross_origin import NO_STREAM, read_script
from proxy.errors import RequestBodyError
from proxy.flow import Flow
from proxy.held_answer import HeldAnswer, read_limited
from proxy.links import Links
from proxy.protocol.next_link import no_link_for, unlinked_channel
from proxy.subscriptions import subscribe

log = logging.getLogger("holdfast.hold")

REQUEST_TOO_LARGE = "Request too large to accept GRIP instruct."
REQUEST_TOO_SLOW = "Request body took too long to accept GRIP instruct."
REST_SECONDS = 60.0
"""How long the rest of a request's body may take once the backend has asked for a hold without waiting for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request on its way, the answer it got, and what that asks for."""

    flow: Flow
    answer: HeldAnswer
    instruct: Instruct


class Holding:
    """Turns instructs into answers and sessions."""

    def __init__(self, *, site: Site, edge: Edge, links: Links) -> None:
        self._site = site
        self._edge = edge
        self._links = links
        self._told: set[str] = set()

    @property
    def mark(self) -> int:
        """When it is, in items: see `Edge.mark`."""
        return self._edge.mark

    async def obey(self, flow: Flow, answer: HeldAnswer) -> None:
        """Do what the answer's instruct says. Raises InstructError when it cannot be obeyed."""
        if is_grip(answer.headers) and not await self._read_request(flow):
            self._site.counters.requests_unsupported += 1
            log.warning("%s: %s", flow.uri, REQUEST_TOO_LARGE)
            flow.exchange.answer_text(400, REQUEST_TOO_LARGE)
            return
        body = await self._read_whole(flow, answer) if is_instruct_body(answer.headers) else None
        instruct = parse_instruct(status=answer.status, reason=answer.reason, headers=answer.headers, body=body)
        if flow.added_headers:
            instruct = replace(instruct, headers=instruct.headers + flow.added_headers)
        self._tell_unsupported(flow, instruct)
        asked = Asked(flow=flow, answer=answer, instruct=instruct)
        if instruct.hold is HoldMode.RESPONSE:
            await self._hold_response(asked)
        elif flow.meant is not None:
            await self._answer_script(asked)
        elif is_open_ended(instruct) and has_body(method=flow.exchange.head.method, status=instruct.status):
            await self._hold_stream(asked)
        else:
            await self._answer(asked)

    async def _read_request(self, flow: Flow) -> bool:
        """Read what is left of the request's body, since the request may have to be sent again; say if it is small."""
        body = flow.exchange.body
        if body.is_here:
            return body.is_replayable
        try:
            async with Deadline(self._site.clock, REST_SECONDS):
                return await body.read_small()
        except TimeoutError as error:
            raise RequestBodyError(REQUEST_TOO_SLOW, status=408) from error

    async def _answer(self, asked: Asked) -> None:
        instruct, exchange = asked.instruct, asked.flow.exchange
        length = asked.answer.length if instruct.body is None else len(instruct.body)
        if is_open_ended(instruct) or is_built(instruct):
            length = None  # a HEAD request is told of the stream that a GET would get
        pieces = pieces_of(instruct, asked.answer)
        first = await anext(pieces, b"") if is_built(instruct) else b""
        exchange.begin(status=instruct.status, reason=instruct.reason, headers=instruct.headers, length=length)
        if first:
            await exchange.write(first)
        async for data in pieces:
            await exchange.write(data)
        exchange.end()

    async def _answer_script(self, asked: Asked) -> None:
        """Answer a request by JSON-P: a script runs when it is whole, so it cannot be a stream."""
        if is_open_ended(asked.instruct):
            raise InstructError(NO_STREAM)
        instruct = asked.instruct
        body = instruct.body
        if body is None:
            body = await read_script(asked.flow, asked.answer, clock=self._site.clock)
        asked.flow.exchange.answer(whole_answer(instruct, body))

    async def _hold_stream(self, asked: Asked) -> None:
        instruct, exchange = asked.instruct, asked.flow.exchange
        unlinked = unlinked_channel(instruct)
        if unlinked is not None:
            await self._end_stream(asked, no_link_for(unlinked))
            return
        pieces = pieces_of(instruct, asked.answer)
        # One that cannot be built is told of before the head says that all is well.
        first = await anext(pieces, b"") if is_built(instruct) else b""
        session = self._make_stream(asked)
        self._edge.join(session)
        try:
            exchange.begin(status=instruct.status, reason=instruct.reason, headers=instruct.headers, length=None)
            if first:
                await exchange.write(first)
            elif instruct.body is None and not asked.answer.has_body_waiting:
                exchange.flush_head()
            async for data in pieces:
                await exchange.write(data)
            exchange.hand_over(session)
        except BaseException:
            session.leave()
            raise
        if session.can_update:
            self._edge.catch_up(session, told_with(asked.flow))

    def _make_stream(self, asked: Asked) -> StreamSession:
        flow, instruct, form = asked.flow, asked.instruct, asked.flow.exchange.form
        make: Callable[..., StreamSession] = StreamSession
        link = self._links.make(flow, instruct, has_next=True)
        if link is not None:
            make = partial(
                LinkedStreamSession,
                room=self._edge,
                link=link,
                polling=link.polling(instruct.next_link),
                fetches_at_once=instruct.hold is None,
            )
        session = make(
            site=self._site,
            transport=flow.exchange.transport,
            subscriptions=self._subscribe(asked),
            reusable=form.reusable and form.version == b"1.1",
            label=flow.uri,
            chunked=form.version == b"1.1",
            debug=flow.shows_reasons,
            keep_alive=instruct.keep_alive,
            meta=dict(instruct.meta) or NO_META,
            prefix=flow.route.prefix,
        )
        session.route = flow.route.id
        if link is not None and isinstance(session, LinkedStreamSession):
            link.session = session
        return session

    async def _end_stream(self, asked: Asked, reason: str) -> None:
        # As Pushpin does: the body is sent and the answer ends, since nothing could ever be recovered.
        flow = asked.flow
        self._site.counters.instructs_refused += 1
        log.warning("%s: stream ended: %s", flow.uri, reason)
        answer = await self._whole_answer(asked)
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
            answer=await self._whole_answer(asked),
            timeout=asked.instruct.timeout,
            request=exchange.request_bytes(),
            link=self._links.make(asked.flow, asked.instruct, has_next=False),
            meta=dict(asked.instruct.meta) or NO_META,
            prefix=asked.flow.route.prefix,
        )
        session.route, session.presentation = asked.flow.route.id, exchange.presentation
        self._edge.join(session)
        try:
            exchange.hand_over(session)
        except BaseException:
            session.leave()
            raise
        self._edge.catch_up(session, told_with(asked.flow))

    async def _whole_answer(self, asked: Asked) -> Answer:
        """Return what the client is to get, its body read whole. Raises UpstreamError as `read_limited` does."""
        instruct = asked.instruct
        body = await self._read_whole(asked.flow, asked.answer) if instruct.body is None else instruct.body
        return whole_answer(instruct, body)

    async def _read_whole(self, flow: Flow, answer: HeldAnswer) -> bytes:
        target = flow.target.name if flow.target else ""
        return await read_limited(answer, target=target, clock=self._site.clock, seconds=flow.answer_seconds)

    def _subscribe(self, asked: Asked) -> tuple[Subscription, ...]:
        flow = asked.flow
        note = " retry" if flow.exchange.is_retry else ""
        return subscribe(
            self._site, asked.instruct.channels, route=flow.route, target=flow.target, label=flow.uri, note=note
        )

    def _tell_unsupported(self, flow: Flow, instruct: Instruct) -> None:
        names = {name for channel in instruct.channels for name in channel.filters} - OBEYED
        for name in sorted(names - self._told):
            self._told.add(name)
            log.warning("%s: has no effect here: filter %.100s (said once)", flow.uri, name)


def is_open_ended(instruct: Instruct) -> bool:
    """Say whether the answer goes on behind the body: with what is published, or with the next link's (row H24)."""
    return instruct.hold is HoldMode.STREAM or (instruct.hold is None and instruct.next_link is not None)


def whole_answer(instruct: Instruct, body: bytes) -> Answer:
    """Return the answer of an instruct whose body, its own or the backend's, is here whole. Raises InstructError."""
    return Answer(status=instruct.status, reason=instruct.reason, headers=instruct.headers, body=built(instruct, body))


def told_with(flow: Flow) -> Inquiry:
    """Return what the backend was told: with a request that is sent again, what its client has seen, and when."""
    retried = flow.exchange.retried
    return NO_INQUIRY if retried is None else Inquiry(last_seen=retried, mark=flow.mark)
