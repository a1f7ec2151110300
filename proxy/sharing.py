"""One request to a backend for all clients who ask the very same at the same time (`proxy.share_all`, reference 3.15).

Stands between `proxy.front` and `proxy.upstream` where it is switched on. The first to ask leads: its task sends the
request. Others follow until the head of the answer is here, and get the body if it is short; else they ask alone. What
is an equal request, and what may be shared, is `protocol.shareable`'s to say.

Nobody joins a request that was sent before something was published, or before a `recover`: its answer could be older
than what was published, and whoever asks now would never learn of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.timers import Clock
from proxy.backend import AnswerTruncated
from proxy.errors import UnreachableError, UpstreamError
from proxy.flow import Flow
from proxy.kept_answer import KeptAnswer
from proxy.protocol.route import Target
from proxy.protocol.shareable import RequestKey, may_share, request_key
from proxy.request_body import NO_BODY
from proxy.upstream import BackendRequest, Reached, Upstream

SHARED_LIMIT: Final = 100_000
"""Bytes of a body that is shared (reference 3.15)."""
SHARED_SECONDS: Final = 1.0
"""How long the body may take to come once the head is here, before the others ask alone."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """An answer for several, and who gave it."""

    target: Target
    answer: KeptAnswer
    body: bytes


class Alone(msgspec.Struct, frozen=True):
    """There is an answer, but it is not for several."""


class Again(msgspec.Struct, frozen=True):
    """There is no answer, because whoever asked has left."""


Outcome = Shared | UpstreamError | Alone | Again
Place = tuple[int, RequestKey]
"""The identity of a route, and what is asked there."""


class UnderWay:
    """A request under way, and who waits for its answer. It knows its route, so that no other gets its identity."""

    __slots__ = ("_waiting", "arrivals", "number", "route")

    def __init__(self, route: object, *, arrivals: int, number: int) -> None:
        """`arrivals` is what the edge had counted when it was sent; `number` its own, for the log."""
        self.route = route
        self.arrivals = arrivals
        self.number = number
        self._waiting: dict[asyncio.Future[Outcome], None] = {}

    @property
    def is_awaited(self) -> bool:
        """Whether anybody else wants the answer."""
        return bool(self._waiting)

    async def outcome(self) -> Outcome:
        """Wait for what comes of it."""
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = None
        try:
            return await waiter
        finally:
            self._waiting.pop(waiter, None)

    def tell(self, outcome: Outcome) -> None:
        """Tell those who wait and were not told yet."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(outcome)


class Sharing:
    """`send` may run any number of times at once."""

    def __init__(self, *, upstream: Upstream, clock: Clock, counters: Counters, arrivals: Callable[[], int]) -> None:
        """`arrivals` tells how often something has been published in this process (`Edge.arrivals`)."""
        self._upstream = upstream
        self._clock = clock
        self._counters = counters
        self._arrivals = arrivals
        self._under_way: dict[Place, UnderWay] = {}
        self._last_number = 0

    async def send(self, flow: Flow, targets: tuple[Target, ...], request: BackendRequest) -> Reached:
        """Send a request, or wait for the answer to one that is under way. Raises as `Upstream.send` does."""
        if request.method != b"GET" or request.body is not NO_BODY:
            return await self._upstream.send(targets, request)
        place = id(flow.loaded), request_key(request.path, request.headers)
        while True:
            under_way = self._under_way.get(place)
            if under_way is None or under_way.arrivals != self._arrivals():
                return await self._lead(flow, place, targets, request)
            match await under_way.outcome():
                case Shared() as shared:
                    self._counters.requests_shared += 1
                    flow.shared = under_way.number
                    return Reached(target=shared.target, answer=KeptAnswer(shared.answer, shared.body))
                case UpstreamError() as error:
                    flow.shared = under_way.number
                    raise own(error) from error
                case Alone():
                    return await self._upstream.send(targets, request)
                case Again():
                    pass  # somebody else leads now, perhaps this one

    async def _lead(self, flow: Flow, place: Place, targets: tuple[Target, ...], request: BackendRequest) -> Reached:
        self._last_number += 1
        under_way = UnderWay(flow.loaded, arrivals=self._arrivals(), number=self._last_number)
        self._under_way[place] = under_way
        try:
            reached = await self._upstream.send(targets, request)
            self._leave(place, under_way)
            if not under_way.is_awaited:
                return reached
            return await self._share(flow, under_way, reached)
        except UpstreamError as error:
            under_way.tell(error)
            raise
        except AnswerTruncated:
            under_way.tell(Alone())  # or one after the other would come to the same
            raise
        finally:
            self._leave(place, under_way)
            under_way.tell(Again())

    async def _share(self, flow: Flow, under_way: UnderWay, reached: Reached) -> Reached:
        answer = reached.answer
        if not may_share(answer.headers) or (answer.length or 0) > SHARED_LIMIT:
            under_way.tell(Alone())
            return reached
        try:
            body, is_whole = await self._read_ahead(reached)
        except BaseException:
            answer.close()
            raise
        if not is_whole:
            under_way.tell(Alone())
            return Reached(target=reached.target, answer=KeptAnswer(answer, body, rest=answer))
        flow.shared = under_way.number
        kept = KeptAnswer(answer, body)
        under_way.tell(Shared(target=reached.target, answer=kept, body=body))
        return Reached(target=reached.target, answer=kept)

    async def _read_ahead(self, reached: Reached) -> tuple[bytes, bool]:
        """Return the body as far as it is short and soon here, and whether that is all. Raises AnswerTruncated."""
        whole = reached.answer.whole()
        if whole is not None:
            return whole, len(whole) <= SHARED_LIMIT
        body = bytearray()
        try:
            async with Deadline(self._clock, SHARED_SECONDS):
                while len(body) <= SHARED_LIMIT:
                    data = await reached.answer.read()
                    if not data:
                        return bytes(body), True
                    body += data
        except TimeoutError:
            pass  # the others have waited long enough
        return bytes(body), False

    def _leave(self, place: Place, under_way: UnderWay) -> None:
        """Let nobody join any more. There may be a newer one at its place."""
        if self._under_way.get(place) is under_way:
            del self._under_way[place]


def own(error: UpstreamError) -> UpstreamError:
    """Return an error of one's own that says the same: each that is raised remembers where it has been."""
    if isinstance(error, UnreachableError):
        return UnreachableError(status=error.status, detail=error.detail)
    return UpstreamError(status=error.status, detail=error.detail, is_public=error.is_public)
