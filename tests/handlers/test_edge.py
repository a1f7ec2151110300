"""The fan-out on real connections: complete, in order, in each client's own form, and no client touches another."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable

import pytest

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item
from handlers.protocol.names import Channel
from handlers.stream import StreamSession
from tests.conftest import chosen_loop
from tests.handlers.recording import Spectator
from tests.handlers.room import OUTBOX, Room, response_item, stream_item, subscriptions
from tests.support.client import RawClient

ROOM = Channel("room")


async def received(room: Room, client: RawClient, channel: str = "room") -> bytes:
    """Return all bytes that a chunked stream has been sent; the next frame is the barrier."""
    barrier = encode_chunk(b"--barrier--")
    room.edge.deliver(stream_item(channel, b"--barrier--"))
    return (await client.read_until(barrier)).removesuffix(barrier)


# -- who gets what --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crowd", [1, 2, 60])
async def test_every_stream_of_the_channel_gets_every_item_in_order(room: Room, crowd: int) -> None:
    clients = [(await room.stream("room", chunked=bool(index % 3)))[0] for index in range(crowd)]
    contents = [b"item %d\n" % number for number in range(50)]
    for content in contents:
        assert room.edge.deliver(stream_item("room", content)) == crowd
    chunked = b"".join(encode_chunk(content) for content in contents)
    raw = b"".join(contents)
    for index, client in enumerate(clients):
        expected = chunked if index % 3 else raw
        assert await client.read_exactly(len(expected)) == expected
    assert room.counters.deliveries == 50 * crowd


async def test_nobody_else_gets_anything(room: Room) -> None:
    client, _ = await room.stream("room")
    other, _ = await room.stream("other")
    polling, _ = await room.poll("room")
    assert room.edge.deliver(stream_item("room", b"news")) == 1
    assert room.edge.deliver(stream_item("nobody", b"news")) == 0
    assert await client.chunk() == b"news"
    assert other.pending() == b""
    assert polling.pending() == b""


async def test_a_stream_on_several_channels_gets_the_items_of_each(room: Room) -> None:
    client, _ = await room.stream("a", "b")
    room.edge.deliver(stream_item("a", b"on a"))
    room.edge.deliver(stream_item("b", b"on b"))
    assert [await client.chunk(), await client.chunk()] == [b"on a", b"on b"]


async def test_each_kind_takes_its_own_format_of_an_item(room: Room) -> None:
    streaming, _ = await room.stream("room")
    polling, _ = await room.poll("room")
    item = Item(channel=ROOM, http_stream=HttpStreamFormat(content=b"a"), http_response=HttpResponseFormat(body=b"b"))
    assert room.edge.deliver(item) == 2
    assert await streaming.chunk() == b"a"
    assert (await polling.response()).body == b"b"
    assert room.counters.deliveries == 2


async def test_an_item_without_a_format_for_it_reaches_nobody(room: Room) -> None:
    client, _ = await room.stream("room")
    assert room.edge.deliver(Item(channel=ROOM)) == 0
    assert await received(room, client) == b""


async def test_empty_content_does_not_end_a_body(room: Room) -> None:
    client, _ = await room.stream("room")
    room.edge.deliver(stream_item("room", b""))
    assert await received(room, client) == b""
    assert room.counters.deliveries == 1, "the barrier alone"


@pytest.mark.parametrize("action", [Action.HINT, Action.REFRESH])
async def test_an_action_that_means_nothing_to_a_stream_does_nothing(room: Room, action: Action) -> None:
    client, _ = await room.stream("room")
    assert room.edge.deliver(stream_item("room", b"content", action=action)) == 1
    assert await received(room, client) == b""


@pytest.mark.parametrize("action", [Action.CLOSE, Action.REFRESH])
async def test_an_action_that_means_nothing_to_a_poll_does_nothing(room: Room, action: Action) -> None:
    client, session = await room.poll("room")
    assert room.edge.deliver(response_item("room", b"body", action=action)) == 1
    assert session in room.edge.sessions
    room.edge.deliver(response_item("room", b"then"))
    assert (await client.response()).body == b"then"


async def test_close_ends_every_stream_of_the_channel(room: Room) -> None:
    chunked, _ = await room.stream("room")
    raw, _ = await room.stream("room", chunked=False, reusable=False)
    assert room.edge.deliver(stream_item("room", action=Action.CLOSE)) == 2
    assert await chunked.read_exactly(len(LAST_CHUNK)) == LAST_CHUNK
    assert await raw.until_closed() == b""
    assert not room.edge.sessions
    assert room.edge.deliver(stream_item("room", b"nobody is left")) == 0


async def test_a_hint_sends_every_poll_back_to_its_backend(room: Room) -> None:
    _, first = await room.poll("room", kept=b"GET /next")
    _, second = await room.poll("room")
    assert room.edge.deliver(response_item("room", action=Action.HINT)) == 2
    assert room.door.retried == [
        (first.transport, b"GET /next", b"the request", False),
        (second.transport, b"", b"the request", False),
    ]
    assert room.counters.retries == 2
    assert not room.edge.sessions


# -- content filters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "receivers"),
    [(None, 3), ((), 1), (("build-id",), 1), (("build-id", "var-subst"), 1), (("var-subst", "build-id"), 0)],
)
async def test_content_filters_must_equal_the_subscriptions(
    room: Room, wanted: tuple[str, ...] | None, receivers: int
) -> None:
    for filters in ((), ("build-id",), ("build-id", "var-subst")):
        await room.stream("room", filters=filters, meta={"id_format": ""})
        await room.poll("room", filters=filters, meta={"id_format": ""})
    assert room.edge.deliver(stream_item("room", b"content", filters=wanted)) == receivers
    assert room.edge.deliver(response_item("room", b"content", filters=wanted)) == receivers
    assert room.counters.deliveries == 2 * receivers
    assert room.counters.deliveries_filtered == 2 * (3 - receivers)
    assert room.counters.sessions_stream == 3, "no mismatch ends a stream"


async def test_a_debug_stream_is_told_of_a_mismatch_and_ended(room: Room) -> None:
    debug, _ = await room.stream("room", debug=True, filters=("build-id",))
    plain, _ = await room.stream("room", filters=("build-id",), meta={"id_format": ""})
    room.edge.deliver(stream_item("room", b"content", filters=("var-subst",)))
    assert await debug.chunk() == b"\n\ncontent filter mismatch: subscription=build-id message=var-subst\n"
    assert await debug.chunk() == b""
    assert await received(room, plain) == b""


async def test_a_debug_stream_that_fails_as_it_is_told_costs_nobody_else_the_item(room: Room) -> None:
    room.door.fault = AssertionError("no server")
    _, failing = await room.stream("room", debug=True, filters=("build-id",))
    client, _ = await room.stream("room")
    assert room.edge.deliver(stream_item("room", b"content", filters=())) == 1
    assert await client.chunk() == b"content"
    assert failing.transport.is_closing()


# -- one client's trouble -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", [0, 1, 5, 10])
async def test_a_client_cut_in_the_middle_of_a_delivery_costs_nobody_else_a_byte(room: Room, victim: int) -> None:
    """Its neighbour's write aborts its transport: before it, after it, and in the very act."""
    held = [await room.stream("room") for _ in range(11)]
    neighbour = held[5][1]
    write = neighbour.write

    def abort_and_write(frame: bytes) -> None:
        held[victim][1].transport.abort()
        write(frame)

    neighbour.write = abort_and_write
    assert room.edge.deliver(stream_item("room", b"first")) == 11
    neighbour.write = write
    await room.until_closed(held[victim][1].transport)
    assert room.edge.deliver(stream_item("room", b"second")) == 10
    for index, (client, _) in enumerate(held):
        if index == victim:
            assert await client.until_cut() in {b"", encode_chunk(b"first")}
        else:
            assert [await client.chunk(), await client.chunk()] == [b"first", b"second"]


