"""Obeys an instruct: answers at once, holds a stream, or holds a long poll.

The way out of the proxy: what is held here belongs to `handlers` from then on. A stream is subscribed before the
first byte of its head is written, so nothing published after the client sees it is missed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from handlers.edge import Edge
from handlers.protocol.answers import Answer
from handlers.protocol.grip import is_instruct_body, parse_instruct
from handlers.protocol.http1 import Headers, has_body
from handlers.protocol.instruct import HoldMode, Instruct
from handlers.protocol.subscribing import Subscription, subscribing
from handlers.response import ResponseSession
from handlers.session import Site
from handlers.stream import StreamSession
from proxy.errors import UpstreamError
from proxy.exchange import Exchange
from proxy.outgoing import Incoming
from proxy.protocol.route import Target
from proxy.router import LoadedRoute

log = logging.getLogger("holdfast.hold")

REQUEST_TOO_LARGE = "Request too large to accept GRIP instruct."
HELD_BODY_LIMIT = 100_000
"""Bytes of a body that has to be kept: a long poll's timeout answer, or an `application/grip-instruct` body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GripAnswer:
    """An answer that carries an instruct.

    `read` returns the next bytes of its body, empty at the end; `is_waiting` says that it will have to wait for them.
    """

    target: Target
    status: int
    reason: bytes
    headers: Headers
    length: int | None
    is_waiting: bool
    read: Callable[[], Awaitable[bytes]]


