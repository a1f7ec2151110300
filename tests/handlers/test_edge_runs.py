"""Several items at once: one write per session, and otherwise just what one after the other would have done."""

from __future__ import annotations

import random

import pytest
from websockets.frames import Opcode

from handlers.protocol.http1 import encode_chunk
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel
from tests.handlers.recording import noted
from tests.handlers.room import Room, message_item, response_item, stream_item
from tests.support.websocket import WsClient

STREAM, MESSAGE = stream_item("room", b"news\n"), message_item("room", b"news")
KINDS = (
    STREAM,
    MESSAGE,
    stream_item("room", b""),
    stream_item("other", b"elsewhere\n"),
    message_item("other", b"elsewhere"),
    message_item("room", b"", kind=MessageKind.PING),
    stream_item("room", b"filtered\n", filters=("f",)),
    message_item("room", action=Action.REFRESH),
    response_item("room", b"answer"),
    Item(
        channel=Channel("room"),
        http_stream=HttpStreamFormat(content=b"for all\n"),
        ws_message=WsMessageFormat(content=b"for all"),
        http_response=HttpResponseFormat(body=b"for all"),
    ),
)


async def heard(client: WsClient) -> tuple[Opcode, bytes]:
    """Return the next frame's kind and content."""
    frame = await client.frame()
    return frame.opcode, bytes(frame.data)


async def test_what_is_for_a_channel_leaves_in_one_write(room: Room) -> None:
    chunked, first = await room.stream("room")
    raw, second = await room.stream("room", chunked=False)
    writes = [noted(first), noted(second)]
    items = [stream_item("room", b"%d\n" % number) for number in range(5)]
    assert room.edge.deliver_all(items) == [2] * 5
    expected = [b"".join(encode_chunk(b"%d\n" % number) for number in range(5)), b"0\n1\n2\n3\n4\n"]
    assert writes == [[expected[0]], [expected[1]]]
    assert await chunked.read_exactly(len(expected[0])) == expected[0]
    assert await raw.read_exactly(len(expected[1])) == expected[1]
    assert room.counters.deliveries == 10


@pytest.mark.parametrize("is_deflated", [False, True])
async def test_messages_in_one_write_are_messages_each(room: Room, *, is_deflated: bool) -> None:
    client, session, _ = await room.websocket("room", is_deflated=is_deflated)
    writes = noted(session)
    texts = [b"message %d " % number * 20 for number in range(5)]
    assert room.edge.deliver_all([message_item("room", text) for text in texts]) == [1] * 5
    assert len(writes) == 1
    for text in texts:
        assert await heard(client) == (Opcode.TEXT, text)


async def test_the_first_of_several_answers_a_long_poll(room: Room) -> None:
    client, _ = await room.poll("room")
    assert room.edge.deliver_all([response_item("room", b"first"), response_item("room", b"second")]) == [1, 0]
    assert (await client.response()).body == b"first"


async def test_an_action_stands_where_it_was_published(room: Room) -> None:
    client, _ = await room.stream("room")
    items = [STREAM, STREAM, stream_item("room", action=Action.CLOSE), STREAM]
    assert room.edge.deliver_all(items) == [1, 1, 1, 0]
    assert (await client.read_until(b"0\r\n\r\n")) == encode_chunk(b"news\n") * 2 + b"0\r\n\r\n"


async def test_with_filters_each_item_is_asked_about(room: Room) -> None:
    client, _, _ = await room.websocket("room", filters=("skip-self",), meta={"user": "me"})
    mine = message_item("room", b"mine", meta={"sender": "me"})
    assert room.edge.deliver_all([MESSAGE, mine, MESSAGE]) == [1, 0, 1]
    assert [await heard(client) for _ in range(2)] == [(Opcode.TEXT, b"news")] * 2
    assert room.counters.deliveries_filtered == 1


async def test_nobody_there_is_nobody_for_each(room: Room) -> None:
    assert room.edge.deliver_all([STREAM, STREAM, stream_item("other", b"x")]) == [0, 0, 0]
    assert room.edge.deliver_all([]) == []


@pytest.mark.parametrize("seed", range(20))
async def test_all_at_once_is_as_one_by_one(room: Room, seed: int) -> None:
    items = random.Random(seed).choices(KINDS, k=30)
    async with Room() as second:
        seen = []
        for place in (room, second):
            chunked, _ = await place.stream("room", "other")
            raw, _ = await place.stream("room", chunked=False)
            poll, _ = await place.poll("room")
            plain, _, link = await place.websocket("room", "other")
            deflated, _, _ = await place.websocket("room", is_deflated=True)
            counts = place.edge.deliver_all(items) if place is room else [place.edge.deliver(item) for item in items]
            place.edge.deliver(stream_item("room", b"--end--"))
            place.edge.deliver(message_item("room", b"--end--"))
            ends = [await client.read_until(b"--end--") for client in (chunked, raw)]
            messages = [[await heard(client)] for client in (plain, deflated)]
            for client, got in zip((plain, deflated), messages, strict=True):
                while got[-1] != (Opcode.TEXT, b"--end--"):
                    got.append(await heard(client))
            seen.append((counts, ends, messages, tuple(link.told), place.counters.deliveries, poll.pending()))
    assert seen[0] == seen[1]
