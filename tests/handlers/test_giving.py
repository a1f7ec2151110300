"""One item for one session, whatever it says to do."""

from __future__ import annotations

import pytest

from handlers.giving import Giving
from handlers.protocol.items import Action, MessageKind
from tests.handlers.room import Room, message_item, response_item, stream_item


@pytest.fixture
def giving(room: Room) -> Giving:
    return Giving(clock=room.clock, counters=room.counters)


async def test_a_stream_gets_content_of_its_own_and_its_end(room: Room, giving: Giving) -> None:
    client, session = await room.stream("a")
    giving.give(session, stream_item("a", b"published"), b"own")
    giving.give(session, stream_item("a"), b"")
    giving.give(session, stream_item("a", action=Action.HINT), None)
    assert await client.chunk() == b"own"
    giving.give(session, stream_item("a", action=Action.CLOSE), None)
    assert await client.chunk() == b""
    assert room.counters.deliveries == 1


async def test_a_hint_has_a_stream_ask_its_backend(room: Room, giving: Giving) -> None:
    _, session, link = await room.linked_stream("a")
    giving.give(session, stream_item("a", action=Action.HINT), None)
    assert len(link.fetches) == 1


@pytest.mark.parametrize(("content", "body"), [(b"own", b"own"), (None, b"published")])
async def test_a_long_poll_gets_its_answer(room: Room, giving: Giving, content: bytes | None, body: bytes) -> None:
    client, session = await room.poll("a")
    giving.give(session, response_item("a", b"published"), content)
    assert (await client.response()).body == body


async def test_a_hint_sends_a_long_poll_back(room: Room, giving: Giving) -> None:
    _, session = await room.poll("a")
    giving.give(session, response_item("a", action=Action.HINT), None)
    assert room.counters.retries == 1


async def test_a_websocket_gets_messages_refreshes_and_its_end(room: Room, giving: Giving) -> None:
    client, session, _ = await room.websocket("a")
    giving.give(session, message_item("a", b"published"), b"own")
    giving.give(session, message_item("a", action=Action.HINT), None)
    giving.give(session, message_item("a", action=Action.REFRESH), None)
    assert await client.heard() == "own"
    giving.give(session, message_item("a", action=Action.CLOSE, code=4000), None)
    await client.put_close(4000)
    assert (await client.closed()).code == 4000


async def test_a_ping_that_filters_have_made_too_long_is_not_sent(room: Room, giving: Giving) -> None:
    _, session, _ = await room.websocket("a")
    giving.give(session, message_item("a", kind=MessageKind.PING), b"x" * 126)
    assert (room.counters.deliveries, room.counters.filters_failed) == (0, 1)


async def test_an_item_without_a_format_for_the_session_says_nothing_to_it(room: Room, giving: Giving) -> None:
    client, session = await room.stream("a")
    giving.give(session, message_item("a", b"for others"), b"own")
    giving.give(session, stream_item("a", b"x"), b"x")
    assert await client.chunk() == b"x"
