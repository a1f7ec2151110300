"""Changes in the middle of a delivery, subscribers at fault, and that nothing is kept of who has left."""

from __future__ import annotations

import random
import tracemalloc
import weakref
from collections.abc import Awaitable, Callable

import pytest

from handlers.hub.stream import HubStream
from handlers.open_ended import OpenEndedSession
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.mercure.event import HEARTBEAT
from handlers.protocol.ws_frames import CloseReason
from handlers.timers import NOWHERE
from tests.handlers.hub.hub_room import EVENT, HubRoom, RecordingTransport, exact, pattern, selector, update
from tests.handlers.room import OUTBOX
from tests.support.client import RawClient
from tests.support.turns import settle
from tests.support.websocket import WsClient

CHUNK = encode_chunk(EVENT)
EVERYTHING = (
    exact("a"),
    exact("*"),
    pattern("https://example.com/*"),
    pattern("*://*/x"),
    selector("{x}"),
    selector("a"),
)
BEAT = KeepAlive(data=HEARTBEAT, timeout=40)


def acting(session: OpenEndedSession, act: Callable[[], object]) -> None:
    """Have `act` done when `session` is written to next, behind that."""
    write = session.write

    def write_and_act(frame: bytes) -> None:
        session.write = write
        write(frame)
        act()

    session.write = write_and_act


# -- in the middle of a delivery ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [True, False])
async def test_sessions_that_leave_disturb_no_other(hub_room: HubRoom, chunked: bool) -> None:
    held = hub_room.crowd(6, *EVERYTHING, chunked=chunked)

    def empty_the_room() -> None:
        for _, session in held:
            session.leave()

    acting(held[0][1], empty_the_room)
    assert hub_room.audience.deliver(update("a")) == 6
    assert all(transport.written == [CHUNK if chunked else EVENT] for transport, _ in held)
    assert hub_room.audience.deliver(update("a")) == 0
    assert hub_room.is_empty()


async def test_clients_cut_cost_nobody_else_a_byte(hub_room: HubRoom) -> None:
    held = [await hub_room.listen(exact("a"), exact("*")) for _ in range(5)]

    def abort() -> None:
        for _, session in held[1:4]:
            session.transport.abort()

    acting(held[0][1], abort)
    hub_room.audience.deliver(update("a"))
    for _, session in held[1:4]:
        await hub_room.until_closed(session.transport)
    assert hub_room.audience.deliver(update("a")) == 2
    for client in (held[0][0], held[4][0]):
        assert [await client.chunk(), await client.chunk()] == [EVENT, EVENT]


async def test_who_joins_begins_with_the_next_update(hub_room: HubRoom) -> None:
    [(_, first), _] = hub_room.crowd(2, exact("a"))
    late: list[tuple[RecordingTransport, HubStream]] = []
    acting(first, lambda: late.extend(hub_room.crowd(1, exact("a"), chunked=False)))
    assert hub_room.audience.deliver(update("a", event_id="before")) == 2
    assert hub_room.audience.deliver(update("a")) == 3
    assert late[0][0].written == [EVENT]


async def test_what_is_published_from_within_a_delivery_comes_behind_it_for_all(hub_room: HubRoom) -> None:
    held = hub_room.crowd(4, exact("a"), chunked=False)
    acting(held[1][1], lambda: hub_room.hub.publish(update("a", event_id="2")))
    hub_room.hub.publish(update("a", event_id="1"))
    for transport, _ in held:
        assert transport.written == [b"id: 1\ndata: x\n\n", b"id: 2\ndata: x\n\n"]


