"""Asks backends about items, for sessions with the filters `http-check` and `http-modify` (reference 6.6).

Made by `proxy.client_side`; what is asked and when is the edge's matter (`handlers.filter_queue`). Requests go by the
ways of links (`proxy.links`): relative URLs to the route of the request that the session came by, and nothing but its
backend's own words leads anywhere else. Each URL is asked no more often than a backend could bear.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from handlers.deadline import Deadline
from handlers.protocol.filters import HTTP_MODIFY
from handlers.protocol.http_filter import ANSWER_LIMIT, Failed, Question, Verdict, read_verdict
from handlers.protocol.rate import TokenBucket
from handlers.timers import NOWHERE
from proxy.backend import AnswerTruncated
from proxy.errors import UpstreamError
from proxy.link_site import LinkSite, LinkWay
from proxy.links import Links
from proxy.protocol.link_uri import LinkError, LinkUri, follow, request_uri
from proxy.protocol.route import Proto
from proxy.router import LoadedRoute, Router
from proxy.upstream import Reached

log = logging.getLogger("holdfast.filter")

SECONDS = 10.0
"""How long an answer may take, the wait for a free place to ask included."""
RATE = 100.0
"""Requests in a second to one URL."""
AT_ONCE = 12.0
"""Of those, how many may come together: what the rate has come to between two turns of the timer wheel."""
PAUSE = 0.125
"""Seconds until those that were over the rate are looked at again."""
WAITING = 10_000
"""Questions that may wait for their turn, in all."""
WAYS = 20_000
"""Ways that are remembered: to find one takes longer than all else that a question costs in the fan-out."""
UNREAD_LIMIT = 4096
"""Bytes of a body that nobody wants which are read all the same, so that the connection can be used again."""


class Asking:
    """One question on its way. `call_off` at any time."""

    __slots__ = ("_answered", "is_off", "question", "task", "way")

    def __init__(self, question: Question, way: LinkWay, answered: Callable[[Verdict], None]) -> None:
        self.question = question
        self.way = way
        self.task: asyncio.Task[None] | None = None
        self.is_off = False
        self._answered = answered

    def call_off(self) -> None:
        """Nobody wants to know any more."""
        self.is_off = True
        if self.task is not None:
            self.task.cancel()

    def tell(self, verdict: Verdict) -> None:
        """Hand over the answer, if somebody still wants it."""
        if not self.is_off:
            self.is_off = True
            self._answered(verdict)


class HttpFilters:
    """A `handlers.door.Asker`."""

    def __init__(self, *, site: LinkSite, links: Links, router: Router) -> None:
        self.site = site
        self.waiting = 0
        """Questions over the rate, of all URLs."""
        self._links = links
        self._router = router
        self._paces: dict[tuple[object, ...], Pace] = {}
        self._ways: dict[tuple[str, str, str], LinkWay] = {}

    def forget_ways(self) -> None:
        """Find all ways anew: the routes were loaded."""
        self._ways.clear()

    def ask(self, question: Question, answered: Callable[[Verdict], None]) -> Callable[[], None]:
        """Ask, and tell `answered` what came of it."""
        loop = asyncio.get_running_loop()
        if self.waiting >= WAITING:
            return loop.call_soon(answered, Failed(reason=f"{self.waiting} others wait to be asked about")).cancel
        try:
            way = self._way(question)
        except LinkError as error:
            return loop.call_soon(answered, Failed(reason=str(error))).cancel
        asking = Asking(question, way, answered)
        pace = self._paces.get(way.place)
        if pace is None:
            pace = self._paces[way.place] = Pace(self, way)
        pace.put(asking)
        return asking.call_off

    def start(self, asking: Asking) -> None:
        """Send the request of a question whose turn it is."""
        self.site.counters.filter_requests += 1
        name = f"filter {asking.way.uri.text:.200}"
        asking.task = self.site.errands.start(self._run(asking), name=name)

    def forget(self, pace: Pace) -> None:
        """Let go of the pace of a URL that nobody asks."""
        self._paces.pop(pace.way.place, None)

    def _way(self, question: Question) -> LinkWay:
        place = (question.origin, question.route, question.url)
        way = self._ways.get(place)
        if way is None:
            loaded, base = self._origin(question)
            if len(self._ways) >= WAYS:
                self._ways.clear()
            way = self._ways[place] = self._links.way(loaded, base, follow(base, question.url))
        return way

    def _origin(self, question: Question) -> tuple[LoadedRoute, LinkUri]:
        """Return the request that the session came by, and the route that such a request takes now."""
        parts = urlsplit(question.origin)
        is_tls = parts.scheme in ("https", "wss")
        path = question.origin.partition("://")[2].removeprefix(parts.netloc).encode("utf-8", "surrogateescape") or b"/"
        base = request_uri(is_tls=is_tls, authority=parts.netloc.encode("latin-1", "replace"), path=path)
        proto = Proto.WS if parts.scheme in ("ws", "wss") else Proto.HTTP
        loaded = self._router.select(host=base.host, proto=proto, ssl=is_tls, path=path, route_id=question.route)
        if loaded is None:
            raise LinkError(f"there is no route for {question.origin:.1000} any more")
        return loaded, base

    async def _run(self, asking: Asking) -> None:
        try:
            async with Deadline(self.site.clock, SECONDS), self.site.slot(asking.way):
                verdict = await self._exchange(asking)
        except (UpstreamError, AnswerTruncated, TimeoutError) as error:
            is_late = isinstance(error, TimeoutError)
            verdict = Failed(reason=f"no answer within {SECONDS:g} seconds" if is_late else str(error))
        except Exception:
            # The root of the task.
            log.exception("filter %s: internal error", asking.way.uri.text)
            verdict = Failed(reason="internal error")
        finally:
            asking.task = None  # each would hold the other until the garbage collector runs
        asking.tell(verdict)

    async def _exchange(self, asking: Asking) -> Verdict:
        question = asking.question
        reached = await self.site.send(
            asking.way,
            method=b"POST",
            last_seen=question.last_seen,
            headers=question.headers,
            body=question.content,
        )
        try:
            return read_verdict(
                question.filter,
                status=reached.answer.status,
                headers=reached.answer.headers,
                body=await self._read(question, reached),
            )
        finally:
            reached.answer.close()

    async def _read(self, question: Question, reached: Reached) -> bytes:
        is_wanted = question.filter == HTTP_MODIFY and reached.answer.status == 200
        body = bytearray()
        while data := await reached.answer.read():
            body += data
            if not is_wanted and len(body) > UNREAD_LIMIT:
                break
            if len(body) > ANSWER_LIMIT:
                detail = f"{reached.target.name}: more than {ANSWER_LIMIT} bytes of content"
                raise UpstreamError(status=502, detail=detail)
        return bytes(body)


class Pace:
    """How often one URL is asked, and who waits for that; a `handlers.timers.Timed`."""

    __slots__ = ("_bucket", "_filters", "_waiting", "deadline", "tick", "way")

    def __init__(self, filters: HttpFilters, way: LinkWay) -> None:
        self.way = way
        self.deadline = math.inf
        self.tick = NOWHERE
        self._filters = filters
        self._bucket = TokenBucket(rate=RATE, burst=AT_ONCE, now=filters.site.clock.now())
        self._waiting: deque[Asking] = deque()

    def put(self, asking: Asking) -> None:
        """Have a question asked as soon as may be."""
        now = self._filters.site.clock.now()
        if not self._waiting and self._bucket.take(now):
            self._filters.start(asking)
        else:
            self._waiting.append(asking)
            self._filters.waiting += 1
        self._wait(now)

    def expire(self, now: float) -> None:
        """Ask the next ones; without any, this is of no more use."""
        self.deadline = math.inf
        if not self._waiting:
            self._filters.forget(self)
            return
        while self._waiting and (self._waiting[0].is_off or self._bucket.take(now)):
            asking = self._waiting.popleft()
            self._filters.waiting -= 1
            if not asking.is_off:
                self._filters.start(asking)
        self._wait(now)

    def _wait(self, now: float) -> None:
        if self.deadline == math.inf:
            self.deadline = now + PAUSE
            self._filters.site.wheel.watch(self)
