"""SockJS under a route's path: what each request below it is for, and who serves it (reference 8.1).

Called by the front for routes with `sockjs`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import assert_never

from handlers.protocol.answers import Answer
from handlers.protocol.rate import Seldom
from handlers.protocol.sockjs import is_callback
from handlers.settings import WebSocketSettings
from handlers.sockjs.session import Key, SockJsSite
from proxy.exchange import Exchange
from proxy.flow import Flow
from proxy.protocol.route import Target
from proxy.protocol.sockjs_answer import NOT_FOUND, Iframe, greeting, info, preflight, text_answer
from proxy.protocol.sockjs_path import (
    Page,
    Receive,
    Resource,
    Send,
    Socket,
    find_resource,
    rest_below,
    take_callback,
)
from proxy.sockjs.opener import Opener, Wanted
from proxy.sockjs.passing import NOT_PASSED, Passed, Passing
from proxy.sockjs.receiving import hold, refuse_second
from proxy.sockjs.sending import REQUEST_TOO_LARGE, Sending
from proxy.websocket import WebSockets

log = logging.getLogger("holdfast.sockjs")

BAD_CALLBACK = "Bad Request"
"""Pushpin's text."""
NO_ROOM = "No room for another SockJS session."


class SockJsDoor:
    """`takes`, then `serve`, any number of times at once."""

    def __init__(
        self,
        *,
        shared: SockJsSite,
        limits: WebSocketSettings,
        websockets: WebSockets,
        script_url: str,
        passing: Passing | None,
        has_room: Callable[[int], bool],
    ) -> None:
        """`passing` is for one of several workers: it knows which sessions are whose.

        `has_room` says whether there may be one more where so many are: a client that has opened a session may close
        its connection, or open another session by it, so that the limit of connections does not bound them.
        """
        self._shared = shared
        self._has_room = has_room
        self._refusals = Seldom()
        self._passing = passing
        self._iframe = Iframe(script_url)
        self._opener = Opener(shared=shared, limits=limits, websockets=websockets)
        self._sending = Sending(limits=limits, counters=shared.site.counters)
        self._counters = shared.site.counters

    def takes(self, flow: Flow) -> bool:
        """Say whether a request is below the SockJS path of its route, which has one."""
        return rest_below(flow.incoming.path.partition(b"?")[0], flow.route.sockjs.encode()) is not None

    async def serve(self, flow: Flow, targets: tuple[Target, ...], test: Target | None) -> None:
        """Serve a request that this `takes`. Raises as `WebSockets.serve` does, and RequestBodyError."""
        path, _, query = flow.incoming.path.partition(b"?")
        head = flow.exchange.head
        rest = rest_below(path, flow.route.sockjs.encode())
        assert rest is not None, "it was not taken"
        resource = find_resource(head.method, rest, is_websocket=head.is_websocket)
        if resource is None:
            self._refuse(flow.exchange, 404, NOT_FOUND)
        else:
            await self._serve(resource, Wanted(flow=flow, targets=targets, test=test, query=query))

    async def _serve(self, resource: Resource, wanted: Wanted) -> None:
        flow = wanted.flow
        match resource:
            case Socket(is_raw=True):
                await self._opener.open_raw(wanted)
            case Socket():
                await self._opener.open_socket(wanted)
            case Receive() | Send() if not self._is_here(flow, resource):
                await self._pass_on(resource, wanted)
            case Receive():
                await self._receive(resource, wanted)
            case Send():
                session = self._shared.sessions.get(key_of(flow, resource.session))
                await self._sending.serve(flow.exchange, resource, session, wanted.query)
            case Page():
                flow.exchange.answer(self._show(resource, flow.exchange))
            case _:
                assert_never(resource)

    async def _receive(self, resource: Receive, wanted: Wanted) -> None:
        flow, wrapping = wanted.flow, resource.wrapping
        callback, query = b"", wanted.query
        if wrapping.wants_callback:
            callback, query = take_callback(wanted.query)
            if not is_callback(callback):
                self._refuse(flow.exchange, 400, BAD_CALLBACK)
                return
        # Nothing is in it; but what of it came while the connection is held would be taken for the next request.
        if await self._sending.read_body(flow.exchange) is None:
            self._refuse(flow.exchange, 400, REQUEST_TOO_LARGE)
            return
        key = key_of(flow, resource.session)
        session = self._shared.sessions.get(key)
        if session is None:
            if not self._has_room(len(self._shared.sessions)):
                self._refuse_another(flow.exchange)
                return
            opening = Wanted(flow=flow, targets=wanted.targets, test=wanted.test, query=query)
            session = await self._opener.open(opening, key)
            if session is None:
                return
        elif session.is_taken:
            refuse_second(flow, wrapping, callback, self._counters)
            return
        hold(flow, session, wrapping, callback)

    def _is_here(self, flow: Flow, resource: Receive | Send) -> bool:
        return self._passing is None or self._passing.is_here(key_of(flow, resource.session))

    async def _pass_on(self, resource: Receive | Send, wanted: Wanted) -> None:
        """Have the worker serve the request that has its session."""
        exchange, passing = wanted.flow.exchange, self._passing
        assert passing is not None, "only then it is elsewhere"
        body = await self._sending.read_body(exchange)
        if body is None:
            self._refuse(exchange, 400, REQUEST_TOO_LARGE)
            return
        key = key_of(wanted.flow, resource.session)
        passed = await passing.pass_on(exchange, self._shared.site, key, body, wanted.flow.uri)
        wanted.flow.is_passed_on = passed is Passed.TAKEN
        if passed is Passed.REFUSED:
            exchange.answer(text_answer(503, NOT_PASSED, exchange.head.headers))

    def _show(self, page: Page, exchange: Exchange) -> Answer:
        headers = exchange.head.headers
        match page:
            case Page.GREETING:
                return greeting(headers)
            case Page.INFO:
                return info(secrets.randbits(32), headers)
            case Page.PREFLIGHT:
                return preflight(headers)
            case Page.IFRAME:
                answer = self._iframe.answer(headers)
                return text_answer(404, NOT_FOUND, headers) if answer is None else answer
            case _:
                assert_never(page)

    def _refuse_another(self, exchange: Exchange) -> None:
        self._counters.sockjs_refused += 1
        if self._refusals.take(self._shared.site.clock.now()):
            count = len(self._shared.sessions)
            log.warning("no room for another SockJS session: %d are open (said every 10 seconds)", count)
        exchange.answer(text_answer(503, NO_ROOM, exchange.head.headers))

    def _refuse(self, exchange: Exchange, status: int, text: str) -> None:
        self._counters.requests_refused += 1
        exchange.answer(text_answer(status, text, exchange.head.headers))


def key_of(flow: Flow, session: bytes) -> Key:
    """Return what knows a session: clients choose its name, and those of other sites may choose the same."""
    return flow.incoming.authority + flow.route.sockjs.encode(), session
