"""Sends a request to the first target of a route that can be reached, and returns its answer's head.

Failover, the repeat on a dead pooled connection, and the two time limits are decided here; `backend` moves the bytes.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.protocol.http1 import Headers
from handlers.protocol.rate import Seldom
from handlers.timers import Clock
from proxy.backend import (
    AddressBlocked,
    AnswerFailed,
    BackendAddress,
    BackendAnswer,
    BackendConnection,
    BackendPool,
    ConnectFailed,
)
from proxy.backend_aiohttp import AiohttpPool
from proxy.backend_pool import OwnPool
from proxy.errors import BLOCKED, UnreachableError, UpstreamError
from proxy.protocol.backend_head import encode_request_head
from proxy.protocol.route import Target, TargetKind
from proxy.request_body import RequestBody
from proxy.settings import ProxySettings
from proxy.tls import CertificateError, server_hostname, tls_context

if TYPE_CHECKING:
    from proxy.zhttp.services import Services

log = logging.getLogger("holdfast.upstream")

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"))
"""RFC 9110 section 9.2.2. Only these may be sent twice when nobody knows whether the first arrived."""

LENGTH_SECONDS = 1.0
"""How long a short chunked body is waited for, so that it can be sent with a length; many backends need one."""

ZHTTP_KINDS = frozenset((TargetKind.ZHTTP, TargetKind.ZHTTPREQ))
ZHTTP_UNREACHABLE = "Error: zhttp service for route is unreachable."
"""Pushpin's text (reference 3.16)."""

ADDRESS_LIMIT = 1000
"""Addresses kept; with TLS there is one per host that clients name, and they may name any."""


class BackendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. A Struct, as is Reached, because every request makes one.

    `path` is the origin-form target byte for byte. `headers` have a Host, which is `host`, but no framing.
    """

    method: bytes
    path: bytes
    host: bytes
    headers: Headers
    body: RequestBody
    may_repeat: bool = False
    """Whether it may be sent again when a kept connection turns out to be dead, whatever the method."""
    upgrades: bool = False
    """Whether it asks for another protocol, so that the answer may be a 101."""
    is_direct: bool = False
    """Whether its target is made for it alone, and belongs to no route: by its identity it is never met again."""


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and which target gave it."""

    target: Target
    answer: BackendAnswer


