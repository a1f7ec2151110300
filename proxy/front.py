"""Answers a client's request: finds the route, asks the backend, and relays its answer or holds the connection.

`proxy.connection` calls `serve` once for each request, in a task of that connection. Whatever goes wrong on the way is
turned into one documented answer, one counter and one log line here.
"""

from __future__ import annotations

import asyncio
import logging

from handlers.counters import Counters
from handlers.errors import InstructError
from handlers.protocol.grip import is_grip
from handlers.protocol.http1 import header_values
from proxy.backend import AnswerTruncated, BackendAnswer
from proxy.errors import RequestBodyError, UnreachableError, UpstreamError
from proxy.exchange import Exchange
from proxy.holding import GripAnswer, Holding
from proxy.log import AccessRecord, Outcome, log_access
from proxy.outgoing import Incoming, Outgoing
from proxy.protocol.headers import response_headers
from proxy.protocol.matching import host_of
from proxy.protocol.route import Proto, Target, TargetKind
from proxy.router import LoadedRoute, Router
from proxy.test_target import answer_test
from proxy.upstream import Reached, Upstream

log = logging.getLogger("holdfast.front")

NO_ROUTE = "Route not found"
BAD_GATEWAY = "Error while proxying to origin."
GATEWAY_TIMEOUT = "Timed out while proxying to origin."
NO_WEBSOCKETS = "Not supported yet: WebSockets."
NO_ZHTTP = "Not supported yet: zhttp targets."
BROKEN = "Internal error."


class Front:
    """The clients' door. `serve` may run any number of times at once, once per connection at a time."""

    def __init__(
        self,
        *,
        router: Router,
        outgoing: Outgoing,
        upstream: Upstream,
        holding: Holding,
        counters: Counters,
        debug: bool,
    ) -> None:
        self._router = router
        self._outgoing = outgoing
        self._upstream = upstream
        self._holding = holding
        self._counters = counters
        self._debug = debug

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request, or hold its connection. Raises CancelledError when the client goes meanwhile."""
        self._counters.requests += 1
        incoming = self._outgoing.read(exchange)
        loaded = self._router.select(
            host=host_of(incoming.authority.decode("latin-1")),
            proto=Proto.WS if exchange.head.upgrade == b"websocket" else Proto.HTTP,
            ssl=incoming.is_tls,
            path=incoming.path,
        )
        story = Story(exchange, incoming, loaded)
        try:
            await self._serve(exchange, incoming, loaded, story)
        except UpstreamError as error:
            self._fail_upstream(exchange, error, loaded)
        except InstructError as error:
            self._fail_instruct(exchange, error, loaded, story)
        except RequestBodyError as error:
            self._counters.requests_refused += 1
            self._fail(exchange, 400, error.text)
        except AnswerTruncated as error:
            self._counters.backend_truncated += 1
            log.warning("%s: the backend ended in the middle of its answer: %s", story.uri, error)
            self._fail(exchange, 502, BAD_GATEWAY)
        except (ConnectionError, asyncio.CancelledError):
            self._counters.requests_abandoned += 1
            raise
        except Exception:
            log.exception("%s: internal error", story.uri)
            self._fail(exchange, 500, BROKEN)
        finally:
            story.tell()

    async def _serve(self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute | None, story: Story) -> None:
        if loaded is None:
            self._counters.requests_unrouted += 1
            exchange.answer_text(502, NO_ROUTE)
        elif exchange.head.upgrade == b"websocket":
            self._refuse_unsupported(exchange, story, NO_WEBSOCKETS)
        else:
            await self._try_targets(exchange, incoming, loaded, story)

    async def _try_targets(self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute, story: Story) -> None:
        """Forward to the route's backends; `test`, which never fails, ends the list wherever it stands."""
        targets = loaded.route.targets
        test = next((target for target in targets if target.kind is TargetKind.TEST), None)
        if test is not None:
            targets = targets[: targets.index(test)]
        hosts = tuple(target for target in targets if target.kind is TargetKind.HOST)
        try:
            if hosts:
                await self._forward(exchange, incoming, loaded, hosts, story)
                return
        except UnreachableError:
            if test is None:
                raise
        if test is not None:
            story.target = test.name
            answer = answer_test(path=incoming.path, route=loaded.route, target=test)
            await self._holding.obey(exchange, incoming, loaded, answer)
        else:
            self._refuse_unsupported(exchange, story, NO_ZHTTP)

    def _refuse_unsupported(self, exchange: Exchange, story: Story, text: str) -> None:
        self._counters.requests_unsupported += 1
        log.warning("%s: %s", story.uri, text)
        exchange.answer_text(501, text)

    async def _forward(
        self,
        exchange: Exchange,
        incoming: Incoming,
        loaded: LoadedRoute,
        targets: tuple[Target, ...],
        story: Story,
    ) -> None:
        if exchange.head.expects_continue:
            exchange.send_continue()
        request = self._outgoing.write(exchange, incoming, loaded)
        reached = await self._upstream.send(targets, request)
        story.target = reached.target.name
        try:
            speaks_grip = not loaded.route.no_grip and not incoming.is_trusted
            if speaks_grip and is_grip(reached.answer.headers):
                await self._holding.obey(exchange, incoming, loaded, grip_answer(reached))
            else:
                await self._relay(exchange, reached.answer, speaks_grip=speaks_grip)
        finally:
            reached.answer.close()

    async def _relay(self, exchange: Exchange, answer: BackendAnswer, *, speaks_grip: bool) -> None:
        exchange.begin(
            status=answer.status,
            reason=answer.reason,
            headers=response_headers(answer.headers, grip=speaks_grip, keep_length=False),
            length=content_length(answer),
        )
        if not answer.has_body_waiting:
            exchange.flush_head()
        while data := await answer.read():
            await exchange.write(data)
        exchange.end()

    def _fail_upstream(self, exchange: Exchange, error: UpstreamError, loaded: LoadedRoute | None) -> None:
        if error.status == 504:
            self._counters.backend_timeouts += 1
        else:
            self._counters.backend_failures += 1
        log.warning("%s", error)
        text = GATEWAY_TIMEOUT if error.status == 504 else BAD_GATEWAY
        shown = error.is_public and self._shows_reasons(loaded)
        self._fail(exchange, error.status, error.detail if shown else text)

    def _fail_instruct(
        self, exchange: Exchange, error: InstructError, loaded: LoadedRoute | None, story: Story
    ) -> None:
        self._counters.instructs_refused += 1
        log.warning("%s: instruct refused: %s", story.uri, error)
        detail = f"Failed to parse accept instructions: {error}"
        self._fail(exchange, 502, detail if self._shows_reasons(loaded) else BAD_GATEWAY)

    def _shows_reasons(self, loaded: LoadedRoute | None) -> bool:
        return self._debug or (loaded is not None and loaded.route.debug)

    def _fail(self, exchange: Exchange, status: int, text: str) -> None:
        if exchange.is_handed_over:
            return
        if exchange.is_begun:
            exchange.abort()
        else:
            exchange.answer_text(status, text)


