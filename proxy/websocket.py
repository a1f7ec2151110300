"""Opens WebSockets: the client's handshake, the backend that takes it, and the session between the two.

Called by the front for requests that ask for a WebSocket. Targets are tried in turn, each in its own way: by requests
(`over_http`) or by a handshake of ours (`through`). What is held here belongs to `handlers` from then on.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from msgspec import structs
from websockets.utils import generate_key

from handlers.edge import Edge
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers, header_values
from handlers.protocol.names import Channel
from handlers.protocol.ws_deflate import Deflate, negotiate
from handlers.protocol.ws_grip import GripReader, parse_extension
from handlers.session import Site
from handlers.websocket import WebSocketSession, WebSocketSite
from proxy.backend import AnswerTruncated, BackendAnswer
from proxy.builtin_target import EchoLink, answer_test_socket
from proxy.errors import UnreachableError, UpstreamError
from proxy.events_sender import EventsTemplate
from proxy.flow import Flow
from proxy.outgoing import Outgoing
from proxy.over_http import OverHttpLink, OverHttpSite
from proxy.protocol.headers import response_headers
from proxy.protocol.route import Target
from proxy.protocol.ws_handshake import (
    INVALID,
    HandshakeError,
    SwitchError,
    accepted_headers,
    check_handshake,
    check_switch,
    encode_acceptance,
    upgrade_headers,
)
from proxy.protocol.ws_request import events_headers, rejection_headers
from proxy.relaying import relay
from proxy.request_body import RequestBody
from proxy.through import ThroughLink, ThroughSite
from proxy.upstream import Upstream, unreachable

GRIP = b"grip"
"""The extension that a backend takes up to have its frames read as GRIP (reference 5.2)."""
CONTROL_LIMIT = 65_536
"""Bytes of a control message that comes in fragments."""

Link = OverHttpLink | ThroughLink | EchoLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a backend that takes a connection has said, and the link to it. `message_limit` is for whole messages."""

    headers: Headers
    link: Link
    message_limit: int | None = None
    connection_id: bytes = b""
    subscriptions: tuple[Channel, ...] = ()