class Upstream:
    """The way to all backends. `send` may run any number of times at once."""

    def __init__(
        self,
        *,
        settings: ProxySettings,
        clock: Clock,
        counters: Counters,
        name: str = "holdfast",
        worker: int | None = None,
    ) -> None:
        """`name` is what ZHTTP workers know this process by; `worker` its number, from 0, None where there is one."""
        self._settings = settings
        self._name = name.encode()
        self._worker = worker
        self._zhttp: Services | None = None
        self._clock = clock
        self._counters = counters
        self._pool: BackendPool = AiohttpPool(clock) if settings.backend_client == "aiohttp" else OwnPool(clock)
        self._addresses: dict[tuple[Target, str], BackendAddress] = {}
        self._drops = Seldom()
        self._plain: dict[int, tuple[Target, BackendAddress]] = {}
        self._contexts: dict[Target, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Close all pooled connections."""
        await self._pool.close()
        if self._zhttp is not None:
            self._zhttp.close()

    def routes_loaded(self, targets: Iterable[Target]) -> None:
        """Drop what is kept per target, and bind where ZHTTP workers connect; called when routes were loaded anew."""
        self.forget_addresses()
        bound = [target for target in targets if target.kind in ZHTTP_KINDS]
        if bound or self._zhttp is not None:
            self._services().bind(bound)

    def forget_addresses(self) -> None:
        """Drop what is kept per target."""
        self._addresses.clear()
        self._plain.clear()
        self._contexts.clear()

    async def send(self, targets: tuple[Target, ...], request: BackendRequest) -> Reached:
        """Send `request` to the first target that can be connected to.

        Raises UpstreamError: 502 when none can be reached or the answer is unusable, 504 when the last target
        tried did not connect, or the one connected did not answer, in time.
        """
        if request.body.length is None:
            await self._learn_length(request.body)
        began = self._clock.now()
        last: ConnectFailed | TimeoutError | None = None
        for target in targets:
            if target.spec:  # which only workers' targets have; to look at the kind takes longer
                try:
                    answer = await self._ask_worker(target, request)
                except ConnectFailed as error:
                    last = error
                    continue
                return self._reached(target, answer, began)
            try:
                address = self._address(target, request.host, is_kept=not request.is_direct)
                pooled = self._pool.take(address, rested=not may_repeat(request))
                connection = pooled or await self._connect(target, address)
            except (ConnectFailed, TimeoutError) as error:
                last = error
                continue
            try:
                answer = await self._ask(connection, target, request)
            except AnswerFailed as error:
                if not (error.is_stale and may_repeat(request)):
                    raise UpstreamError(status=502, detail=f"{target.name}: {error}") from error
                answer = await self._ask_again(target, request)
            return self._reached(target, answer, began)
        raise unreachable(targets, status=504 if isinstance(last, TimeoutError) else 502) from last

    def answer_limit(self, target: Target) -> float:
        """Return the seconds that `target` has to begin its answer; 0 is no bound."""
        return target.timeout or self._settings.response_timeout

    def _reached(self, target: Target, answer: BackendAnswer, began: float) -> Reached:
        now = self._clock.now()
        self._counters.backend.observe(now - began)
        if answer.dropped:
            self._counters.headers_dropped += len(answer.dropped)
            if self._drops.take(now):
                names = ascii(b", ".join(answer.dropped).decode("latin-1"))
                log.warning(
                    "%s: headers left out, their names are none: %.200s (said every 10 seconds)", target.name, names
                )
        return Reached(target=target, answer=answer)

    async def _learn_length(self, body: RequestBody) -> None:
        try:
            async with Deadline(self._clock, LENGTH_SECONDS):
                await body.prefetch()
        except TimeoutError:
            log.debug("a chunked body comes slowly; sent on as it comes")

    async def _ask_worker(self, target: Target, request: BackendRequest) -> BackendAnswer:
        limit = self.answer_limit(target)
        try:
            return await self._services().ask(
                target, request, wait=target.connect_timeout, limit=limit, silence=target.timeout
            )
        except ConnectFailed as error:
            if request.body.is_replayable:
                raise
            raise UpstreamError(status=502, detail=str(error)) from error  # no other target can be sent the body

    def _services(self) -> Services:
        if self._zhttp is None:
            from proxy.zhttp.services import Services  # noqa: PLC0415  # with ZeroMQ, which others do not need

            self._zhttp = Services(sender=self._name, number=self._worker, clock=self._clock, counters=self._counters)
        return self._zhttp

    async def _connect(self, target: Target, address: BackendAddress) -> BackendConnection:
        try:
            async with Deadline(self._clock, self._connect_limit(target)):
                return await self._pool.connect(address)
        except AddressBlocked as error:
            # No other target is tried (reference 1.7): this one is there, but not for us.
            self._counters.backend_blocked += 1
            log.warning("%s is untrusted, and has no address to be connected to: %s", target.name, error)
            raise UpstreamError(status=502, detail=BLOCKED, is_public=True) from error

    def _connect_limit(self, target: Target) -> float:
        return target.connect_timeout or self._settings.connect_timeout

    async def _ask_again(self, target: Target, request: BackendRequest) -> BackendAnswer:
        self._counters.backend_retries += 1
        # On a new connection, and so once: a kept one could turn out dead again, after the backend has read it all.
        connection = await self._connect_again(target, request)
        while connection.is_reused:
            connection.close()
            connection = await self._connect_again(target, request)
        try:
            return await self._ask(connection, target, request)
        except AnswerFailed as error:
            raise UpstreamError(status=502, detail=f"{target.name}: {error}") from error

    async def _connect_again(self, target: Target, request: BackendRequest) -> BackendConnection:
        try:
            return await self._connect(target, self._address(target, request.host, is_kept=not request.is_direct))
        except ConnectFailed as error:
            if request.may_repeat:
                raise unreachable((target,), status=502) from error
            raise UpstreamError(status=502, detail=f"{target.name}: {error}") from error
        except TimeoutError as error:
            if request.may_repeat:
                raise unreachable((target,), status=504) from error
            limit = self._connect_limit(target)
            raise UpstreamError(status=504, detail=f"{target.name}: no connection within {limit:g} seconds") from error

    async def _ask(self, connection: BackendConnection, target: Target, request: BackendRequest) -> BackendAnswer:
        limit = self.answer_limit(target)
        head = encode_request_head(
            method=request.method,
            path=request.path,
            headers=request.headers,
            length=request.body.length,
            host=target.host_override.encode() or None,
        )
        try:
            return await connection.exchange(
                method=request.method, head=head, body=request.body, limit=limit, upgrades=request.upgrades
            )
        except TimeoutError as error:
            raise UpstreamError(status=504, detail=f"{target.name}: no answer within {limit:g} seconds") from error

    def _address(self, target: Target, host: bytes, *, is_kept: bool = True) -> BackendAddress:
        """Return where `target` is, by its identity where that will do: to hash one takes as long as to send to it."""
        kept = self._plain.get(id(target))
        if kept is not None:
            return kept[1]
        verified = server_hostname(target, target.host_override.encode() or host) if target.ssl else ""
        address = self._addresses.get((target, verified))
        if address is None:
            if len(self._addresses) >= ADDRESS_LIMIT:
                self._addresses.clear()
            tls = self._context(target) if target.ssl else None
            address = BackendAddress(
                host=target.host,
                port=target.port,
                tls=tls,
                server_hostname=verified or None,
                only_public=target.untrusted,
            )
            self._addresses[target, verified] = address
        if is_kept and not target.ssl and len(self._plain) < ADDRESS_LIMIT:
            self._plain[id(target)] = (target, address)  # kept, so that no other gets its identity
        return address

    def _context(self, target: Target) -> ssl.SSLContext:
        context = self._contexts.get(target)
        if context is None:
            if len(self._contexts) >= ADDRESS_LIMIT:
                self._contexts.clear()
            try:
                context = self._contexts[target] = tls_context(target)
            except CertificateError as error:
                # It was good when the routes were loaded.
                raise ConnectFailed(str(error)) from error
        return context


def may_repeat(request: BackendRequest) -> bool:
    """Say whether a request may be sent a second time when nobody knows whether the first arrived."""
    return (request.may_repeat or request.method in IDEMPOTENT) and request.body.is_replayable


def unreachable(targets: tuple[Target, ...], *, status: int) -> UnreachableError:
    """Make the error for a route none of whose targets could be connected to."""
    if len(targets) == 1 and targets[0].kind in ZHTTP_KINDS:
        return UnreachableError(status=status, detail=ZHTTP_UNREACHABLE)
    names = ", ".join(target.name for target in targets)
    return UnreachableError(status=status, detail=f"Unable to connect to any targets. Tried: {names}")