class Story:
    """What is said of a request in the log, once, when it is over."""

    def __init__(self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute | None) -> None:
        self._exchange = exchange
        self._incoming = incoming
        self._route_id = loaded.route.id if loaded else ""
        self.target = ""

    @property
    def uri(self) -> str:
        """The request's URI, as text."""
        return self._incoming.uri

    def tell(self) -> None:
        """Write the request's log line."""
        exchange = self._exchange
        log_access(
            AccessRecord(
                method=exchange.head.method.decode("latin-1"),
                uri=self.uri,
                outcome=outcome(exchange),
                target=self.target,
                client=self._incoming.client,
                referer=first_text(exchange, b"referer"),
                route_id=self._route_id,
                code=exchange.status,
                size=exchange.size,
                retry=exchange.is_retry,
                user_agent=first_text(exchange, b"user-agent"),
            )
        )


def grip_answer(reached: Reached) -> GripAnswer:
    """Return a backend's answer as `Holding` takes it."""
    answer = reached.answer
    return GripAnswer(
        target=reached.target,
        status=answer.status,
        reason=answer.reason,
        headers=answer.headers,
        length=content_length(answer),
        is_waiting=not answer.has_body_waiting,
        read=answer.read,
    )


def content_length(answer: BackendAnswer) -> int | None:
    """Return the length the backend announced, unless its body is delimited otherwise."""
    if header_values(answer.headers, b"transfer-encoding"):
        return None
    values = header_values(answer.headers, b"content-length")
    return int(values[0]) if values else None


def outcome(exchange: Exchange) -> Outcome:
    """Say how the request ended."""
    if exchange.is_handed_over:
        return Outcome.ACCEPTED
    return Outcome.ANSWERED if exchange.is_ended else Outcome.FAILED


def first_text(exchange: Exchange, name: bytes) -> str:
    """Return a header of the client as text, empty when it has none."""
    values = header_values(exchange.head.headers, name)
    return values[0].decode("utf-8", "surrogateescape") if values else ""
