"""One connection's requests of events: what is sent, which answer is one, and how long each is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from handlers.counters import Counters
from proxy.errors import UnreachableError, UpstreamError
from proxy.events_sender import (
    LAST_SECONDS,
    REFUSAL_LIMIT,
    EventsReply,
    EventsSender,
    EventsTemplate,
    Refusal,
    SenderSite,
)
from proxy.protocol.grip_sig import Signer, parse_key
from proxy.protocol.route import Target, TargetKind
from proxy.protocol.ws_events import Event, EventKind, EventsError
from proxy.protocol.ws_exchange import EventsRequest
from proxy.settings import ProxySettings
from proxy.upstream import Upstream
from tests.support.answers import answer, head, never, text
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.clock import ManualClock
from tests.support.events import OPEN, TYPE, events
from tests.support.turns import settle

LIMIT = 5_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def upstream(clock: ManualClock) -> AsyncGenerator[Upstream]:
    upstream = Upstream(settings=ProxySettings(response_timeout=1000), clock=clock, counters=Counters())
    yield upstream
    await upstream.close()
    await settle()


@pytest.fixture
async def backend() -> AsyncGenerator[ScriptedBackend]:
    async with ScriptedBackend() as backend:
        yield backend


@pytest.fixture
def sender(upstream: Upstream, clock: ManualClock, backend: ScriptedBackend) -> EventsSender:
    return sender_to(backend.port, upstream, clock)


def sender_to(port: int, upstream: Upstream, clock: ManualClock) -> EventsSender:
    headers = ((b"Host", b"a.example"), (b"Content-Type", TYPE.encode()))
    key = parse_key("k" * 32, lambda path: b"")
    template = EventsTemplate(path=b"/ws", host=b"a.example", headers=headers, signer=Signer("pushpin", key))
    site = SenderSite(upstream=upstream, clock=clock, events_limit=LIMIT, requests_at_once=2)
    return EventsSender(site=site, template=template, target=Target(kind=TargetKind.HOST, host="127.0.0.1", port=port))


def request(body: bytes = OPEN, *, is_last: bool = False, replayed: int = 0) -> EventsRequest:
    return EventsRequest(body=body, replayed=replayed, meta=((b"User", b"alice"),), is_last=is_last)


async def test_a_request_has_the_connections_headers_and_its_own(
    sender: EventsSender, backend: ScriptedBackend, clock: ManualClock
) -> None:
    backend.answers("/ws", events(OPEN, headers=[("X-Answer", "1")]))
    signatures = set()
    for _ in range(2):
        reply = await sender.send(request(replayed=3), wants_refusal=False)
        assert isinstance(reply, EventsReply)
        assert reply.answer.events == (Event(kind=EventKind.OPEN),)
        assert (b"X-Answer", b"1") in reply.headers
        sent = await backend.request()
        assert (sent.method, sent.target, sent.body) == (b"POST", b"/ws", OPEN)
        assert sent.values(b"host") == (b"a.example",)
        assert sent.values(b"meta-user") == (b"alice",)
        assert sent.values(b"content-bytes-replayed") == (b"3",)
        signatures |= set(sent.values(b"grip-sig"))
        clock.advance(1)
    assert len(signatures) == 2, "a fresh one each time"


async def test_any_other_answer_is_a_refusal_read_only_where_it_is_wanted(
    sender: EventsSender, backend: ScriptedBackend
) -> None:
    backend.answers("/ws", text(b"no\n", status=403))
    assert await sender.send(request(), wants_refusal=False) == Refusal(answer=None)
    refusal = await sender.send(request(), wants_refusal=True)
    assert isinstance(refusal, Refusal)
    assert refusal.answer is not None
    assert (refusal.answer.status, refusal.answer.body) == (403, b"no\n")


async def test_an_answer_that_is_no_events_or_too_long_is_a_fault(
    sender: EventsSender, backend: ScriptedBackend
) -> None:
    for script in (events(b"OPEN"), events(OPEN, b"x" * LIMIT)):
        backend.answers("/ws", script)
        with pytest.raises(EventsError):
            await sender.send(request(), wants_refusal=True)
    backend.answers("/ws", text(b"x" * (REFUSAL_LIMIT + 1), status=403))
    with pytest.raises(UpstreamError, match="longer than") as caught:
        await sender.send(request(), wants_refusal=True)
    assert caught.value.status == 502


async def test_nothing_was_sent_to_who_cannot_be_reached(upstream: Upstream, clock: ManualClock) -> None:
    with pytest.raises(UnreachableError):
        await sender_to(closed_port(), upstream, clock).send(request(), wants_refusal=True)


async def test_the_body_of_an_answer_has_a_time_too(
    sender: EventsSender, backend: ScriptedBackend, clock: ManualClock
) -> None:
    begun = head(200, b"OK", [(b"Content-Type", TYPE.encode()), (b"Content-Length", b"9")]) + b"OPEN"
    backend.answers("/ws", answer(begun, asyncio.Event()))
    sending = asyncio.create_task(sender.send(request(), wants_refusal=True))
    await backend.request()
    await settle()
    clock.advance(1001)
    with pytest.raises(UpstreamError, match="no whole answer within 1000 seconds") as caught:
        await sending
    assert caught.value.status == 504


async def test_no_more_than_so_many_are_under_way_at_once(sender: EventsSender, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.answers("/ws", answer(gate, *events(OPEN).steps))
    sending = [asyncio.create_task(sender.send(request(), wants_refusal=False)) for _ in range(5)]
    for _ in range(2):
        await backend.request()
    await settle()
    assert len(backend.requests) == 2
    gate.set()
    await asyncio.gather(*sending)
    assert len(backend.requests) == 5


async def test_the_last_request_is_not_waited_for_as_long(
    sender: EventsSender, backend: ScriptedBackend, clock: ManualClock
) -> None:
    backend.answers("/ws", never())
    sending = asyncio.create_task(sender.send(request(b"DISCONNECT\r\n", is_last=True), wants_refusal=False))
    await backend.request()
    clock.advance(LAST_SECONDS - 1)
    await settle()
    assert not sending.done()
    clock.advance(1)
    with pytest.raises(UpstreamError, match="no answer to the last events within 60 seconds"):
        await sending
    await backend.disconnected(1)