@pytest.mark.skipif(chosen_loop() != "uvloop", reason="asyncio's closed transports take writes in silence")
async def test_a_stream_whose_transport_is_closed_leaves_at_the_first_write(room: Room) -> None:
    """uvloop raises RuntimeError then."""
    held = [await room.stream("room") for _ in range(5)]
    _, dead = held[2]
    spectator = Spectator()
    dead.transport.set_protocol(spectator)
    dead.transport.abort()
    await spectator.lost.wait()
    assert dead in room.edge.sessions
    assert room.edge.deliver(stream_item("room", b"first")) == 5
    assert dead not in room.edge.sessions
    assert room.edge.deliver(stream_item("room", b"second")) == 4
    for client, session in held:
        if session is not dead:
            assert [await client.chunk(), await client.chunk()] == [b"first", b"second"]


@pytest.mark.parametrize("fault", [RuntimeError("closed"), OSError("gone"), AssertionError("no server")], ids=repr)
async def test_a_door_at_fault_costs_one_client_its_connection(
    room: Room, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    held = [await room.poll("room") for _ in range(4)]
    room.door.fault = fault
    with caplog.at_level(logging.DEBUG, "holdfast.session"):
        assert room.edge.deliver(response_item("room", b"news")) == 4
    for client, _ in held[1:]:
        assert (await client.response()).body == b"news"
    assert held[0][1].transport.is_closing()
    assert [transport for transport, _, _ in room.door.taken] == [session.transport for _, session in held[1:]]
    assert str(fault) in caplog.text


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), OSError("a bug"), AttributeError("a bug")], ids=repr)
async def test_a_stream_at_fault_costs_nobody_else_the_item(
    room: Room, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    held = [await room.stream("room") for _ in range(4)]
    _, faulty = held[1]

    def fail(frame: bytes) -> None:
        raise fault

    faulty.write = fail
    assert room.edge.deliver(stream_item("room", b"news")) == 4
    assert faulty not in room.edge.sessions
    assert faulty.transport.is_closing()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    for client, session in held:
        if session is not faulty:
            assert await client.chunk() == b"news"


async def test_a_stream_that_leaves_in_the_middle_of_a_delivery_disturbs_no_other(room: Room) -> None:
    held = [await room.stream("room") for _ in range(6)]
    _, first = held[0]
    write = first.write

    def write_and_empty_the_room(frame: bytes) -> None:
        write(frame)
        for _, session in held:
            session.leave()

    first.write = write_and_empty_the_room
    assert room.edge.deliver(stream_item("room", b"news")) == 6
    for client, _ in held:
        assert await client.chunk() == b"news"
    assert room.edge.deliver(stream_item("room", b"news")) == 0


async def test_a_stream_that_joins_in_the_middle_of_a_delivery_begins_with_the_next_item(room: Room) -> None:
    client, first = await room.stream("room")
    late_client, transport = await room.connect()
    late = StreamSession(
        site=room.site,
        transport=transport,
        subscriptions=subscriptions(("room",)),
        reusable=True,
        label="/late",
        chunked=True,
        debug=False,
        keep_alive=None,
    )
    write = first.write

    def write_and_let_in(frame: bytes) -> None:
        first.write = write
        write(frame)
        room.edge.join(late)
        late.attach(b"", is_behind=False)

    first.write = write_and_let_in
    room.edge.deliver(stream_item("room", b"first"))
    room.edge.deliver(stream_item("room", b"second"))
    assert [await client.chunk(), await client.chunk()] == [b"first", b"second"]
    assert await late_client.chunk() == b"second"


# -- coming and going -----------------------------------------------------------------------------------------------


async def test_sessions_are_counted_by_kind_as_they_come_and_go(room: Room) -> None:
    _, stream = await room.stream("a", "b")
    _, poll = await room.poll("a")
    counters = room.counters
    assert (counters.sessions_stream, counters.sessions_response, counters.sessions_opened) == (1, 1, 2)
    for _ in range(2):
        room.edge.leave(stream)
        room.edge.leave(poll)
    assert (counters.sessions_stream, counters.sessions_response, counters.sessions_opened) == (0, 0, 2)
    assert not room.edge.sessions


async def test_nothing_is_kept_of_a_channel_that_nobody_is_on(room: Room) -> None:
    held = [(await room.stream(f"room {number}", "all"))[1] for number in range(5)]
    polls = [(await room.poll(f"room {number}", "all"))[1] for number in range(5)]
    for session in (*held, *polls):
        session.leave()
    assert not room.edge._channels  # noqa: SLF001  # what is kept for nothing can't be seen outside


async def gone(room: Room, client: RawClient, session: StreamSession) -> None:
    """The client hangs up while it is sent something."""
    room.edge.deliver(stream_item("room", b"news"))
    assert await client.chunk() == b"news"
    client.reset()
    await room.until_closed(session.transport)


async def cut(room: Room, client: RawClient, session: StreamSession) -> None:
    """The client is far behind."""
    while not session.transport.is_closing():
        room.edge.deliver(stream_item("room", b"x" * OUTBOX))
    await client.until_cut()
    await room.until_closed(session.transport)


async def ended(room: Room, client: RawClient, session: StreamSession) -> None:
    """The stream ends while its client is behind."""
    while not session.is_behind:
        room.edge.deliver(stream_item("room", b"x" * 4_000))
    room.edge.deliver(stream_item("room", action=Action.CLOSE))
    assert room.door.taken == [(session.transport, b"", True)]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", [gone, cut, ended])
async def test_an_ended_stream_is_not_kept_alive(
    room: Room, end: Callable[[Room, RawClient, StreamSession], Awaitable[None]]
) -> None:
    """Neither by the edge with its rows walked before, nor by the wheel, nor by the transport, nor by itself."""
    client, session = await watched(room, is_slow=end is not gone)
    session.attach(b"", is_behind=False)
    alive = weakref.ref(session)
    await end(room, client, session)
    del session
    await asyncio.sleep(0)
    assert alive() is None


@pytest.mark.usefixtures("no_collector")
async def test_a_stream_given_up_before_it_was_attached_is_not_kept_alive(room: Room) -> None:
    _, session = await watched(room)
    alive = weakref.ref(session)
    room.edge.deliver(stream_item("room", b"news"))
    session.leave()
    del session
    assert alive() is None


async def watched(room: Room, *, is_slow: bool = False) -> tuple[RawClient, StreamSession]:
    """Have a stream that can tell when it is gone join two channels."""
    client, transport = await room.connect(is_slow=is_slow)
    session = WatchedStream(
        site=room.site,
        transport=transport,
        subscriptions=subscriptions(("room", "other")),
        reusable=True,
        label="/watched",
        chunked=True,
        debug=False,
        keep_alive=None,
    )
    room.edge.join(session)
    return client, session


class WatchedStream(StreamSession):
    """A stream that can tell when it is gone."""

    __slots__ = ("__weakref__",)


# -- when something came --------------------------------------------------------------------------------------------


async def test_whatever_could_make_an_answer_old_is_an_arrival(room: Room) -> None:
    seen = [room.edge.arrivals]
    room.edge.deliver_all([stream_item("nobody", b"x")])
    seen.append(room.edge.arrivals)
    room.edge.deliver_once([stream_item("nobody", b"x")])
    seen.append(room.edge.arrivals)
    room.edge.recover()
    seen.append(room.edge.arrivals)
    assert seen == sorted(set(seen))
