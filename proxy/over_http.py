"""The link of a WebSocket to a backend that knows only HTTP: each event becomes a POST (reference 4).

What to send, and what an answer means, is decided by the machine in `proxy.protocol.ws_over_http`; here its requests
are sent, its outcomes are done to the session, and the wheel wakes it. A task runs only while a request does.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from handlers.counters import Counters
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers
from handlers.protocol.ws_frames import Frame, Opcode
from handlers.session import guarded
from handlers.settings import WebSocketSettings
from handlers.timers import NOWHERE, Clock, TimerWheel
from handlers.websocket import WebSocketSession
from proxy.backend import AnswerTruncated
from proxy.errands import Errands
from proxy.errors import UnreachableError, UpstreamError
from proxy.events_sender import EventsSender, EventsTemplate, Refusal, SenderSite
from proxy.over_http_outcome import carry_out
from proxy.protocol.route import Target
from proxy.protocol.ws_event_frames import message_event
from proxy.protocol.ws_events import Event, EventsError
from proxy.protocol.ws_exchange import EventsRequest, FailOpening, Opened, Outcome
from proxy.protocol.ws_over_http import OverHttp

log = logging.getLogger("holdfast.websocket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The backend takes the connection. `headers` are its answer's."""

    headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class OverHttpSite:
    """What all links over HTTP of a process share."""

    senders: SenderSite
    errands: Errands
    clock: Clock
    wheel: TimerWheel
    counters: Counters
    settings: WebSocketSettings
    random: Callable[[], float]