class WebSockets:
    """Opens WebSockets. `serve` may run any number of times at once, once per connection at a time."""

    def __init__(
        self,
        *,
        site: Site,
        websockets: WebSocketSite,
        edge: Edge,
        outgoing: Outgoing,
        upstream: Upstream,
        over_http: OverHttpSite,
        through: ThroughSite,
    ) -> None:
        self._site = site
        self._websockets = websockets
        self._edge = edge
        self._outgoing = outgoing
        self._upstream = upstream
        self._over_http = over_http
        self._through = through

    async def serve(self, flow: Flow, targets: tuple[Target, ...], test: Target | None) -> None:
        """Open a WebSocket at the first of `targets` that can be reached, else at `test`.

        Raises UpstreamError, or CancelledError or ConnectionError when the client goes meanwhile.
        """
        try:
            key = check_handshake(flow.exchange.head)
        except HandshakeError as error:
            self._site.counters.requests_refused += 1
            flow.exchange.answer_text(error.status, INVALID, headers=error.headers)
            return
        try:
            await self._open(flow, key, targets)
        except UnreachableError:
            if test is None:
                raise
            self._open_test(flow, key, test)

    async def _open(self, flow: Flow, key: bytes, targets: tuple[Target, ...]) -> None:
        connection_id = str(uuid.uuid4()).encode()
        status = 502
        for target in targets:
            try:
                if target.over_http:
                    await self._open_over_http(flow, key, target, connection_id)
                else:
                    await self._open_through(flow, key, target)
            except UnreachableError as error:
                status = error.status
            else:
                return
        raise unreachable(targets, status=status)

    async def _open_over_http(self, flow: Flow, key: bytes, target: Target, connection_id: bytes) -> None:
        request = self._outgoing.write(flow.exchange, flow.incoming, flow.loaded, signs=False)
        headers = events_headers(request.headers, connection_id=connection_id, extension=self._offer(flow))
        signer = None if flow.incoming.is_trusted else flow.loaded.signer
        template = EventsTemplate(path=request.path, host=request.host, headers=headers, signer=signer)
        link = OverHttpLink(site=self._over_http, template=template, target=target, label=flow.uri)
        try:
            opened = await link.open()
        except UnreachableError:
            link.client_gone()
            raise
        flow.target, flow.is_over_http = target, True
        if isinstance(opened, Answer):
            link.client_gone()
            headers = response_headers(opened.headers, grip=flow.speaks_grip, keep_length=False)
            flow.exchange.answer(replace(opened, headers=rejection_headers(headers)))
            return
        limit = self._websockets.settings.message_limit
        acceptance = Acceptance(headers=opened.headers, link=link, message_limit=limit, connection_id=connection_id)
        self._hold(flow, key, acceptance)

    async def _open_through(self, flow: Flow, key: bytes, target: Target) -> None:
        own_key = generate_key().encode()
        offer = self._offer(flow)
        request = self._outgoing.write(flow.exchange, flow.incoming, flow.loaded)
        headers = upgrade_headers(request.headers, key=own_key, extension=offer)
        request = structs.replace(request, headers=headers, body=RequestBody.of(b""), upgrades=True)
        reached = await self._upstream.send((target,), request)
        flow.target = target
        try:
            if reached.answer.status != 101:
                await relay(flow.exchange, reached.answer, speaks_grip=flow.speaks_grip)
                return
            check_switch(reached.answer.headers, key=own_key, extensions=() if offer is None else (GRIP,))
            self._hold(flow, key, self._take_over(flow, reached.answer))
        except (SwitchError, AnswerTruncated) as error:
            if flow.exchange.is_begun:
                raise
            raise UpstreamError(status=502, detail=f"{target.name}: {error}") from error
        finally:
            reached.answer.close()

    def _take_over(self, flow: Flow, answer: BackendAnswer) -> Acceptance:
        transport, tail = answer.take_transport()
        link = ThroughLink(site=self._through, transport=transport, tail=tail, label=flow.uri)
        return Acceptance(headers=answer.headers, link=link)

    def _open_test(self, flow: Flow, key: bytes, test: Target) -> None:
        flow.target = test
        channels = answer_test_socket(flow.incoming.path, flow.route)
        if channels is None:
            flow.exchange.answer_text(404, "no such test resource")
        else:
            self._hold(flow, key, Acceptance(headers=(), link=EchoLink(), subscriptions=channels))

    def _offer(self, flow: Flow) -> bytes | None:
        """Return the extension to offer to a backend: ours, or that of a GRIP proxy in front of us."""
        if flow.speaks_grip:
            return GRIP
        offers = header_values(flow.exchange.head.headers, b"sec-websocket-extensions")
        return GRIP if flow.incoming.is_trusted and parse_extension(offers) is not None else None

    def _hold(self, flow: Flow, key: bytes, acceptance: Acceptance) -> None:
        """Accept the client and hold it. Nothing is awaited, so nothing published from here on is missed."""
        link = acceptance.link
        offers = header_values(flow.exchange.head.headers, b"sec-websocket-extensions")
        deflate = negotiate(offers) if self._websockets.settings.compression else None
        try:
            session = self._make_session(flow, acceptance, deflate)
        except ConnectionError:
            link.client_gone()
            raise
        self._edge.join(session)
        link.adopt(session)
        try:
            flow.exchange.switch(self._encode_acceptance(flow, key, acceptance, deflate))
            flow.exchange.hand_over(session)
        except BaseException:
            session.leave()
            link.client_gone()
            raise
        link.begin()

    def _make_session(self, flow: Flow, acceptance: Acceptance, deflate: Deflate | None) -> WebSocketSession:
        taken_up = header_values(acceptance.headers, b"sec-websocket-extensions")
        prefix = parse_extension(taken_up) if flow.speaks_grip else None
        session = WebSocketSession(
            site=self._site,
            websockets=self._websockets,
            transport=flow.exchange.transport,
            link=acceptance.link,
            label=flow.uri,
            implicit=(flow.target.subs if flow.target else ()) + acceptance.subscriptions,
            prefix=flow.route.prefix,
            message_limit=acceptance.message_limit,
            deflate=deflate,
            grip=None if prefix is None else GripReader(prefix, control_limit=CONTROL_LIMIT),
        )
        session.route, session.connection_id = flow.route.id, acceptance.connection_id
        return session

    def _encode_acceptance(self, flow: Flow, key: bytes, acceptance: Acceptance, deflate: Deflate | None) -> bytes:
        extensions = [] if deflate is None else [deflate.response]
        if not flow.speaks_grip and self._offer(flow) is not None:
            # Whoever asked for GRIP is told of that. Of another extension, a backend cannot know what was offered.
            taken_up = header_values(acceptance.headers, b"sec-websocket-extensions")
            extensions.extend(value for value in taken_up if parse_extension((value,)) is not None)
        headers = accepted_headers(acceptance.headers, grip=flow.speaks_grip)
        return encode_acceptance(key, headers, extension=b", ".join(extensions) or None)
