"""Answers a client's request: finds the route, asks the backend, and relays its answer or holds the connection.

`proxy.connection` calls `serve` once for each request, in a task of that connection. Whatever goes wrong on the way is
turned into one documented answer, one counter and one log line here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import structs

from handlers.counters import Counters
from handlers.errors import InstructError
from handlers.protocol.grip import is_grip
from handlers.protocol.http1 import header_values
from handlers.protocol.jsonp import NOT_ENCODABLE, NotEncodable
from handlers.timers import Clock
from proxy.backend import AnswerTruncated, BackendAnswer
from proxy.builtin_target import answer_test
from proxy.cross_origin import open_up, relay_script
from proxy.errors import RequestBodyError, UnreachableError, UpstreamError
from proxy.exchange import Exchange
from proxy.flow import Flow, log_request
from proxy.holding import Holding
from proxy.hub.door import HubDoor
from proxy.incoming import Incoming
from proxy.outgoing import Outgoing
from proxy.protocol.matching import host_of
from proxy.protocol.route import Proto, Target
from proxy.protocol.ws_events import EVENTS_TYPE
from proxy.relaying import relay
from proxy.router import Router
from proxy.sharing import Sharing
from proxy.sockjs.door import SockJsDoor
from proxy.upstream import Upstream
from proxy.websocket import WebSockets

if TYPE_CHECKING:
    from proxy.grip_session.tracking import GripSessions

log = logging.getLogger("holdfast.front")

LOOP = "Link leads back to this proxy."
NO_ROUTE = "Route not found"
BAD_GATEWAY = "Error while proxying to origin."
GATEWAY_TIMEOUT = "Timed out while proxying to origin."
NO_EVENTS = "Client not allowed to send WebSocket events directly."
BROKEN = "Internal error."

CONTENT_TYPE = b"content-type"
PUSHPIN_ROUTE = b"pushpin-route"


class Front:
    """The clients' door. `serve` may run any number of times at once, once per connection at a time."""

    def __init__(
        self,
        *,
        router: Router,
        outgoing: Outgoing,
        upstream: Upstream,
        holding: Holding,
        grip_sessions: GripSessions | None,
        websockets: WebSockets,
        sockjs: SockJsDoor,
        hub: HubDoor | None,
        hub_path: str,
        counters: Counters,
        debug: bool,
        opens_all: bool,
        takes_ids: bool,
        sharing: Sharing | None,
        clock: Clock,
    ) -> None:
        """`opens_all`: every route is open to other origins, as with `aco`; `takes_ids`: Pushpin-Route counts."""
        self._router = router
        self._outgoing = outgoing
        self._upstream = upstream
        self._sharing = sharing
        self._holding = holding
        self._grip_sessions = grip_sessions
        self._websockets = websockets
        self._sockjs = sockjs
        self._hub = hub
        self._hub_path = hub_path
        self._counters = counters
        self._debug = debug
        self._opens_all = opens_all
        self._takes_ids = takes_ids
        self._clock = clock

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request, or hold its connection.

        Raises CancelledError or ConnectionError when the client goes meanwhile.
        """
        self._counters.requests += 1
        incoming = self._outgoing.read(exchange)
        if incoming.is_looping:
            self._refuse_loop(exchange, incoming)
            return
        if self._hub is not None and self._hub.takes(incoming.path):
            await self._hub.serve(exchange, incoming)
            return
        loaded = self._router.select(
            host=host_of(incoming.authority.decode("latin-1")),
            proto=Proto.WS if exchange.head.is_websocket else Proto.HTTP,
            ssl=incoming.is_tls,
            path=incoming.path,
            route_id=asked_route(exchange) if self._takes_ids else "",
        )
        if loaded is None:
            self._counters.requests_unrouted += 1
            exchange.answer_text(502, NO_ROUTE)
            log_request(exchange, incoming, None)
            return
        flow = Flow(
            exchange=exchange,
            incoming=incoming,
            loaded=loaded,
            shows_reasons=self._debug or loaded.route.debug,
            speaks_grip=not loaded.route.no_grip and not incoming.is_trusted,
            hub_path=self._hub_path,
        )
        try:
            await self._serve_or_fail(flow)
        except (ConnectionError, asyncio.CancelledError):
            self._counters.requests_abandoned += 1
            raise
        finally:
            log_request(exchange, flow.incoming, flow)

    async def _serve_or_fail(self, flow: Flow) -> None:
        try:
            await self._serve(flow)
        except UpstreamError as error:
            self._fail_upstream(flow, error)
        except InstructError as error:
            self._fail_instruct(flow, error)
        except NotEncodable as error:
            self._fail_script(flow, error)
        except RequestBodyError as error:
            self._counters.requests_refused += 1
            fail(flow.exchange, error.status, error.text)
        except AnswerTruncated as error:
            self._counters.backend_truncated += 1
            log.warning("%s: the backend ended in the middle of its answer: %s", flow.uri, error)
            fail(flow.exchange, 502, BAD_GATEWAY)
        except ConnectionError:
            raise
        except Exception:
            log.exception("%s: internal error", flow.uri)
            fail(flow.exchange, 500, BROKEN)

    async def _serve(self, flow: Flow) -> None:
        """Forward to the route's backends, or to its `test` target where none of them can be reached."""
        hosts, test = flow.loaded.hosts, flow.loaded.test
        if flow.route.sockjs and self._sockjs.takes(flow):
            await self._sockjs.serve(flow, hosts, test)
            return
        if (flow.route.aco or self._opens_all) and not flow.exchange.head.is_websocket:
            open_up(flow)
        if flow.exchange.head.is_websocket:
            await self._websockets.serve(flow, hosts, test)
        elif poses_as_us(flow):
            self._counters.requests_refused += 1
            flow.exchange.answer_text(403, NO_EVENTS)
        elif test is None:
            await self._forward(flow, hosts)
        else:
            await self._forward_or_test(flow, hosts, test)

    async def _forward_or_test(self, flow: Flow, hosts: tuple[Target, ...], test: Target) -> None:
        if hosts:
            try:
                await self._forward(flow, hosts)
            except UnreachableError:
                pass  # as a route that ends in `test` asks
            else:
                return
        flow.target = test
        await self._holding.obey(flow, answer_test(flow.incoming.path, flow.route))

    async def _forward(self, flow: Flow, targets: tuple[Target, ...]) -> None:
        if flow.exchange.head.expects_continue:
            flow.exchange.send_continue()
        if flow.exchange.is_retry:
            flow.mark = self._holding.mark
        request = self._outgoing.write(flow.exchange, flow.incoming, flow.loaded, meant=flow.meant)
        sessions = self._grip_sessions if flow.route.session and flow.speaks_grip else None
        if sessions is not None:
            request = await sessions.recognise(request, flow.incoming)
        if self._sharing is None:
            reached = await self._upstream.send(targets, request)
        else:
            reached = await self._sharing.send(flow, targets, request)
        answer = reached.answer
        flow.target = reached.target
        flow.answer_seconds = self._upstream.answer_limit(reached.target)
        try:
            if sessions is not None and is_grip(answer.headers):
                await self._obey_in_session(flow, answer, sessions)
            elif flow.speaks_grip and is_grip(answer.headers):
                await self._holding.obey(flow, answer)
            elif flow.meant is not None:
                await relay_script(flow, answer, clock=self._clock)
            else:
                # Either it has no Grip-*, or they are not ours.
                await relay(flow.exchange, answer, speaks_grip=False, added=flow.added_headers)
        finally:
            answer.close()

    async def _obey_in_session(self, flow: Flow, answer: BackendAnswer, sessions: GripSessions) -> None:
        sid = await sessions.learn(answer.headers, flow.incoming)
        transport = flow.exchange.transport
        await self._holding.obey(flow, answer)
        if sid and flow.exchange.is_handed_over:
            sessions.hold(transport.get_protocol(), sid)

    def _refuse_loop(self, exchange: Exchange, incoming: Incoming) -> None:
        # Held, it would be one more connection to ourselves each time that the link is asked, each within the last.
        self._counters.requests_looping += 1
        log.warning("%s: a link leads back here by way of another host", incoming.uri)
        exchange.answer_text(508, LOOP)
        log_request(exchange, incoming, None)

    def _fail_upstream(self, flow: Flow, error: UpstreamError) -> None:
        is_timeout = error.status == 504
        if is_timeout:
            self._counters.backend_timeouts += 1
        else:
            self._counters.backend_failures += 1
        log.warning("%s", error)
        text = GATEWAY_TIMEOUT if is_timeout else BAD_GATEWAY
        fail(flow.exchange, error.status, error.detail if error.is_public and flow.shows_reasons else text)

    def _fail_script(self, flow: Flow, error: NotEncodable) -> None:
        self._counters.jsonp_failures += 1
        log.warning("%s: an answer cannot be a script: %s", flow.uri, error)
        if flow.exchange.presentation is not None:
            flow.exchange.presentation = structs.replace(flow.exchange.presentation, jsonp=None)
        fail(flow.exchange, 500, NOT_ENCODABLE)

    def _fail_instruct(self, flow: Flow, error: InstructError) -> None:
        self._counters.instructs_refused += 1
        log.warning("%s: instruct refused: %s", flow.uri, error)
        detail = f"Failed to parse accept instructions: {error}"
        fail(flow.exchange, 502, detail if flow.shows_reasons else BAD_GATEWAY)


def fail(exchange: Exchange, status: int, text: str) -> None:
    """Answer with an error, or cut an answer that has begun. Raises ConnectionResetError when the client is gone."""
    if exchange.is_handed_over:
        return
    if exchange.is_begun:
        exchange.abort()
    else:
        exchange.answer_text(status, text)


def asked_route(exchange: Exchange) -> str:
    """Return the id of the route that a client asks for (reference 1.6); empty when it asks for none."""
    return b",".join(header_values(exchange.head.headers, PUSHPIN_ROUTE)).decode("utf-8", "replace")


def poses_as_us(flow: Flow) -> bool:
    """Say whether a client sends what only a proxy may send (reference 3.12).

    Pushpin looks whether the route has `over_http`; but HTTP and WebSocket may take different routes to one backend.
    """
    if not flow.speaks_grip:
        return False
    for name, value in flow.headers:
        if (
            len(name) == len(CONTENT_TYPE)
            and name.lower() == CONTENT_TYPE
            and value.partition(b";")[0].strip().lower() == EVENTS_TYPE
        ):
            return True
    return False