class Holding:
    """Turns instructs into answers and sessions."""

    def __init__(self, *, site: Site, edge: Edge, debug: bool) -> None:
        self._site = site
        self._edge = edge
        self._debug = debug
        self._told: set[str] = set()

    async def obey(self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute, answer: GripAnswer) -> None:
        """Do what the answer's instruct says. Raises InstructError when it cannot be obeyed."""
        if not await exchange.body.read_small():
            self._site.counters.requests_unsupported += 1
            log.warning("%s: %s", incoming.uri, REQUEST_TOO_LARGE)
            exchange.answer_text(400, REQUEST_TOO_LARGE)
            return
        body = await read_limited(answer) if is_instruct_body(answer.headers) else None
        instruct = parse_instruct(status=answer.status, reason=answer.reason, headers=answer.headers, body=body)
        self._tell_unsupported(incoming, instruct)
        if instruct.hold is HoldMode.RESPONSE:
            await self._hold_response(exchange, incoming, loaded, answer, instruct)
        elif instruct.hold is HoldMode.STREAM and has_body(method=exchange.head.method, status=instruct.status):
            await self._hold_stream(exchange, incoming, loaded, answer, instruct)
        else:
            await self._answer(exchange, answer, instruct)

    async def _answer(self, exchange: Exchange, answer: GripAnswer, instruct: Instruct) -> None:
        length = answer.length if instruct.body is None else len(instruct.body)
        if instruct.hold is HoldMode.STREAM:
            length = None  # a HEAD request is told of the stream that a GET would get
        exchange.begin(status=instruct.status, reason=instruct.reason, headers=instruct.headers, length=length)
        async for data in body_of(answer, instruct):
            await exchange.write(data)
        exchange.end()

    async def _hold_stream(
        self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute, answer: GripAnswer, instruct: Instruct
    ) -> None:
        unlinked = next((channel for channel in instruct.channels if channel.prev_id is not None), None)
        if unlinked is not None and instruct.next_link is None:
            reason = f"channel '{unlinked.name}' specifies prev-id, but no next link found"
            await self._refuse_stream(exchange, loaded, answer, instruct, reason)
            return
        form = exchange.form
        session = StreamSession(
            site=self._site,
            transport=exchange.transport,
            subscriptions=self._subscriptions(incoming, loaded, answer.target, instruct),
            reusable=form.reusable and form.version == b"1.1",
            label=incoming.uri,
            chunked=form.version == b"1.1",
            debug=self._debug or loaded.route.debug,
            keep_alive=instruct.keep_alive,
        )
        self._edge.join(session)
        try:
            exchange.begin(status=instruct.status, reason=instruct.reason, headers=instruct.headers, length=None)
            if answer.is_waiting and instruct.body is None:
                exchange.flush_head()
            async for data in body_of(answer, instruct):
                await exchange.write(data)
            exchange.hand_over(session)
        except BaseException:
            session.leave()
            raise

    async def _refuse_stream(
        self, exchange: Exchange, loaded: LoadedRoute, answer: GripAnswer, instruct: Instruct, reason: str
    ) -> None:
        # As Pushpin does: the body is sent and the answer ends, since nothing could ever be recovered.
        self._site.counters.instructs_refused += 1
        log.warning("stream refused: %s", reason)
        body = await read_limited(answer) if instruct.body is None else instruct.body
        if self._debug or loaded.route.debug:
            body += f"\n\n{reason}\n".encode("utf-8", "surrogateescape")
        exchange.answer(Answer(status=instruct.status, reason=instruct.reason, headers=instruct.headers, body=body))

    async def _hold_response(
        self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute, answer: GripAnswer, instruct: Instruct
    ) -> None:
        body = await read_limited(answer) if instruct.body is None else instruct.body
        session = ResponseSession(
            site=self._site,
            transport=exchange.transport,
            subscriptions=self._subscriptions(incoming, loaded, answer.target, instruct),
            label=incoming.uri,
            form=exchange.form,
            answer=Answer(status=instruct.status, reason=instruct.reason, headers=instruct.headers, body=body),
            timeout=instruct.timeout,
            request=exchange.request_bytes(),
        )
        self._edge.join(session)
        try:
            exchange.hand_over(session)
        except BaseException:
            session.leave()
            raise

    def _subscriptions(
        self, incoming: Incoming, loaded: LoadedRoute, target: Target, instruct: Instruct
    ) -> tuple[Subscription, ...]:
        limit = self._site.settings.subscription_limit
        found = subscribing(instruct.channels, prefix=loaded.route.prefix, implicit=target.subs, limit=limit)
        if found.refused:
            self._site.counters.channels_over_limit += len(found.refused)
            names = ", ".join(found.refused)
            log.warning("%s: not subscribed, over subscription_limit=%d: %s", incoming.uri, limit, names)
        if log.isEnabledFor(logging.INFO):
            for subscription in found.subscriptions:
                log.info("subscribe %s channel=%s", incoming.uri, subscription.channel)
        return found.subscriptions

    def _tell_unsupported(self, incoming: Incoming, instruct: Instruct) -> None:
        parts = {
            "Grip-Link rel=next": instruct.next_link is not None,
            "Grip-Link rel=gone": instruct.gone_link is not None,
            "prev-id": any(channel.prev_id is not None for channel in instruct.channels),
            "filter": any(channel.filters for channel in instruct.channels),
            "Grip-Set-Meta": bool(instruct.meta),
        }
        for name, is_used in parts.items():
            if is_used and name not in self._told:
                self._told.add(name)
                log.warning("%s: not supported yet, has no effect: %s (said once)", incoming.uri, name)


async def body_of(answer: GripAnswer, instruct: Instruct) -> AsyncIterator[bytes]:
    """Yield the body the client is to get: the instruct's, or the backend's as it comes."""
    if instruct.body is not None:
        if instruct.body:
            yield instruct.body
        return
    while data := await answer.read():
        yield data


async def read_limited(answer: GripAnswer) -> bytes:
    """Read a body that has to be kept whole. Raises UpstreamError (502) beyond HELD_BODY_LIMIT."""
    body = bytearray()
    while data := await answer.read():
        body += data
        if len(body) > HELD_BODY_LIMIT:
            detail = f"GRIP instruct response too large from {answer.target.name}"
            raise UpstreamError(status=502, detail=detail, is_public=True)
    return bytes(body)
