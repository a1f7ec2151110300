"""One fetch of a next link, for every stream that asks for the very same at the same moment (reference 3.9, 3.15).

What follows from an answer, and when to try again, is decided by the machine in `proxy.protocol.next_link`. Here the
requests are sent, and what comes is passed on to all who wait for it. A task runs while a request does; between two
tries the wheel knows of it. When nobody waits any more it stops.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol

from handlers.errors import InstructError
from handlers.protocol.grip import is_instruct_body, parse_instruct
from handlers.protocol.instruct import Instruct
from handlers.protocol.subscribing import LastSeen
from handlers.timers import NOWHERE
from proxy.answer_body import built, pieces_of
from proxy.backend import AnswerTruncated
from proxy.errors import UpstreamError
from proxy.held_answer import HeldAnswer, read_limited
from proxy.link_site import LinkSite, LinkWay
from proxy.protocol.next_link import NextLinkFetch, Sequel, encoding_of, fault_of, is_success
from proxy.protocol.route import Target
from proxy.upstream import Reached

log = logging.getLogger("holdfast.link")


class Follower(Protocol):
    """A held stream, to the fetch that it waits for. Every method returns at once, and none raises."""

    @property
    def is_behind(self) -> bool:
        """Whether its client takes less than it is sent."""
        ...

    def begin(self, instruct: Instruct, target: Target) -> None:
        """`target` has begun to answer."""
        ...

    def append(self, data: bytes) -> None:
        """Take a piece of the answer's body."""
        ...

    def end(self, instruct: Instruct, sequel: Sequel) -> None:
        """The answer is complete; `sequel` says how it goes on. The fetch has forgotten this follower."""
        ...

    def fail(self, why: str, last: bytes = b"") -> None:
        """There will be no answer, or no more behind `last`. The fetch has forgotten this follower."""
        ...


class Fetch:
    """For one or more followers. `join` any number of times, then `start`; `begun` is called when it is too late to."""

    __slots__ = ("_begun", "_followers", "_machine", "_site", "_task", "_turn", "deadline", "last_seen", "tick", "way")

    def __init__(self, site: LinkSite, way: LinkWay, last_seen: LastSeen, begun: Callable[[Fetch], None]) -> None:
        self.way = way
        self.deadline = math.inf
        self.tick = NOWHERE
        self._site = site
        self.last_seen = last_seen
        self._begun = begun
        self._machine = NextLinkFetch()
        self._followers: dict[Follower, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._turn: asyncio.Future[None] | None = None

    def join(self, follower: Follower) -> None:
        """Have a follower told of what comes."""
        self._followers[follower] = None

    def leave(self, follower: Follower) -> None:
        """Forget a follower; harmless when it is forgotten already. Without any there is nothing to fetch for."""
        if self._followers.pop(follower, self) is self or self._followers:
            return
        self._begun(self)
        self._site.wheel.forget(self)
        self.deadline = math.inf
        if self._task is not None:
            self._task.cancel()

    def asks_for(self, way: LinkWay, last_seen: LastSeen) -> bool:
        """Say whether this is the fetch of that very link, with the same told."""
        return (self.way.uri, self.last_seen) == (way.uri, last_seen)

    def start(self, due: float) -> None:
        """Send the request at `due`."""
        if due > self._site.clock.now():
            self.deadline = due
            self._site.wheel.watch(self)
        else:
            self._task = self._site.errands.start(self._run(), name=f"link {self.way.uri.text:.200}")

    def caught_up(self) -> None:
        """One of the followers is behind no more."""
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def expire(self, now: float) -> None:
        """It is time (`handlers.timers.Timed`)."""
        self.deadline = math.inf
        self.start(now)

    async def _run(self) -> None:
        try:
            async with self._site.slot(self.way):
                self._begun(self)  # whoever asks from here on may have missed what this answer does not know of
                reached = await self._ask()
            # A body may be long, and clients slow to take it: others are not kept waiting for that.
            try:
                await self._pass_on(reached.answer, reached.target)
            finally:
                reached.answer.close()
        except (UpstreamError, AnswerTruncated, InstructError) as error:
            self._fail(str(error))
        except Exception:
            # The root of the task.
            log.exception("link %s: internal error", self.way.uri.text)
            self._fail("internal error")
        finally:
            self._task = None  # each would hold the other until the garbage collector runs

    async def _ask(self) -> Reached:
        self._site.counters.link_requests += 1
        return await self._site.send(self.way, method=b"GET", last_seen=self.last_seen)

    async def _pass_on(self, answer: HeldAnswer, target: Target) -> None:
        instruct = await self._read_instruct(answer, target)
        fault = fault_of(instruct)
        if fault is not None:
            last = await self._read_whole(answer, target) if instruct.body is None else instruct.body
            last = built(instruct, last)
            for follower in self._let_go():
                follower.fail(fault, last)
            return
        for follower in tuple(self._followers):
            follower.begin(instruct, target)
        async for data in pieces_of(instruct, answer):
            self._machine.passed_on()
            for follower in tuple(self._followers):
                follower.append(data)
            await self._caught_up()
        sequel = self._machine.sequel(instruct, self._site.clock.now())
        for follower in self._let_go():
            follower.end(instruct, sequel)

    async def _read_instruct(self, answer: HeldAnswer, target: Target) -> Instruct:
        if not is_success(answer.status):
            raise UpstreamError(status=502, detail=f"{target.name}: status {answer.status}")
        if coding := encoding_of(answer.headers):
            raise InstructError(f"a stream cannot go on with Content-Encoding '{coding}'")
        body = await self._read_whole(answer, target) if is_instruct_body(answer.headers) else None
        return parse_instruct(status=answer.status, reason=answer.reason, headers=answer.headers, body=body)

    async def _read_whole(self, answer: HeldAnswer, target: Target) -> bytes:
        seconds = self._site.upstream.answer_limit(target)
        return await read_limited(answer, target=target.name, clock=self._site.clock, seconds=seconds)

    async def _caught_up(self) -> None:
        """Wait while every follower is behind. Nobody waits for the slowest: it is cut when it is too far behind."""
        while self._followers and all(follower.is_behind for follower in self._followers):
            self._turn = asyncio.get_running_loop().create_future()
            await self._turn

    def _fail(self, why: str) -> None:
        due = self._machine.failed(self._site.clock.now(), self._site.random())
        if due is None:
            for follower in self._let_go():
                follower.fail(why)
        elif self._followers:
            self._site.counters.link_retries += 1
            log.warning("link %s: %s; to be tried again", self.way.uri.text, why)
            self.start(due)

    def _let_go(self) -> tuple[Follower, ...]:
        followers = tuple(self._followers)
        self._followers.clear()
        return followers
