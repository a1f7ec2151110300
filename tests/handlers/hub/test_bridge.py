"""Channels and topics as one: updates on channels, items on topics, each delivered to everybody once."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.mercure.target import target_topic
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import Channel, ItemId, Topic
from tests.handlers.hub.bridging import bridged, finished, is_idle
from tests.handlers.hub.hub_room import EVENT, HUB_PATH, HubRoom, RecordingTransport, exact, presence_of, update
from tests.handlers.room import message_item, response_item, stream_item


def listener(room: HubRoom, *topics: str, grants: tuple[str, ...] = ()) -> RecordingTransport:
    """Somebody who is subscribed to topics."""
    [(transport, _)] = room.crowd(1, *map(exact, topics), grants=map(exact, grants), chunked=False)
    return transport


def followed(room: HubRoom) -> list[Update]:
    """Note all updates of the hub from now on, behind the bridge."""
    found: list[Update] = []
    before = room.hub.follower

    def note(published: Update) -> None:
        found.append(published)
        if before is not None:
            before(published)

    room.hub.follower = note
    return found


# -- updates on channels --------------------------------------------------------------------------------------------


async def test_an_update_reaches_each_kind_of_hold_on_its_topics_channel_in_its_form(hub_room: HubRoom) -> None:
    streaming, _ = await hub_room.stream("a")
    old, _ = await hub_room.stream("a", chunked=False)
    polling, _ = await hub_room.poll("a")
    socket, _, _ = await hub_room.websocket("a")
    elsewhere, _ = await hub_room.stream("b")
    subscriber = listener(hub_room, "a")
    bridged(hub_room)
    hub_room.hub.publish(update("a", data="é\nx", kind="t"))
    event = "event: t\nid: 1\ndata: é\ndata: x\n\n".encode()
    assert await streaming.chunk() == event
    assert await old.read_exactly(len(event)) == event
    assert (await polling.response()).body == "é\nx".encode()
    assert await socket.heard() == "é\nx"
    assert subscriber.written == [event]
    assert elsewhere.pending() == streaming.pending() == b""
    assert hub_room.counters.publications == 0
    assert hub_room.counters.mercure_updates == 1


async def test_a_session_on_the_channels_of_several_topics_gets_an_update_once(hub_room: HubRoom) -> None:
    held = [await hub_room.stream(*channels) for channels in (("a", "b", "c"), ("c", "a"), ("b",))]
    socket, _, _ = await hub_room.websocket("a", "b")
    bridged(hub_room)
    hub_room.hub.publish(update("a", "b", "c"))
    hub_room.hub.publish(update("a", "c", event_id="2"))
    hub_room.hub.publish(update("b", event_id="end"))
    counts = []
    for client, _ in held[::2]:
        text = b""
        while b"id: end" not in text:
            text += await client.chunk()
        counts.append((text.count(b"id: 1\n"), text.count(b"id: 2\n")))
    assert counts == [(1, 1), (1, 0)]
    assert [await held[1][0].chunk(), await held[1][0].chunk()] == [EVENT, EVENT.replace(b"1", b"2")]
    assert [await socket.heard() for _ in range(3)] == ["x"] * 3
    assert hub_room.counters.deliveries == 4 + 3 + 3


@pytest.mark.parametrize("shows_private", [False, True])
async def test_private_updates_are_on_channels_only_where_the_operator_says_so(
    hub_room: HubRoom, shows_private: bool
) -> None:
    client, _ = await hub_room.stream("a")
    bridged(hub_room, shows_private=shows_private)
    hub_room.hub.publish(update("a", is_private=True))
    hub_room.hub.publish(update("a", event_id="2"))
    expected = [EVENT] * shows_private + [EVENT.replace(b"1", b"2")]
    assert [await client.chunk() for _ in expected] == expected


async def test_targets_of_2019_and_subscriptions_are_no_channels(hub_room: HubRoom) -> None:
    target, told = target_topic("me"), presence_of(exact("a"))
    client, _ = await hub_room.stream(target, *told.topics)
    bridged(hub_room, shows_private=True)
    hub_room.hub.publish(replace(update("b", is_private=True), topics=(Topic("b"), target)))
    hub_room.hub.publish(told)
    hub_room.edge.deliver(stream_item(target, b"end"))
    assert await client.chunk() == b"end"


# -- items on topics ------------------------------------------------------------------------------------------------


async def test_an_item_becomes_an_update_and_reaches_both_sides_once(hub_room: HubRoom) -> None:
    streaming, _ = await hub_room.stream("a")
    polling, _ = await hub_room.poll("a")
    subscriber = listener(hub_room, "a")
    bridge, updates = bridged(hub_room), followed(hub_room)
    item = Item(
        channel=Channel("a"),
        http_stream=HttpStreamFormat(content=b"hello\n"),
        http_response=HttpResponseFormat(body=b"for polls"),
    )
    done = bridge.publish([item])
    await finished(done)
    [found] = updates
    assert (found.topics, found.data, found.type, found.retry, found.private) == (("a",), "hello", "", 0, False)
    assert found.id.startswith("urn:uuid:")
    assert subscriber.written == [f"id: {found.id}\ndata: hello\n\n".encode()]
    assert (await polling.response()).body == b"for polls"
    hub_room.edge.deliver(stream_item("a", b"end"))
    assert [await streaming.chunk(), await streaming.chunk()] == [b"hello\n", b"end"]
    assert (hub_room.counters.publications, hub_room.counters.mercure_updates) == (1, 1)


async def test_events_within_an_item_are_an_update_each_with_their_types(hub_room: HubRoom) -> None:
    bridge, updates = bridged(hub_room), followed(hub_room)
    events = "event: t\nid: theirs\ndata: 1\nretry: 5", "event: mercure\ndata: 2\ndata: 3", "event: \x01\ndata: 4"
    content = "\n\n".join((": hi", *events, "")).encode()
    done = bridge.publish([stream_item("a", content)])
    await finished(done)
    assert [(each.type, each.data, each.retry) for each in updates] == [("t", "1", 5), ("", "2\n3", 0), ("", "4", 0)]
    assert "theirs" not in {each.id for each in updates}
    assert hub_room.counters.publications == 1


@pytest.mark.parametrize("makes_private", [False, True])
async def test_items_become_what_the_operator_says(hub_room: HubRoom, makes_private: bool) -> None:
    client, _ = await hub_room.stream("a")
    anybody, granted = listener(hub_room, "a"), listener(hub_room, "a", grants=("a",))
    bridge = bridged(hub_room, makes_private=makes_private)
    done = bridge.publish([stream_item("a", b"x")])
    await finished(done)
    assert await client.chunk() == b"x"
    assert (len(anybody.written), len(granted.written)) == (1 - makes_private, 1)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(response_item("a", b"x"), id="no stream format"),
        pytest.param(message_item("a", b"x"), id="a message"),
        pytest.param(stream_item("a", action=Action.CLOSE), id="close"),
        pytest.param(stream_item("a", action=Action.HINT), id="hint"),
        pytest.param(stream_item("a", b""), id="empty"),
        pytest.param(stream_item("a", b": beat\n\n"), id="only a comment"),
    ],
)
async def test_an_item_that_says_nothing_to_subscribers_is_published_at_once(hub_room: HubRoom, item: Item) -> None:
    bridge, updates = bridged(hub_room), followed(hub_room)
    assert bridge.publish([item]) is None
    assert bridge.publish([msgspec.structs.replace(item, id=ItemId("1"))]) is None
    assert not updates
    assert (hub_room.counters.publications, hub_room.counters.mercure_unbridged) == (2, 0)
    assert is_idle(bridge)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (stream_item("a", b"\xff"), "it is not text"),
        (stream_item("*", b"x"), "no topic can have this name"),
        (stream_item("", b"x"), "no topic can have this name"),
        (stream_item("a\nb", b"x"), "no topic can have this name"),
        (stream_item("a\u200b", b"x"), "no topic can have this name"),
        (stream_item("a\udc80", b"x"), "no topic can have this name"),
        (stream_item(target_topic("me"), b"x"), "no topic can have this name"),
        (stream_item(f"{HUB_PATH}/subscriptions/exact/a/b", b"x"), "no topic can have this name"),
        (stream_item(f"https://hub.example{HUB_PATH}", b"x"), "no topic can have this name"),
        (stream_item("a", b"x", filters=("var-subst",)), "it is for subscriptions with filters"),
    ],
    ids=ascii,
)
async def test_what_no_update_can_be_made_of_stays_an_item_and_is_counted(
    hub_room: HubRoom, item: Item, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    bridge, updates = bridged(hub_room), followed(hub_room)
    client, _ = await hub_room.stream(item.channel, filters=("var-subst",) if item.http_stream.content_filters else ())  # type: ignore[union-attr]
    with caplog.at_level("INFO", "holdfast.hub"):
        assert bridge.publish([item]) is None
    assert not updates
    assert await client.chunk() != b""
    assert (hub_room.counters.mercure_unbridged, hub_room.counters.publications) == (1, 1)
    assert caplog.messages == [f"channel={item.channel} item not made an update: {why}"]


async def test_an_item_with_an_id_that_was_seen_is_a_duplicate_on_both_sides(hub_room: HubRoom) -> None:
    client, _ = await hub_room.stream("a")
    bridge, updates = bridged(hub_room), followed(hub_room)
    item = msgspec.structs.replace(stream_item("a", b"x"), id=ItemId("1"))
    for _ in range(3):
        done = bridge.publish([item, item])
        if done is not None:
            await finished(done)
    done = bridge.publish([msgspec.structs.replace(item, id=ItemId("2"))])
    await finished(done)
    assert len(updates) == 2
    assert [await client.chunk(), await client.chunk()] == [b"x", b"x"]
    assert client.pending() == b""
    assert (hub_room.counters.publications, hub_room.counters.publications_duplicate) == (2, 5)
    hub_room.clock.advance(60)
    done = bridge.publish([item])
    await finished(done)
    assert len(updates) == 3


async def test_items_without_an_id_are_never_duplicates(hub_room: HubRoom) -> None:
    bridge, updates = bridged(hub_room), followed(hub_room)
    done = bridge.publish([stream_item("a", b"x")] * 3)
    await finished(done)
    assert len(updates) == len({each.id for each in updates}) == 3
    assert hub_room.counters.publications == 3


async def test_a_subscribers_websocket_and_a_held_one_get_their_own_forms(hub_room: HubRoom) -> None:
    subscriber, _ = await hub_room.socket(exact("a"))
    held, _, _ = await hub_room.websocket("a")
    bridge = bridged(hub_room)
    item = Item(
        channel=Channel("a"), http_stream=HttpStreamFormat(content=b"s"), ws_message=WsMessageFormat(content=b"w")
    )
    done = bridge.publish([item])
    await finished(done)
    assert await held.heard() == "w"
    assert json.loads(await subscriber.heard())["data"] == "s"