class OverHttpLink:
    """One connection's link: a `handlers.door.WebSocketLink`, and `handlers.timers.Timed`.

    `open` until a target accepts, then `adopt` a session and, once that is attached, `begin`; or `client_gone`.
    """

    __slots__ = (
        "_gathered",
        "_gathering",
        "_is_behind",
        "_is_full",
        "_is_running",
        "_machine",
        "_opening",
        "_opening_answer",
        "_outcomes",
        "_sender",
        "_session",
        "_site",
        "deadline",
        "label",
        "tick",
    )

    def __init__(self, *, site: OverHttpSite, template: EventsTemplate, target: Target, label: str) -> None:
        self._site = site
        self._sender = EventsSender(site=site.senders, template=template, target=target)
        self._machine = OverHttp(one_event=target.one_event, batch_limit=site.settings.message_limit)
        self._session: WebSocketSession | None = None
        self._opening: asyncio.Future[Accepted | Answer] | None = None
        self._opening_answer: Headers = ()
        self._outcomes: tuple[Outcome, ...] = ()
        self._gathering: Opcode | None = None  # of the message that comes in fragments
        self._gathered = bytearray()
        self._is_running = self._is_full = self._is_behind = False
        self.label = label
        self.deadline = math.inf
        self.tick = NOWHERE

    # -- for the door -------------------------------------------------------------------------------------------------

    async def open(self) -> Accepted | Answer:
        """Ask the target to take the connection; return its refusal, with its headers as they came, when it does not.

        Raises UnreachableError when nothing was sent, or UpstreamError.

        Cancelled, it sees to it that a backend that has accepted meanwhile is told that the client is gone.
        """
        self._opening = asyncio.get_running_loop().create_future()
        self._kick()
        try:
            return await self._opening
        except asyncio.CancelledError:
            self.client_gone()
            raise
        finally:
            self._opening = None

    def adopt(self, session: WebSocketSession) -> None:
        """Belong to `session` from here on, which is not attached yet."""
        self._session = session

    def begin(self) -> None:
        """Do what the backend has said behind its OPEN."""
        outcomes, self._outcomes = self._outcomes, ()
        self._do(outcomes)
        self._kick()

    # -- for the session ----------------------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> None:
        """Take a frame of the client's. Fragments wait for their message's end: backends get messages whole."""
        if frame.opcode is Opcode.CONT or not frame.fin:
            self._gather(frame)
        else:
            self._take(message_event(frame.opcode, bytes(frame.data)))

    def close_by_us(self) -> None:
        """Tell the backend of a close that is nobody's answer."""
        self._machine.close_by_us()
        self._read_on()
        self._kick()

    def client_gone(self) -> None:
        """Tell the backend that the client is gone, or that it is done with."""
        self._machine.client_gone()
        self._read_on()
        self._kick()

    def refresh(self) -> None:
        """Ask the backend once more."""
        self._machine.refresh()
        self._kick()

    def client_behind(self, is_behind: bool) -> None:
        """While the client is behind ask for nothing that could bring it more."""
        self._is_behind = is_behind
        if not is_behind:
            self._kick()

    def expire(self, now: float) -> None:
        """The machine's deadline has come (`handlers.timers.Timed`)."""
        if self._session is not None and self._session.transport.is_closing():
            # It has not waited for the answer to its close, so nobody needs it: the backend is not asked for ever.
            self._machine.client_gone()
        self._kick()

    def _gather(self, frame: Frame) -> None:
        # Joined at once: a client may send fragments without content for ever, which are to cost nothing.
        if self._gathering is None:
            self._gathering = frame.opcode
        self._gathered += frame.data
        if frame.fin:
            opcode, self._gathering = self._gathering, None
            content, self._gathered = bytes(self._gathered), bytearray()
            self._take(message_event(opcode, content))

    def _take(self, event: Event) -> None:
        self._machine.receive(event)
        if self._machine.waiting_bytes > self._site.settings.message_limit and self._session is not None:
            self._is_full = True
            self._session.pause_reading()
        self._kick()

    # -- requests -----------------------------------------------------------------------------------------------------

    def _kick(self) -> None:
        if not self._is_running and not self._machine.is_ended:
            self._is_running = True
            self._site.errands.fulfil(self)  # a task is waited for as well
            self._site.errands.start(self._run(), name=f"events of {self.label}")
        elif self._machine.is_ended:
            self._settle()

    async def _run(self) -> None:
        try:
            while self._may_ask and (request := self._machine.next_request(self._site.clock.now())) is not None:
                await self._ask(request)
        finally:
            self._is_running = False
            self._settle()
            self._end_stall()

    @property
    def _may_ask(self) -> bool:
        if self._session is None:
            # Only the opening, asked for by who waits for it, or the news that the client is gone.
            return not self._machine.is_open and (self._opening is not None or not self._machine.is_opening)
        return not (self._is_behind and self._machine.is_open)

    def _settle(self) -> None:
        """Sit in the wheel while something is to come, and nowhere at the end."""
        if self._machine.is_ended:
            self.deadline = math.inf
            self._site.wheel.forget(self)
            self._site.errands.fulfil(self)
            if not self._outcomes:  # else they are still to be done to it
                self._session = None
        elif not self._is_running:
            if not self._machine.is_open and not self._machine.is_opening:
                self._site.errands.promise(self)
            # What is due but may not be asked yet would have the wheel come round at once, for ever.
            self.deadline = self._machine.deadline if self._may_ask else math.inf
            self._site.wheel.watch(self)

    def _end_stall(self) -> None:
        """End a connection on which nothing can come any more: the backend keeps back all that may wait."""
        is_stuck = self._is_full and not self._is_behind and self._machine.is_open
        if is_stuck and self._session is not None and self._machine.deadline == math.inf:
            session = self._session
            self.client_gone()
            session.fail("the backend does not accept what the client has sent")

    async def _ask(self, request: EventsRequest) -> None:
        self._site.counters.websocket_requests += 1
        try:
            outcomes = await self._exchange(request)
        except (UpstreamError, AnswerTruncated) as error:
            outcomes = self._fail(request, error)
        except Exception:
            # The root of what belongs to one request: the machine waits for what has become of it.
            log.exception("%s: internal error", self.label)
            outcomes = self._machine.malformed("internal error")
        self._make_room()
        if outcomes and isinstance(outcomes[0], Opened):
            self._outcomes = outcomes[1:]
            headers, self._opening_answer = self._opening_answer, ()
            self._answer_opening(Accepted(headers=headers))
        else:
            self._do(outcomes)

    async def _exchange(self, request: EventsRequest) -> tuple[Outcome, ...]:
        """Send a request, and tell the machine what its answer says."""
        is_opening = self._opening is not None
        try:
            found = await self._sender.send(request, wants_refusal=is_opening)
        except EventsError as error:
            return self._machine.malformed(error.reason)
        if isinstance(found, Refusal):
            if found.answer is not None:
                self._answer_opening(found.answer)
            return self._machine.rejected()
        if is_opening:
            self._opening_answer = found.headers
        return self._machine.answered(self._site.clock.now(), found.answer)

    def _fail(self, request: EventsRequest, error: UpstreamError | AnswerTruncated) -> tuple[Outcome, ...]:
        was_sent = not isinstance(error, UnreachableError)
        outcomes = self._machine.failed(self._site.clock.now(), was_sent=was_sent, jitter=self._site.random())
        if self._opening is not None:
            self._answer_opening(
                error if isinstance(error, UpstreamError) else UpstreamError(status=502, detail=str(error))
            )
            return ()
        log.warning("%s: %s", self.label, error)
        if request.is_last and self._machine.is_ended:
            self._site.counters.websocket_notices_lost += 1
            log.warning("%s: its backend does not know of the end", self.label)
        elif self._machine.deadline < math.inf:
            self._site.counters.websocket_retries += 1
        return outcomes

    def _answer_opening(self, found: Accepted | Answer | UpstreamError) -> None:
        opening, self._opening = self._opening, None
        if opening is None or opening.done():
            return  # whoever waited has gone
        if isinstance(found, UpstreamError):
            opening.set_exception(found)
        else:
            opening.set_result(found)

    def _make_room(self) -> None:
        if self._machine.waiting_bytes <= self._site.settings.message_limit // 2:
            self._read_on()

    def _read_on(self) -> None:
        if self._is_full and self._session is not None:
            self._session.resume_reading()
        self._is_full = False

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def _do(self, outcomes: tuple[Outcome, ...]) -> None:
        session = self._session
        for outcome in outcomes:
            if isinstance(outcome, FailOpening):
                self._answer_opening(UpstreamError(status=502, detail=f"{self._sender.target.name}: {outcome.reason}"))
            elif session is not None and not session.transport.is_closing():
                guarded(session, self._do_one, session, outcome)

    def _do_one(self, session: WebSocketSession, outcome: Outcome) -> None:
        try:
            carry_out(session, outcome)
        except EventsError as error:
            self.client_gone()
            session.fail(error.reason)
