"""The ZHTTP targets of the routes: binds what the routes name, and asks the workers that connect there.

Made by `proxy.upstream` when there is such a target, so that whoever has none does without ZeroMQ. What a worker's
failure means to the client is decided here (reference 3.16).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

import zmq

from handlers.counters import Counters
from handlers.protocol.http1 import Headers
from handlers.timers import Clock
from proxy.backend import ConnectFailed
from proxy.backend_answer import OwnAnswer
from proxy.errors import BLOCKED, RequestBodyError, UpstreamError
from proxy.protocol.backend_head import BODYLESS
from proxy.protocol.route import Target, TargetKind
from proxy.protocol.zhttp import RequestStart
from proxy.protocol.zhttp_exchange import SILENCE_SECONDS, SILENT, Failure
from proxy.protocol.zhttp_spec import place_of
from proxy.request_body import REPLAY_LIMIT, RequestBody
from proxy.upstream import ZHTTP_UNREACHABLE, BackendRequest
from proxy.zhttp.service import Service
from proxy.zhttp.wire import Owner, StreamWire, WholeWire, Wire

log = logging.getLogger("holdfast.zhttp")

SPEC_LIMIT = 100
"""Distinct targets that are bound (reference 1.9)."""

WHOLE_LIMIT = 1_000_000
"""Bytes that the body of a request in one message may have, and that its answer's is said to have: Pushpin's number."""

NO_LENGTH = "Must provide Content-Length header."
TOO_LARGE = "Request too large for this route."

_NOT_REACHED = frozenset(("remote-connection-failed", "connection-timeout", "tls-error"))
"""Conditions with which a worker says that nothing was asked yet, so that the next target can be (reference 1.7)."""


class Services:
    """All ZHTTP targets of a process. `bind` at each load of the routes; `ask` any number of times at once."""

    def __init__(self, *, sender: bytes, number: int | None, clock: Clock, counters: Counters) -> None:
        """`sender` is an address no other process has; `number` is the worker's, from 0, None without workers."""
        self._sender = sender
        self._number = number
        self._clock = clock
        self._counters = counters
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._services: dict[tuple[TargetKind, str], Service] = {}
        self._retired: dict[tuple[TargetKind, str], Service] = {}

    def bind(self, targets: Iterable[Target]) -> None:
        """Bind what these targets name, and let go of what they no longer do once its requests have ended."""
        named = {(target.kind, target.spec): target for target in targets}
        for key in self._services.keys() - named.keys():
            self._retired[key] = self._services.pop(key)
        self._close_idle()
        for target in named.values():
            try:
                self._service(target)
            except ConnectFailed as error:
                log.error("%s", error)

    def close(self) -> None:
        """End all of it at once."""
        for service in (*self._services.values(), *self._retired.values()):
            service.close()
        self._services.clear()
        self._retired.clear()
        self._context.term()

    async def ask(
        self, target: Target, request: BackendRequest, *, wait: float | None, limit: float, silence: float | None
    ) -> OwnAnswer:
        """Send a request to a worker of `target` and return its answer's head.

        A worker must take it within `wait` seconds, say something every `silence` (None: as Pushpin), and have begun
        its answer within `limit`, 0 being no bound. Raises ConnectFailed where the next target may be asked,
        UpstreamError, or RequestBodyError.
        """
        if request.upgrades:
            detail = f"{target.name}: WebSockets go to a ZHTTP target with over_http only"
            raise UpstreamError(status=502, detail=detail, is_public=True)
        service = self._service(target)
        is_stream = target.kind is TargetKind.ZHTTP
        first = await (read_small(request.body) if is_stream else read_whole(request.body))
        start = make_start(target, request, length=request.body.length if first is None else len(first))
        try:
            return await service.ask(
                start,
                first,
                request.body,
                limit=limit,
                wait=SILENCE_SECONDS if wait is None else wait,
                silence=SILENCE_SECONDS if silence is None or is_stream else silence,
            )
        except Failure as failure:
            raise self._translate(target, request, failure) from failure
        except TimeoutError as error:
            detail = f"{target.name}: no answer within {limit:g} seconds"
            raise UpstreamError(status=504, detail=detail) from error
        finally:
            self._close_idle()

    def _service(self, target: Target) -> Service:
        """Return whoever has the sockets of a target. Raises ConnectFailed when they cannot be bound."""
        key = target.kind, target.spec
        service = self._services.get(key)
        if service is not None:
            return service
        if key in self._retired:  # and still has the sockets
            service = self._services[key] = self._retired.pop(key)
            return service
        if len(self._services) >= SPEC_LIMIT:
            raise ConnectFailed(f"{target.name}: more than {SPEC_LIMIT} ZHTTP targets, so this one is not bound")
        try:
            service = Service(
                partial(self._make_wire, target),
                name=target.name,
                sender=self._sender,
                clock=self._clock,
                counters=self._counters,
            )
        except (OSError, ValueError) as error:
            place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ConnectFailed(f"{target.name}: cannot be bound: {place}{reason}") from error
        self._services[key] = service
        return service

    def _make_wire(self, target: Target, owner: Owner) -> Wire:
        spec = place_of(target, self._number)
        mode = "" if target.ipc_file_mode is None else f"{target.ipc_file_mode:o}"
        if target.kind is TargetKind.ZHTTP:
            return StreamWire(self._context, spec, sender=self._sender, ipc_file_mode=mode, owner=owner)
        return WholeWire(self._context, spec, ipc_file_mode=mode, owner=owner)

    def _close_idle(self) -> None:
        for key in [key for key, each in self._retired.items() if each.is_idle]:
            self._retired.pop(key).close()

    def _translate(self, target: Target, request: BackendRequest, failure: Failure) -> Exception:
        """Return what a failure before the answer's head comes to."""
        if failure.condition in _NOT_REACHED:
            return ConnectFailed(f"{target.name}: {failure}")
        if failure.condition == "length-required" and request.body.length is None:
            return RequestBodyError(NO_LENGTH, status=411)
        public = {SILENT: ZHTTP_UNREACHABLE, "policy-violation": BLOCKED}.get(failure.condition)
        if public is None:
            return UpstreamError(status=502, detail=f"{target.name}: {failure}")
        log.warning("%s: %s", target.name, failure)
        return UpstreamError(status=502, detail=public, is_public=True)


