"""A held stream that asks its backend what comes next; the backend's part is played by the test."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from handlers.linked_stream import BEATS, KEPT_ITEMS, LinkedStreamSession, Polling
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.items import Action, Item
from handlers.protocol.names import ItemId
from handlers.session import NO_META
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.room import OUTBOX, POLLING, Room, stream_item, subscriptions

SOON = 0.1 + TimerWheel.RESOLUTION
SLACK = 2 * TimerWheel.RESOLUTION
BEAT = KeepAlive(data=b"beat", timeout=5)


def item(content: str, after: str | None = None, channel: str = "room") -> Item:
    """An item whose content is its id."""
    made = stream_item(channel, content.encode())
    return replace(made, id=ItemId(content), prev_id=None if after is None else ItemId(after))


def answer(session: LinkedStreamSession, *pieces: bytes, channel: str = "room", prev_id: str | None = None) -> None:
    """Have the backend say this, and hold again."""
    session.begin_part(subscriptions((channel,), (), prev_id), NO_META)
    for piece in pieces:
        session.append(piece)
    session.hold_again(None, POLLING)


async def test_an_update_asks_with_what_was_seen(room: Room) -> None:
    client, session, link = await room.linked_stream("p-room", prev_id="1", prefix="p-")
    room.edge.deliver_all([item("2", "1", "p-room")])
    assert await client.chunk() == b"2"
    session.update()
    assert link.fetches == [(("room", "2"),)]


async def test_items_wait_for_the_answer_and_those_in_it_are_not_repeated(room: Room) -> None:
    client, session, _ = await room.linked_stream("room", prev_id="1")
    session.update()
    assert room.edge.deliver_all([item("3", "2"), item("4", "3")]) == [0, 0]
    session.begin_part(subscriptions(("room",), (), "3"), NO_META)
    room.edge.deliver_all([item("5", "4")])
    session.append(b"up to 3;")
    session.hold_again(None, POLLING)
    assert [await client.chunk() for _ in range(3)] == [b"up to 3;", b"4", b"5"]
    room.edge.deliver_all([item("6", "5")])
    assert await client.chunk() == b"6"
    assert (room.counters.items_contained, room.counters.gaps) == (1, 0)


async def test_an_answer_that_may_be_too_old_is_asked_for_again(room: Room) -> None:
    _, session, link = await room.linked_stream("room", prev_id="1")
    session.update()
    room.edge.deliver_all([item("9", "8")])
    answer(session, prev_id="5")
    room.clock.advance(SOON)
    assert link.fetches == [(("room", "1"),), (("room", "5"),)]
    answer(session, prev_id="9")
    room.clock.advance(SOON)
    assert len(link.fetches) == 2
    assert room.counters.gaps == 1


async def test_a_backend_that_has_nothing_to_add_is_not_asked_again(room: Room) -> None:
    _, session, link = await room.linked_stream("room", prev_id="1")
    room.edge.deliver_all([item("3", "2")])
    room.clock.advance(SOON)
    answer(session, prev_id="1")
    room.clock.advance(SOON)
    assert link.fetches == [(("room", "1"),)]


async def test_a_new_channel_may_have_had_something_before(room: Room) -> None:
    _, session, link = await room.linked_stream("room")
    session.update()
    room.edge.deliver_all([item("2", "1", "other")])
    answer(session, channel="other", prev_id="1")
    assert link.fetches == [(), (("other", "1"),)]


async def test_channels_are_replaced(room: Room) -> None:
    client, session, _ = await room.linked_stream("a", "b")
    session.update()
    answer(session, channel="b")
    assert room.edge.deliver_all([stream_item("a", b"a"), stream_item("b", b"b")]) == [0, 1]
    assert await client.chunk() == b"b"
    session.leave()
    assert room.edge.published(subscriptions(("a", "b"))) == (-1, -1)


async def test_a_close_that_came_meanwhile_ends_the_stream_behind_the_answer(room: Room) -> None:
    client, session, link = await room.linked_stream("room")
    session.update()
    room.edge.deliver_all([stream_item("room", b"last"), stream_item("room", action=Action.CLOSE)])
    assert session in room.edge.sessions
    answer(session, b"answer;")
    assert [await client.chunk() for _ in range(3)] == [b"answer;", b"last", b""]
    assert link.ends == 1


async def test_a_hint_asks(room: Room) -> None:
    client, session, link = await room.linked_stream("room")
    other, plain = await room.stream("room")
    room.edge.deliver(stream_item("room", action=Action.HINT))
    assert link.fetches == [()]
    room.edge.deliver_all([stream_item("room", action=Action.HINT), stream_item("room", b"news")])
    answer(session, b"answer;")
    assert len(link.fetches) == 2
    answer(session, b"again;")
    assert [await client.chunk() for _ in range(3)] == [b"answer;", b"again;", b"news"]
    assert await other.chunk() == b"news"
    assert plain in room.edge.sessions


async def test_what_is_asked_for_while_it_is_asked_for_is_asked_for_once_more(room: Room) -> None:
    client, session, link = await room.linked_stream("room")
    session.update()
    for _ in range(3):
        session.update()
    room.edge.deliver(stream_item("room", b"news"))
    answer(session, b"first;")
    assert len(link.fetches) == 2
    answer(session, b"second;")
    assert [await client.chunk() for _ in range(3)] == [b"first;", b"second;", b"news"]
    assert len(link.fetches) == 2


async def test_before_it_is_attached_nothing_is_asked(room: Room) -> None:
    _, session, link = await room.linked_stream("room", is_attached=False)
    session.update()
    assert link.fetches == []
    session.attach(b"", is_behind=False)
    assert len(link.fetches) == 1


async def test_a_page_delivers_nothing_before_there_is_a_hold(room: Room) -> None:
    client, session, link = await room.linked_stream("room", prev_id="1", is_attached=False, fetches_at_once=True)
    room.edge.deliver(item("2", "1"))
    session.attach(b"", is_behind=False)
    assert link.fetches == [(("room", "1"),)]
    answer(session, b"page;", prev_id="1")
    assert (await client.chunk(), await client.chunk()) == (b"page;", b"2")


async def test_without_a_next_link_nothing_is_asked(room: Room) -> None:
    _, session, link = await room.linked_stream("room", polling=None)
    session.update()
    room.clock.advance(10_000)
    assert (link.fetches, session.can_update) == ([], False)
    session.leave()
    assert link.ends == 1


async def test_who_waits_for_too_much_is_cut(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, session, link = await room.linked_stream("room")
    session.update()
    for _ in range(KEPT_ITEMS):
        room.edge.deliver(stream_item("room", b"x"))
    assert session in room.edge.sessions
    room.edge.deliver(stream_item("room", b"x"))
    assert await client.until_cut() == b""
    assert f"{session.label} closed: 101 items of 101 bytes wait for its backend's answer" in caplog.messages
    assert (room.counters.link_overflows, room.counters.slow_clients, link.ends) == (1, 0, 1)
    _, session, _ = await room.linked_stream("room")
    session.update()
    room.edge.deliver(stream_item("room", b"x" * (OUTBOX + 1)))
    assert session not in room.edge.sessions


# -- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [0.0, 3.0, 29.9, 30.0, 31.0, 1234.5])
@pytest.mark.parametrize("phase", [0.0, 7.0, 29.0])
def test_the_beat_after_the_seconds_is_due(now: float, phase: float) -> None:
    due = Polling(seconds=30, phase=phase).after(now)
    assert 30 <= due - now < 30 + 30 / BEATS
    assert (due - phase) % (30 / BEATS) == pytest.approx(0)


async def test_who_hears_nothing_asks_once(room: Room) -> None:
    _, session, link = await room.linked_stream("room")
    room.clock.advance(29)
    assert link.fetches == []
    room.clock.advance(31 + SLACK)
    assert link.fetches == [()]
    room.clock.advance(300)
    assert link.fetches == [()]
    answer(session)
    room.clock.advance(60 + SLACK)
    assert link.fetches == [(), ()]


async def test_who_hears_on_every_channel_does_not_ask(room: Room) -> None:
    _, _, link = await room.linked_stream("a", "b")
    for _ in range(20):
        room.edge.deliver_all([stream_item("a", b"a"), stream_item("a", b"a"), stream_item("b", b"b")])
        room.clock.advance(20)
    assert link.fetches == []
    for _ in range(4):
        room.edge.deliver(stream_item("a", b"a"))
        room.clock.advance(20)
    assert link.fetches == [()]


async def test_who_hears_on_one_channel_in_order_asks_for_the_other(room: Room) -> None:
    await room.stream("a")
    room.edge.deliver_all([item("x", None, "a"), item("y", None, "a")])
    _, _, link = await room.linked_stream("a", "b", prev_id="1")
    room.edge.deliver_all([item("2", "1", "a")])
    room.clock.advance(60 + SLACK)
    assert link.fetches == [(("a", "2"), ("b", "1"))]


async def test_no_keep_alive_stands_in_an_answer(room: Room) -> None:
    client, session, _ = await room.linked_stream("room", keep_alive=BEAT)
    session.update()
    room.clock.advance(5)
    assert await client.chunk() == b"beat"
    session.begin_part(subscriptions(("room",)), NO_META)
    session.append(b"half,")
    room.clock.advance(60)
    session.append(b"half;")
    session.hold_again(BEAT, POLLING)
    room.clock.advance(5 + SLACK)
    assert [await client.chunk() for _ in range(3)] == [b"half,", b"half;", b"beat"]


# -- the end --------------------------------------------------------------------------------------------------------


async def test_its_end_is_told_once(room: Room) -> None:
    client, session, link = await room.linked_stream("room")
    client.close()
    await room.until_closed(session.transport)
    session.leave()
    session.update()
    assert (link.ends, link.fetches, session.tick) == (1, [], NOWHERE)


async def test_a_client_that_catches_up_lets_the_answer_go_on(room: Room) -> None:
    client, session, link = await room.linked_stream("room", is_slow=True)
    session.update()
    session.begin_part(subscriptions(("room",)), NO_META)
    while not session.is_behind:
        session.append(b"x" * 8_192)
    while not link.relieved:
        await client.chunk()
    assert session.is_behind is False