# -- subscribers at fault -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), OSError("a bug"), AttributeError("a bug")], ids=repr)
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_subscriber_at_fault_costs_nobody_else_the_update(
    hub_room: HubRoom, fault: Exception, chunked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    held = hub_room.crowd(4, exact("a"), chunked=chunked)
    transport, faulty = held[1]
    transport.fault = fault
    assert hub_room.audience.deliver(update("a")) == 4
    assert faulty not in hub_room.audience.sessions
    assert transport.is_closing()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    others = [each for each, session in held if session is not faulty]
    assert all(each.written == [CHUNK if chunked else EVENT] for each in others)
    assert hub_room.audience.deliver(update("a")) == 3


async def test_a_subscriber_at_fault_is_told_of_as_gone(telling: HubRoom) -> None:
    [(transport, session)] = telling.crowd(1, exact("a"))
    [(watching, _)] = telling.crowd(1, exact("*"), grants=(exact("*"),), chunked=False)
    transport.fault = RuntimeError("a bug")
    telling.hub.publish(update("a"))
    assert session not in telling.audience.sessions
    told = b"".join(watching.written)
    assert told.index(EVENT) < told.index(b'"active": false'), "in one order: first the update, then what came of it"


# -- coming and going -----------------------------------------------------------------------------------------------


async def test_subscribers_are_counted_and_listed_as_they_come_and_go(hub_room: HubRoom) -> None:
    _, stream = await hub_room.listen(exact("a"))
    _, poll = await hub_room.ask(exact("a"))
    _, socket = await hub_room.socket(exact("a"))
    counters = hub_room.counters
    assert list(hub_room.audience.subscribers) == [stream, poll, socket]
    assert (counters.mercure_subscribers, counters.mercure_subscribers_opened, counters.sessions_opened) == (3, 3, 3)
    for _ in range(2):
        hub_room.audience.leave(stream)
    assert list(hub_room.audience.subscribers) == [poll, socket]
    assert (counters.mercure_subscribers, counters.mercure_subscribers_opened) == (2, 3)


async def test_nothing_is_kept_of_matchers_that_nobody_has(hub_room: HubRoom) -> None:
    held = [session for _ in range(5) for _, session in hub_room.crowd(1, *EVERYTHING, *EVERYTHING, grants=EVERYTHING)]
    hub_room.audience.deliver(update("a", is_private=True))
    assert not hub_room.is_empty()
    for session in held:
        session.leave()
        session.leave()
    assert hub_room.is_empty()
    assert all(session.tick == NOWHERE for session in held)


Ending = Callable[[HubRoom, RawClient, HubStream], Awaitable[None]]


async def gone(room: HubRoom, client: RawClient, session: HubStream) -> None:
    """The client hangs up."""
    client.reset()
    await room.until_closed(session.transport)


async def cut(room: HubRoom, client: RawClient, session: HubStream) -> None:
    """The client is far behind."""
    while not session.transport.is_closing():
        room.audience.deliver(update("a", data="x" * OUTBOX))
    await client.until_cut()
    await room.until_closed(session.transport)


async def expired(room: HubRoom, client: RawClient, session: HubStream) -> None:
    """Its time is up."""
    room.clock.advance(100)
    assert len(room.door.taken) == 1


async def drained(room: HubRoom, client: RawClient, session: HubStream) -> None:
    """The process stops."""
    session.drain()
    await room.until_closed(session.transport)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", [gone, cut, expired, drained])
async def test_an_ended_stream_is_not_kept_alive(hub_room: HubRoom, end: Ending) -> None:
    """Neither by the audience with its rows walked before, nor by the wheel, nor by the transport, nor by itself."""
    ends_at = hub_room.clock.now() + 60
    client, session = await hub_room.listen(
        *EVERYTHING, ends_at=ends_at, keep_alive=BEAT, grants=EVERYTHING, is_slow=end is cut
    )
    other, _ = await hub_room.listen(exact("a"))
    alive = weakref.ref(session)
    hub_room.audience.deliver(update("a", is_private=True))
    assert await client.chunk() == EVENT
    await end(hub_room, client, session)
    del session
    await settle()
    assert alive() is None
    other.close()


@pytest.mark.usefixtures("no_collector")
async def test_an_answered_poll_is_not_kept_alive(hub_room: HubRoom) -> None:
    client, session = await hub_room.ask(*EVERYTHING)
    alive = weakref.ref(session)
    hub_room.audience.deliver(update("a"))
    await client.response()
    del session
    await settle()
    assert alive() is None
    assert hub_room.is_empty()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("is_deflated", [False, True], ids=["plain", "deflated"])
async def test_a_closed_websocket_is_not_kept_alive(hub_room: HubRoom, is_deflated: bool) -> None:
    client, session = await hub_room.socket(*EVERYTHING, is_deflated=is_deflated)
    assert isinstance(client, WsClient)
    alive, transport = weakref.ref(session), session.transport
    hub_room.audience.deliver(update("a"))
    await client.heard()
    session.close(CloseReason(code=1000))
    await client.closed()
    await client.put_close(1000)
    await hub_room.until_closed(transport)
    del session
    await settle()
    assert alive() is None
    assert hub_room.is_empty()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("is_told", [False, True], ids=["quiet", "something waits"])
async def test_a_stream_given_up_before_it_was_attached_is_not_kept_alive(hub_room: HubRoom, is_told: bool) -> None:
    _, session = await hub_room.listen(*EVERYTHING, is_attached=False)
    alive = weakref.ref(session)
    if is_told:
        hub_room.audience.deliver(update("a"))
    session.leave()
    del session
    assert alive() is None
    assert hub_room.is_empty()


async def test_a_thousand_subscribers_cost_little_memory(hub_room: HubRoom) -> None:
    """The session with its subscriber, matcher and label, its place in the index, and its timer; not the transport."""
    transport = RecordingTransport()
    grants = (exact("/users/{id}"),)
    topics = [f"https://example.com/books/{random.Random(seed).randrange(10)}" for seed in range(1_000)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    held = []
    for number, topic in enumerate(topics):
        session = HubStream(
            site=hub_room.hub_site,
            transport=transport,
            subscriber=hub_room.subscriber((exact(topic),), grants),
            ends_at=hub_room.clock.now() + 600,
            reusable=True,
            label=f"http://example.com/.well-known/mercure?match={number}",
            chunked=True,
            keep_alive=BEAT,
        )
        hub_room.audience.join(session)
        session.attach(b"", is_behind=False)
        held.append(session)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(held) < 2_500
