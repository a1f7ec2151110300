"""Items of sessions that have a filter to ask: one after the other, whatever the answers are."""

from __future__ import annotations

import logging

import pytest

from handlers.filter_queue import WAITING
from handlers.linked_stream import LinkedStreamSession
from handlers.protocol.http_filter import Dropped, Failed, Passed
from handlers.protocol.items import Action, HttpStreamFormat, Item
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.subscribing import Subscription, in_turn
from tests.handlers.asking import RecordingAsker
from tests.handlers.room import Room, message_item, response_item, stream_item
from tests.support.client import RawClient

URL = {"url": "/filter", "user": "ann"}
CHECK = ("http-check",)


@pytest.fixture
def asker(room: Room) -> RecordingAsker:
    asker = RecordingAsker()
    room.edge.let_ask(asker)
    return asker


async def a_stream(room: Room, *filters: str, debug: bool = False) -> RawClient:
    """Hold a stream on `a`, with these filters, and on `b`."""
    client, session = await room.stream("a", "b", debug=debug, meta=URL)
    first, second = session.subscriptions
    for place in in_turn((Subscription(channel=first.channel, filters=filters), second)):
        room.edge.subscribe(session, place)
    return client


async def test_an_item_is_given_when_it_has_passed(room: Room, asker: RecordingAsker) -> None:
    client = await a_stream(room, *CHECK)
    assert room.edge.deliver(stream_item("a", b"one")) == 0, "nobody knows yet"
    assert room.counters.deliveries == 0
    asker.answer(Passed())
    assert await client.chunk() == b"one"
    assert room.counters.deliveries == 1


@pytest.mark.parametrize(("verdict", "content"), [(Passed(), b"via a"), (Dropped(), b"via b")])
async def test_of_one_update_on_several_channels_a_session_gets_the_first_that_passes(
    room: Room, asker: RecordingAsker, verdict: Passed | Dropped, content: bytes
) -> None:
    client = await a_stream(room, *CHECK)
    room.edge.deliver_once([stream_item("a", b"via a"), stream_item("b", b"via b")])
    asker.answer(verdict)
    room.edge.deliver(stream_item("b", b"last"))
    assert (await client.chunk(), await client.chunk()) == (content, b"last")


async def test_a_question_says_what_a_filter_has_to_know(room: Room, asker: RecordingAsker) -> None:
    await a_stream(room, "http-modify")
    room.edge.deliver(Item(channel=Channel("a"), meta=(("k", "v"),), http_stream=HttpStreamFormat(content=b"x")))
    (question,) = asker.questions
    assert (question.filter, question.url, question.content) == ("http-modify", "/filter", b"x")
    assert (question.meta, question.item_meta) == (URL, (("k", "v"),))
    assert question.origin.startswith("/stream")


async def test_only_one_item_is_asked_about_at_a_time(room: Room, asker: RecordingAsker) -> None:
    client = await a_stream(room, "http-modify")
    for content in (b"one", b"two", b"three"):
        room.edge.deliver(stream_item("a", content))
    assert asker.open == 1
    asker.answer(Passed(content=b"1"))
    asker.answer(Dropped())
    asker.answer(Passed())
    assert (await client.chunk(), await client.chunk()) == (b"1", b"three")
    assert room.counters.deliveries_filtered == 1


async def test_items_without_a_question_wait_for_those_before_them(room: Room, asker: RecordingAsker) -> None:
    client = await a_stream(room, *CHECK)
    room.edge.deliver(stream_item("b", b"at once"))
    assert await client.chunk() == b"at once"
    room.edge.deliver(stream_item("a", b"one"))
    room.edge.deliver(stream_item("b", b"two"))
    room.edge.deliver(stream_item("b", action=Action.CLOSE))
    assert room.counters.sessions_stream == 1
    asker.answer(Passed())
    assert [await client.chunk() for _ in range(3)] == [b"one", b"two", b""]


async def test_what_fails_costs_the_item(room: Room, asker: RecordingAsker, caplog: pytest.LogCaptureFixture) -> None:
    client = await a_stream(room, *CHECK)
    room.edge.deliver(stream_item("a", b"one"))
    room.edge.deliver(stream_item("a", b"two"))
    with caplog.at_level(logging.WARNING, "holdfast.edge"):
        asker.answer(Failed(reason="why"))
    asker.answer(Passed())
    assert await client.chunk() == b"two"
    assert "channel=a item not delivered: http-check: why" in caplog.text
    assert room.counters.filters_failed == 1


async def test_what_fails_ends_a_debug_stream(room: Room, asker: RecordingAsker) -> None:
    client = await a_stream(room, *CHECK, debug=True)
    room.edge.deliver(stream_item("a", b"one"))
    asker.answer(Failed(reason="why"))
    assert (await client.chunk(), await client.chunk()) == (b"\n\nhttp-check: why\n", b"")


async def test_without_an_asker_items_that_need_one_are_not_delivered(room: Room) -> None:
    client = await a_stream(room, *CHECK)
    room.edge.deliver(stream_item("a", b"one"))
    room.edge.deliver(stream_item("b", b"two"))
    assert await client.chunk() == b"two"
    assert room.counters.filters_failed == 1