async def read_small(body: RequestBody) -> bytes | None:
    """Return the whole body if it is small: many workers take no other. None for one that has to be streamed."""
    if body.length is not None and body.length <= REPLAY_LIMIT and not body.is_here:
        await body.read_small()
    return body.ready()


async def read_whole(body: RequestBody) -> bytes:
    """Return the whole body. Raises RequestBodyError (413) for one that is larger than a message may be."""
    data = body.ready()
    if data is not None:
        return data
    gathered = bytearray()
    if body.length is None or body.length <= WHOLE_LIMIT:
        async for piece in body.chunks():
            gathered += piece
            if len(gathered) > WHOLE_LIMIT:
                break
        else:
            return bytes(gathered)
    raise RequestBodyError(TOO_LARGE, status=413)


def make_start(target: Target, request: BackendRequest, *, length: int | None) -> RequestStart:
    """Say what is asked for. `length` is the body's, None where it is not known."""
    host = target.host_override.encode() or request.host
    is_stream = target.kind is TargetKind.ZHTTP
    return RequestStart(
        method=request.method,
        uri=b"%b://%b%b" % (b"https" if target.ssl else b"http", host, request.path),
        headers=_framed(request, host, length),
        stream=is_stream,
        ignore_policies=not target.untrusted,
        trust_connect_host=target.trust_connect_host,
        ignore_tls_errors=target.insecure,
        max_size=None if is_stream else WHOLE_LIMIT,
    )


def _framed(request: BackendRequest, host: bytes, length: int | None) -> Headers:
    headers = tuple([(name, host if name.lower() == b"host" else value) for name, value in request.headers])
    if length is None or (length == 0 and request.method in BODYLESS):
        return headers
    return (*headers, (b"Content-Length", b"%d" % length))
