"""One client's WebSocket carried over HTTP requests: what to ask the backend next, what to tell the client.

`OverHttp` is driven by the shell that owns the client's connection and sends the requests (reference 4). The shell
tells it what has happened, does what the outcomes say, and asks it for the next request after each of both, and at
`deadline`. It does not know GRIP, targets, headers other than its own, frames, or whether a close code may be sent.

Where it stands, what it is told, and where that leads. What is not in the table changes nothing:

| phase | told | then | what is sent for it, behind the messages that wait |
|---|---|---|---|
| OPENING | answer beginning with OPEN | OPEN | |
| | empty answer, keep-alive on | OPENING | OPEN, at each interval |
| | unreachable | OPENING | OPEN, at once: to another target |
| | any other answer or failure | ENDED | |
| | client gone, closed by us | LEAVING; ENDED if no OPEN can have arrived | DISCONNECT, CLOSE |
| OPEN | client's CLOSE | CLIENT_CLOSED | it |
| | backend's CLOSE | BACKEND_CLOSED | |
| | backend's DISCONNECT | ENDED | |
| | client gone, closed by us | LEAVING | DISCONNECT, CLOSE |
| CLIENT_CLOSED | backend's CLOSE, or none without keep-alive | ENDED; LEAVING if client's CLOSE waits | |
| | client gone, closed by us | LEAVING | DISCONNECT if the client's CLOSE has been answered |
| BACKEND_CLOSED | client's CLOSE | LEAVING | it |
| | client gone, closed by us | LEAVING | DISCONNECT, CLOSE |
| the three above | backend's fault | LEAVING | DISCONNECT, without the messages |
| LEAVING | answer to the last request, or giving it up | ENDED | |
"""

from __future__ import annotations

import enum
import itertools
import math
from typing import Final, assert_never

from proxy.protocol.ws_backlog import Backlog
from proxy.protocol.ws_events import Event, EventKind, encode_events
from proxy.protocol.ws_exchange import (
    CloseClient,
    CutClient,
    Deliver,
    EchoClose,
    EventsAnswer,
    EventsRequest,
    FailClient,
    FailOpening,
    Meta,
    Opened,
    Outcome,
    meta_fault,
)

_OPEN: Final = Event(kind=EventKind.OPEN)
_CLOSE: Final = Event(kind=EventKind.CLOSE)
_DISCONNECT: Final = Event(kind=EventKind.DISCONNECT)
_NEVER_RECEIVED: Final = frozenset((EventKind.OPEN, EventKind.DISCONNECT))
_MESSAGES: Final = frozenset((EventKind.TEXT, EventKind.BINARY, EventKind.PING, EventKind.PONG))
_ENDS: Final = frozenset((EventKind.CLOSE, EventKind.DISCONNECT))

_MAX_RETRIES: Final = 5


class _Phase(enum.Enum):
    OPENING = enum.auto()
    OPEN = enum.auto()
    CLIENT_CLOSED = enum.auto()  # its CLOSE waits, is being sent, or was answered without one
    BACKEND_CLOSED = enum.auto()  # the client has been told and is to answer
    LEAVING = enum.auto()  # the client is no more concerned; the last word waits or is being sent
    ENDED = enum.auto()