async def test_content_filters_are_compared_in_turn(room: Room, asker: RecordingAsker) -> None:
    client = await a_stream(room, "http-modify")
    room.edge.deliver(stream_item("a", b"one", filters=()))
    room.edge.deliver(stream_item("a", b"two", filters=("http-modify",)))
    asker.answer(Passed())
    assert await client.chunk() == b"two"
    assert room.counters.deliveries_filtered == 1


async def test_a_session_that_ends_calls_off_what_is_asked(room: Room, asker: RecordingAsker) -> None:
    client, session = await room.stream("a", filters=CHECK, meta=URL)
    room.edge.subscribe(session, in_turn(session.subscriptions)[0])
    room.edge.deliver(stream_item("a", b"one"))
    room.edge.deliver(stream_item("a", b"two"))
    client.close()
    await room.until_closed(session.transport)
    assert (asker.called_off, room.counters.filter_items_left) == (1, 2)
    asker.answer(Passed())
    assert room.counters.deliveries == 0


async def test_more_items_than_may_wait_cut_the_session(room: Room, asker: RecordingAsker) -> None:
    client = await a_stream(room, *CHECK)
    for _ in range(WAITING):
        room.edge.deliver(stream_item("a", b"x"))
    assert room.counters.filter_overflows == 0
    room.edge.deliver(stream_item("a", b"x"))
    assert (room.counters.filter_overflows, room.counters.sessions_stream) == (1, 0)
    await client.until_cut()


async def test_a_session_that_is_taken_off_the_channel_does_not_get_what_waits(
    room: Room, asker: RecordingAsker
) -> None:
    client, session, _ = await room.websocket(meta=URL)
    for place in in_turn((Subscription(channel=Channel("a"), filters=CHECK), Subscription(channel=Channel("b")))):
        room.edge.subscribe(session, place)
    for channel in ("a", "a", "b"):
        room.edge.deliver(message_item(channel, b"to " + channel.encode()))
    room.edge.unsubscribe(session, Channel("a"))
    asker.answer(Passed())
    assert await client.heard() == "to b"
    assert asker.open == 0


async def test_a_long_poll_is_answered_by_the_first_item_that_passes(room: Room, asker: RecordingAsker) -> None:
    client, session = await room.poll("a", filters=CHECK, meta=URL)
    room.edge.subscribe(session, in_turn(session.subscriptions)[0])
    for body in (b"one", b"two", b"three"):
        room.edge.deliver(response_item("a", body))
    asker.answer(Dropped())
    asker.answer(Passed())
    assert (await client.response()).body == b"two"
    assert (asker.open, room.counters.filter_items_left) == (0, 1)


# -- items in an order ----------------------------------------------------------------------------------------------


def follower(item_id: str, prev_id: str) -> Item:
    published = HttpStreamFormat(content=item_id.encode())
    return Item(channel=Channel("a"), id=ItemId(item_id), prev_id=ItemId(prev_id), http_stream=published)


async def ordered(room: Room) -> tuple[RawClient, LinkedStreamSession]:
    """Hold a stream that has had item 1 of `a` and asks about each item."""
    client, session, link = await room.linked_stream("a", prev_id="1")
    session.meta = URL
    place = Subscription(channel=Channel("a"), filters=CHECK, prev_id=ItemId("1"))
    room.edge.subscribe(session, in_turn((place,))[0])
    assert not link.fetches
    return client, session


async def test_an_item_is_had_when_its_filters_have_answered(room: Room, asker: RecordingAsker) -> None:
    client, session = await ordered(room)
    for number in (2, 3):
        room.edge.deliver(follower(str(number), str(number - 1)))
    assert asker.questions[0].last_seen == (("a", "2"),)
    assert session.last_seen() == (("a", "1"),)
    asker.answer(Dropped())
    assert session.last_seen() == (("a", "2"),), "the filter's word is the last one"
    asker.answer(Passed())
    assert await client.chunk() == b"3"
    assert room.counters.gaps == 0


async def test_an_item_that_does_not_follow_is_a_gap_when_its_turn_comes(room: Room, asker: RecordingAsker) -> None:
    client, _ = await ordered(room)
    room.edge.deliver(follower("2", "1"))
    room.edge.deliver(follower("9", "8"))
    assert room.counters.gaps == 0
    asker.answer(Passed())
    assert await client.chunk() == b"2"
    assert (room.counters.gaps, asker.open) == (1, 0)


async def test_what_is_asked_about_while_the_backend_is_follows_its_answer(room: Room, asker: RecordingAsker) -> None:
    client, session = await ordered(room)
    room.edge.deliver(follower("2", "1"))
    session.update()
    room.edge.deliver(follower("3", "2"))
    asker.answer(Passed())
    again = in_turn((Subscription(channel=Channel("a"), filters=CHECK, prev_id=ItemId("2")),))
    session.begin_part(again, URL)
    session.append(b"told of 2")
    session.hold_again(None, None)
    assert await client.chunk() == b"told of 2"
    assert room.counters.items_contained == 1
    asker.answer(Passed())
    assert await client.chunk() == b"3"
