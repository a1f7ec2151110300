"""Who sits on which channel, and what a watcher is told of it."""

from __future__ import annotations

from dataclasses import replace

from handlers.protocol.carried_name import carry
from handlers.protocol.names import Channel
from handlers.protocol.observed import Interest, Subscribed
from handlers.protocol.subscribing import Subscription
from tests.handlers.noting import NotingObserver
from tests.handlers.room import Room, response_item

CHANNELS = Interest(channels=True)


def on(channel: str) -> Subscription:
    return Subscription(channel=Channel(channel))


async def watched(room: Room) -> NotingObserver:
    noting = NotingObserver()
    room.edge.watch(noting, CHANNELS)
    return noting


async def test_how_many_of_a_kind_are_on_a_channel_is_told_when_it_changes(room: Room) -> None:
    noting = await watched(room)
    _, chunked = await room.stream("a")
    _, raw = await room.stream("a", "b", chunked=False)
    _, socket, _ = await room.websocket("a")
    await room.poll("a")
    assert noting.take() == [
        Subscribed("stream", Channel("a"), 1),
        Subscribed("stream", Channel("a"), 2),
        Subscribed("stream", Channel("b"), 1),
        Subscribed("ws", Channel("a"), 1),
        Subscribed("response", Channel("a"), 1),
    ]
    raw.leave()
    raw.leave()
    socket.leave()
    room.edge.deliver(response_item("a", b"x"))
    chunked.leave()
    assert noting.take() == [
        Subscribed("stream", Channel("a"), 1),
        Subscribed("stream", Channel("b"), 0),
        Subscribed("ws", Channel("a"), 0),
        Subscribed("response", Channel("a"), 0),
        Subscribed("stream", Channel("a"), 0),
    ]


async def test_other_filters_on_a_channel_are_no_news(room: Room) -> None:
    noting = await watched(room)
    _, session = await room.stream("a")
    noting.take()
    room.edge.subscribe(session, replace(on("a"), filters=("skip-self",)))
    room.edge.resubscribe(session, (on("a"),))
    room.edge.unsubscribe(session, Channel("never"))
    assert noting.take() == []
    room.edge.resubscribe(session, (on("b"),))
    assert noting.take() == [Subscribed("stream", Channel("a"), 0), Subscribed("stream", Channel("b"), 1)]


async def test_publications_are_not_told_of(room: Room) -> None:
    noting = await watched(room)
    await room.poll("a")
    noting.take()
    room.edge.deliver(response_item("b", b"x"))
    assert noting.take() == []


async def test_channels_whose_names_are_no_text_stay_apart(room: Room) -> None:
    noting = await watched(room)
    await room.stream("a\udcff", "a\udcfe")
    told = noting.take()
    assert told == [Subscribed("stream", Channel(carry(name)), 1) for name in ("a\udcff", "a\udcfe")]
    assert len(set(told)) == 2


async def test_without_a_watcher_nothing_is_told(room: Room) -> None:
    noting = NotingObserver()
    room.edge.watch(noting, Interest())
    _, session = await room.stream("a")
    session.leave()
    assert noting.take() == []