class OverHttp:
    """The place reached in one connection.

    At most one request is out: from `next_request` giving it until the shell tells, once, what came of it, by
    `answered`, `rejected`, `malformed` or `failed`. `now` is monotonic, in seconds. Once the client is gone or the
    backend has been taken leave of, there are no outcomes any more.
    """

    __slots__ = (
        "_backlog",
        "_batch_limit",
        "_due",
        "_farewell",
        "_interval",
        "_is_asked",
        "_is_crowded",
        "_is_known",
        "_meta",
        "_one_event",
        "_phase",
        "_request",
        "_retries",
        "_saying",
    )

    def __init__(self, *, one_event: bool, batch_limit: int = 200_000) -> None:
        """Put one event in a request, or as many as have `batch_limit` content bytes together, but always one."""
        self._one_event = one_event
        self._batch_limit = batch_limit
        self._phase = _Phase.OPENING
        self._is_known = False  # the backend has answered an OPEN, so it may remember the connection
        self._meta: Meta = ()
        self._interval = 0  # seconds, 0 for no keep-alive
        self._backlog = Backlog()
        self._farewell: Event | None = None  # the CLOSE or DISCONNECT that waits behind the backlog
        self._saying: Event | None = None  # the one in the request that is out
        self._is_asked = True  # a request is wanted though nothing waits: the first OPEN, a refresh
        self._is_crowded = False  # not all that waited has gone into the request that is out
        self._request: EventsRequest | None = None  # out while _due is inf, otherwise to be repeated at _due
        self._due = math.inf
        self._retries = 0

    @property
    def is_opening(self) -> bool:
        """The client has no answer to its handshake yet, and is there."""
        return self._phase is _Phase.OPENING

    @property
    def is_open(self) -> bool:
        """The handshake is done, and nobody has begun to close."""
        return self._phase is _Phase.OPEN

    @property
    def is_ended(self) -> bool:
        """No request is out, and there will be none."""
        return self._phase is _Phase.ENDED

    @property
    def deadline(self) -> float:
        """When `next_request` may give something through time alone: to repeat, to open again, to keep alive."""
        return self._due

    @property
    def waiting_bytes(self) -> int:
        """What the client's messages weigh that are not accepted yet, those that are out included (`Backlog`)."""
        return self._backlog.weight

    # -- what to send -----------------------------------------------------------------------------------------

    def next_request(self, now: float) -> EventsRequest | None:
        """Return the request to send now, which is out from here on; None when one is, or nothing is to be sent."""
        if now < self._due and not self._has_cause():
            return None
        if self._request is None:
            self._request = self._compose()
        self._due = math.inf
        return self._request

    def _has_cause(self) -> bool:
        """Say whether something is to be sent before the time comes. What was kept back is not (reference 4.3)."""
        if self._request is not None:
            return False
        if self._is_asked or self._farewell is not None:
            return True
        # What was not sent before the backend's CLOSE has time until the last request.
        return self._backlog.has_news and self._phase is not _Phase.BACKEND_CLOSED

    def _compose(self) -> EventsRequest:
        self._is_asked = False
        if self._phase is _Phase.OPENING:
            return EventsRequest(body=encode_events((_OPEN,)), replayed=0, meta=self._meta, is_last=False)
        replayed = self._backlog.kept_bytes
        events = self._backlog.offer(one_event=self._one_event, limit=self._batch_limit)
        has_room = not self._backlog.has_more and not (self._one_event and events)
        if self._farewell is not None and has_room:
            self._saying, self._farewell = self._farewell, None
            events.append(self._saying)
        self._is_crowded = self._backlog.has_more or self._farewell is not None
        is_last = self._saying is not None and self._phase is _Phase.LEAVING
        return EventsRequest(body=encode_events(events), replayed=replayed, meta=self._meta, is_last=is_last)

    # -- what happens at the client's side --------------------------------------------------------------------

    def receive(self, event: Event) -> None:
        """Take a whole message, a ping, a pong or the close of the client, behind which all is dropped.

        What crosses the backend's close on its way goes in front of the client's own, which ends it.
        """
        if event.kind in _NEVER_RECEIVED or self._phase is _Phase.OPENING:
            raise RuntimeError(f"a client in phase {self._phase.name} sends no {event.kind.name}")
        is_close = event.kind is EventKind.CLOSE
        if self._phase in (_Phase.OPEN, _Phase.BACKEND_CLOSED) and not is_close:
            self._backlog.append(event)
        elif self._phase is _Phase.OPEN:
            self._phase = _Phase.CLIENT_CLOSED
            self._farewell = event
        elif self._phase is _Phase.BACKEND_CLOSED and is_close:
            self._leave(event)

    def refresh(self) -> None:
        """Ask for one more request, empty when nothing waits, behind the one that is out (reference 4.7)."""
        if self._phase is _Phase.OPEN:
            self._is_asked = True

    def close_by_us(self) -> None:
        """Take leave of the backend with a bare CLOSE: a published close, a detach, or a shut-down."""
        self._part(_CLOSE)

    def client_gone(self) -> None:
        """Take leave of the backend with DISCONNECT: the connection is lost, or the shell gives it up."""
        self._part(_DISCONNECT)

    def _part(self, farewell: Event) -> None:
        match self._phase:
            case _Phase.OPENING if self._request is None and not self._is_known:
                self._end()
            case _Phase.OPENING | _Phase.OPEN | _Phase.BACKEND_CLOSED:
                self._leave(farewell)
            case _Phase.CLIENT_CLOSED if self._farewell is None and self._saying is None:
                # The backend had the client's CLOSE and is still asked for its own: no more.
                self._leave(_DISCONNECT)
            case _Phase.CLIENT_CLOSED:
                # The client's CLOSE, with its code, says more than any word of ours.
                self._leave(self._farewell)
            case _Phase.LEAVING | _Phase.ENDED:
                pass
            case _:
                assert_never(self._phase)

    # -- what comes of a request ------------------------------------------------------------------------------

    def answered(self, now: float, answer: EventsAnswer) -> tuple[Outcome, ...]:
        """Take an answer of status 200 with events: what it accepts, what it sets, and what it says."""
        saying = self._land()
        self._remember(answer)
        if self._phase is _Phase.LEAVING:
            self._answered_late(answer, saying)
            return ()
        if self._phase is _Phase.OPENING:
            return self._open(now, answer)
        fault = meta_fault(self._meta) or self._accept(answer, saying)
        return self._hear(now, answer.events, saying) if fault is None else self._fail(fault, saying)

    def rejected(self) -> tuple[Outcome, ...]:
        """Take any other answer. An opening has ended with it: what the client gets is the shell's to say."""
        if self._phase is _Phase.OPENING:
            self._land()
            self._end()
            return ()
        return self.malformed("the backend's answer is not 200 with websocket events")

    def malformed(self, reason: str) -> tuple[Outcome, ...]:
        """Take an answer that cannot be read: an EventsError's, or one that is too long."""
        saying = self._land()
        match self._phase:
            case _Phase.OPENING:
                self._end()
                return (FailOpening(reason=reason),)
            case _Phase.LEAVING if saying is not None or not self._is_known:
                self._end()
                return ()
            case _Phase.LEAVING:
                self._backlog.clear()
                return ()
            case _Phase.OPEN | _Phase.CLIENT_CLOSED | _Phase.BACKEND_CLOSED | _Phase.ENDED:
                return self._fail(reason, saying)
            case _:
                assert_never(self._phase)

    def failed(self, now: float, *, was_sent: bool, jitter: float) -> tuple[Outcome, ...]:
        """Take that no answer came (reference 4.5). What cannot have arrived is sent again, `jitter` seconds added.

        While opening it is not: then the shell has other targets to try, or an answer to give, and there are no
        outcomes. Retries are after 1, 2, 4, 8 and 16 seconds, with the identical request.
        """
        if not was_sent and self._is_known and self._phase is not _Phase.OPENING and self._retries < _MAX_RETRIES:
            self._check_out()
            self._due = now + 2**self._retries + jitter
            self._retries += 1
            return ()
        if self._phase is _Phase.OPENING:
            self._land()
            if was_sent:
                self._end()
            else:
                self._is_asked = True
            return ()
        return self.malformed("the backend did not answer" if was_sent else "the backend could not be reached")

    def _check_out(self) -> None:
        if self._request is None or self._due < math.inf:
            raise RuntimeError("no request is out")

    def _land(self) -> Event | None:
        """End the request that is out; return the CLOSE or DISCONNECT that was in it."""
        self._check_out()
        saying, self._saying = self._saying, None
        self._request = None
        self._retries = 0
        return saying

    def _remember(self, answer: EventsAnswer) -> None:
        for name, value in answer.set_meta:
            others = tuple(pair for pair in self._meta if pair[0].lower() != name.lower())
            self._meta = (*others, (name, value)) if value else others
        if answer.keep_alive_interval is not None:
            self._interval = answer.keep_alive_interval

    def _answered_late(self, answer: EventsAnswer, saying: Event | None) -> None:
        """Take what concerns us still when leaving: whether all has arrived, and whether there is anybody to tell."""
        fault = self._accept(answer, saying) if self._is_known else self._opening_fault(answer)
        is_unopened = fault is not None and not self._is_known
        self._is_known = True
        if saying is not None or is_unopened or any(event.kind is EventKind.DISCONNECT for event in answer.events):
            self._end()
        elif fault is not None:
            self._backlog.clear()

    def _open(self, now: float, answer: EventsAnswer) -> tuple[Outcome, ...]:
        fault = meta_fault(self._meta) or self._opening_fault(answer)
        if fault is not None:
            self._end()
            return (FailOpening(reason=fault),)
        self._is_known = True
        if not answer.events:
            self._due = now + self._interval
            return ()
        self._phase = _Phase.OPEN
        return (Opened(), *self._hear(now, answer.events[1:], None))

    def _opening_fault(self, answer: EventsAnswer) -> str | None:
        if answer.accepted:
            return "the backend accepted more bytes than it was offered"
        if not answer.events:
            return None if self._interval else "the backend answered OPEN with no events and no Keep-Alive-Interval"
        if answer.events[0].kind is not EventKind.OPEN:
            return f"the backend answered OPEN with {answer.events[0].kind.name}"
        return None

    def _accept(self, answer: EventsAnswer, saying: Event | None) -> str | None:
        """Forget the messages that are accepted; return what is wrong with keeping back the others, if anything is."""
        offered = self._backlog.offered_bytes
        accepted = offered if answer.accepted is None else answer.accepted
        # Pushpin counts the content of CLOSE, the documentation does not say: either is all.
        if accepted > offered + (len(saying.content) if saying else 0):
            return "the backend accepted more bytes than it was offered"
        has_moved = self._backlog.accept(min(accepted, offered))
        if any(event.kind in _ENDS for event in answer.events):
            return None
        if saying is not None and accepted < offered:
            return "the backend kept back bytes that stand before a CLOSE"
        if self._is_crowded and not has_moved:
            return "the backend accepted nothing while more waits"
        return None

    def _hear(self, now: float, events: tuple[Event, ...], saying: Event | None) -> tuple[Outcome, ...]:
        """Do what the events say, up to the first that ends something."""
        messages = tuple(itertools.takewhile(lambda event: event.kind in _MESSAGES, events))
        delivered = (Deliver(events=messages),) if messages else ()
        if len(messages) == len(events):
            return (*delivered, *self._rest(now))
        end = events[len(messages)]
        if end.kind is EventKind.CLOSE:
            self._backend_closed()
            return (*delivered, CloseClient(content=end.content))
        if end.kind is EventKind.DISCONNECT:
            self._end()
            return (*delivered, CutClient())
        return (*delivered, *self._fail("the backend sent a second OPEN", saying))

    def _rest(self, now: float) -> tuple[Outcome, ...]:
        if self._interval:
            self._due = now + self._interval
        elif self._phase is _Phase.CLIENT_CLOSED and self._farewell is None:
            self._end()
            return (EchoClose(),)
        return ()

    def _backend_closed(self) -> None:
        if self._phase is _Phase.CLIENT_CLOSED and self._farewell is None:
            self._end()
        elif self._phase is _Phase.CLIENT_CLOSED:
            self._leave(self._farewell)
        else:
            self._phase = _Phase.BACKEND_CLOSED
            self._is_asked = False

    def _fail(self, reason: str, saying: Event | None) -> tuple[Outcome, ...]:
        """Give the client up, and tell the backend, which Pushpin forgets, unless it has heard a last word."""
        if saying is None:
            self._backlog.clear()
            self._leave(_DISCONNECT)
        else:
            self._end()
        return (FailClient(reason=reason),)

    def _leave(self, farewell: Event | None) -> None:
        self._phase = _Phase.LEAVING
        self._farewell = farewell

    def _end(self) -> None:
        self._phase = _Phase.ENDED
        self._backlog.clear()
        self._farewell = None
        self._is_asked = False
