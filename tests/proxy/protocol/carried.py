"""A WebSocket carried over HTTP with both sides and the clock in a test's hand: bodies go in and come out as bytes."""

from __future__ import annotations

from handlers.protocol.http1 import Headers
from proxy.protocol.ws_events import Event, EventKind
from proxy.protocol.ws_exchange import EventsRequest, Opened, Outcome, parse_answer
from proxy.protocol.ws_over_http import OverHttp

GONE = Event(kind=EventKind.CLOSE, content=b"\x03\xe9bye")


def text(content: bytes) -> Event:
    return Event(kind=EventKind.TEXT, content=content)


def accepted(count: int) -> Headers:
    return ((b"Content-Bytes-Accepted", b"%d" % count),)


def every(seconds: int) -> Headers:
    return ((b"Keep-Alive-Interval", b"%d" % seconds),)


class Carried:
    """`machine` and what the test did to it last. `now` only moves when the test moves it."""

    def __init__(self, *, one_event: bool = False, batch_limit: int = 200_000) -> None:
        self.machine = OverHttp(one_event=one_event, batch_limit=batch_limit)
        self.now = 1000.0

    def request(self) -> EventsRequest | None:
        return self.machine.next_request(self.now)

    def ask(self) -> bytes | None:
        """Return the body of the request to send, None for no request."""
        request = self.request()
        return None if request is None else request.body

    def last(self) -> bytes:
        """Return the body of a request that says to be the last."""
        request = self.request()
        assert request is not None
        assert request.is_last
        return request.body

    def replay(self) -> tuple[int, bytes] | None:
        request = self.request()
        return None if request is None else (request.replayed, request.body)

    def say(self, *contents: bytes) -> None:
        for content in contents:
            self.machine.receive(text(content))

    def answer(self, body: bytes = b"", headers: Headers = ()) -> tuple[Outcome, ...]:
        return self.machine.answered(self.now, parse_answer(headers, body))

    def fail(self, *, was_sent: bool, jitter: float = 0.0) -> tuple[Outcome, ...]:
        return self.machine.failed(self.now, was_sent=was_sent, jitter=jitter)


def opened(headers: Headers = (), *, one_event: bool = False, batch_limit: int = 200_000) -> Carried:
    """Return a connection whose OPEN the backend has accepted with `headers`."""
    carried = Carried(one_event=one_event, batch_limit=batch_limit)
    assert carried.ask() == b"OPEN\r\n"
    assert carried.answer(b"OPEN\r\n", headers) == (Opened(),)
    return carried
