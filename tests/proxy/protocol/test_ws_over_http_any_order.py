from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.protocol.ws_events import Event, EventKind, parse_events
from proxy.protocol.ws_exchange import (
    CloseClient,
    CutClient,
    EchoClose,
    EventsAnswer,
    EventsRequest,
    FailClient,
    FailOpening,
    Opened,
    Outcome,
)
from proxy.protocol.ws_over_http import OverHttp

LAST_WORDS = (EventKind.CLOSE, EventKind.DISCONNECT)
MESSAGES = st.builds(
    Event,
    kind=st.sampled_from([EventKind.TEXT, EventKind.BINARY, EventKind.PING, EventKind.PONG]),
    content=st.binary(max_size=6),
)
ANSWERS = st.lists(
    MESSAGES | st.sampled_from([Event(kind=EventKind.CLOSE), Event(kind=EventKind.DISCONNECT)]), max_size=2
)
Stream = list[tuple[EventKind, int | None]]


def stream_of(events: tuple[Event, ...]) -> Stream:
    """Return every byte with the kind of its message, and an empty message as None: what cutting leaves alone."""
    return [(event.kind, byte) for event in events for byte in (event.content or (None,))]


class AnyOrder(RuleBasedStateMachine):
    """A backend that accepts what it likes and a client that comes and goes, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.out: EventsRequest | None = None
        self.repeated: EventsRequest | None = None  # unreachable, to be sent again as it is
        self.opens = 0
        self.said: Stream = []  # by the client while the connection was open
        self.heard: Stream = []  # accepted by the backend
        self.last_words: list[EventKind] = []
        self.is_opened = False
        self.is_spoiled = False  # by the backend: then messages may be lost
        self.is_left = False  # the client has nothing more to say or to hear
        self.finals: list[Outcome] = []

    @initialize(one_event=st.booleans(), batch_limit=st.integers(1, 20))
    def begin(self, *, one_event: bool, batch_limit: int) -> None:
        self.one_event = one_event
        self.machine = OverHttp(one_event=one_event, batch_limit=batch_limit)

    # -- the client -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_opened)
    @rule(event=MESSAGES)
    def client_says(self, event: Event) -> None:
        if self.machine.is_open:
            self.said += stream_of((event,))
        self.machine.receive(event)

    @precondition(lambda self: self.is_opened)
    @rule(content=st.sampled_from([b"", b"\x03\xe8"]))
    def client_closes(self, content: bytes) -> None:
        self.machine.receive(Event(kind=EventKind.CLOSE, content=content))

    @rule()
    def client_goes(self) -> None:
        self.machine.client_gone()
        self.is_left = True

    @rule()
    def we_close(self) -> None:
        self.machine.close_by_us()
        self.is_left = True

    @rule()
    def refresh(self) -> None:
        self.machine.refresh()

    # -- time -------------------------------------------------------------------------------------------------

    @rule()
    def ask(self) -> None:
        request = self.machine.next_request(self.now)
        if self.out is not None:
            assert request is None
        elif request is not None:
            self.send(request)
        elif self.machine.deadline < math.inf:
            assert self.machine.next_request(math.nextafter(self.machine.deadline, 0)) is None
            self.now = self.machine.deadline
            request = self.machine.next_request(self.now)
            assert request is not None
            self.send(request)

    def send(self, request: EventsRequest) -> None:
        self.out = request
        if self.repeated is not None:
            assert request is self.repeated
            self.repeated = None
            return
        events = parse_events(request.body)
        assert len(events) <= 1 or not self.one_event
        kinds = [event.kind for event in events]
        assert (EventKind.OPEN in kinds) == (not self.is_opened and not self.is_left)
        if self.last_words:
            # Behind a CLOSE: empty requests, for the backend's own, and DISCONNECT.
            assert kinds in ([], [EventKind.DISCONNECT])
            assert EventKind.DISCONNECT not in self.last_words
        self.last_words += [kind for kind in kinds if kind in LAST_WORDS]
        assert not request.is_last or kinds[-1] in LAST_WORDS

    # -- the backend ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.out is not None)
    @rule(events=ANSWERS, interval=st.sampled_from([None, None, 0, 20]), data=st.data())
    def backend_answers(self, events: list[Event], interval: int | None, data: st.DataObject) -> None:
        request = self.land()
        kinds = [event.kind for event in parse_events(request.body)]
        if EventKind.OPEN in kinds:
            self.opens += 1
            events = data.draw(st.sampled_from([[], [Event(kind=EventKind.OPEN), *events]]))
        messages = tuple(
            event for event in parse_events(request.body) if event.kind not in (EventKind.OPEN, *LAST_WORDS)
        )
        offered = sum(len(event.content) for event in messages)
        accepted = data.draw(st.none() | st.integers(0, offered))
        if accepted is None or any(kind in LAST_WORDS for kind in kinds):
            self.heard += stream_of(messages)
        else:
            self.hear(messages, accepted)
        # One that takes its leave, or that does not move on, is not sent everything.
        self.is_spoiled |= any(event.kind is EventKind.DISCONNECT for event in events)
        self.is_spoiled |= accepted == 0 < offered
        answer = EventsAnswer(events=tuple(events), keep_alive_interval=interval, accepted=accepted)
        self.told(self.machine.answered(self.now, answer))

    def hear(self, messages: tuple[Event, ...], left: int) -> None:
        for event in messages:
            self.heard += (
                stream_of((Event(kind=event.kind, content=event.content[:left]),))
                if (left or not event.content)
                else []
            )
            left -= len(event.content)
            if left < 0:
                return

    @precondition(lambda self: self.out is not None)
    @rule(is_read=st.booleans())
    def backend_fails(self, *, is_read: bool) -> None:
        self.land()
        self.is_spoiled = True
        self.told(self.machine.malformed("") if is_read else self.machine.rejected())

    @precondition(lambda self: self.out is not None)
    @rule(was_sent=st.booleans(), jitter=st.floats(0, 1))
    def backend_is_silent(self, *, was_sent: bool, jitter: float) -> None:
        request = self.land()
        self.told(self.machine.failed(self.now, was_sent=was_sent, jitter=jitter))
        if self.machine.deadline < math.inf:
            assert not was_sent
            self.repeated = request
        else:
            self.is_spoiled = True

    def land(self) -> EventsRequest:
        assert self.out is not None
        request, self.out = self.out, None
        return request

    def told(self, outcomes: tuple[Outcome, ...]) -> None:
        assert not outcomes or not self.is_left
        for outcome in outcomes:
            match outcome:
                case Opened():
                    assert not self.is_opened
                    self.is_opened = True
                case CloseClient() | EchoClose() | CutClient() | FailClient() | FailOpening():
                    assert isinstance(outcome, FailOpening) != self.is_opened
                    self.finals.append(outcome)
                    self.is_spoiled |= isinstance(outcome, FailClient | FailOpening)
                case _:
                    assert self.is_opened

    # -- what holds -------------------------------------------------------------------------------------------

    @invariant()
    def at_most_one_request_is_out(self) -> None:
        if self.out is not None:
            assert not self.machine.is_ended
            assert self.machine.deadline == math.inf
            assert self.machine.next_request(self.now) is None

    @invariant()
    def messages_arrive_once_and_in_order(self) -> None:
        assert self.heard == self.said[: len(self.heard)]

    @invariant()
    def the_client_is_done_with_once(self) -> None:
        assert len([final for final in self.finals if not isinstance(final, CloseClient)]) <= 1

    @invariant()
    def an_end_is_complete(self) -> None:
        if not self.machine.is_ended:
            return
        assert self.machine.next_request(1e9) is None
        assert (self.machine.waiting_bytes, self.machine.deadline) == (0, math.inf)
        if self.is_opened and not self.is_spoiled:
            assert self.heard == self.said
            assert self.last_words


AnyOrder.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
