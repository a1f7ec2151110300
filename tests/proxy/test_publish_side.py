"""The publishers' side by itself: what it is made of is tested in its parts, here that it serves, releases and ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from handlers.broker import PublishSink
from handlers.errors import Busy
from handlers.observer import Observers
from handlers.protocol.address import Address
from handlers.protocol.items import Item
from handlers.survey import LocalSurvey, Survey
from proxy.errors import RoutesFileError
from proxy.listening import SocketOptions, listen
from proxy.publish_side import PublishSide
from tests.handlers.room import Room
from tests.support.client import RawClient
from tests.support.publisher import Publisher, publish, stream_item
from tests.support.settings import settings_from


class Running:
    """A publishers' side that serves, as the publishing of tests wants to know of it."""

    def __init__(self, side: PublishSide) -> None:
        self.side = side

    @property
    def publish_address(self) -> tuple[str, int]:
        return self.side.address


def same(sink: PublishSink) -> PublishSink:
    """Put nothing in front."""
    return sink


def make(room: Room, *settings: str, admit: Callable[[PublishSink], PublishSink] = same) -> PublishSide:
    return PublishSide(
        settings_from(settings, routes=()),
        outlet=room.edge,
        clock=room.clock,
        wheel=room.wheel,
        counters=room.counters,
        hub=None,
        publishing=None,
        observers=Observers(),
        count=lambda: room.counters,
        surveyor=LocalSurvey(Survey(edge=room.edge, audience=None, counters=room.counters)),
        find_fault=lambda: "",
        admit=admit,
    )


@asynccontextmanager
async def serving(side: PublishSide) -> AsyncGenerator[Running]:
    await side.start(listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=10)))
    try:
        yield Running(side)
    finally:
        side.release()
        await side.stop()


@pytest.fixture
async def room() -> AsyncGenerator[Room]:
    async with Room() as room:
        yield room


async def test_what_is_published_goes_to_those_who_are_held(room: Room) -> None:
    client, _ = await room.stream("room")
    async with serving(make(room)) as app:
        await publish(app, stream_item("room", "news"))
    assert await client.read_exactly(9) == b"4\r\nnews\r\n"


async def test_who_is_held_is_known(room: Room) -> None:
    await room.stream("room")
    async with serving(make(room)) as app, await RawClient.connect(app.publish_address) as client:
        assert b'"room"' in (await client.fetch("/channels/")).body


async def test_recover_has_everybody_ask_and_forgets_what_came_last(room: Room) -> None:
    _, session = await room.poll("room")
    async with serving(make(room)) as app:
        await publish(app, stream_item("other", "1", id="1"), stream_item("other", "3", id="3", **{"prev-id": "2"}))
        assert room.counters.publications_early == 1
        async with await RawClient.connect(app.publish_address) as client:
            assert (await client.fetch("/recover", method="POST")).body == b"Updated\n"
        room.clock.advance(1)
        assert [retry[0] for retry in room.door.retried] == [session.transport]
        await publish(app, stream_item("other", "9", id="9", **{"prev-id": "8"}))
    assert room.counters.publications_early == 1


async def test_when_it_releases_what_waits_for_another_item_is_delivered(room: Room) -> None:
    client, _ = await room.stream("room")
    async with serving(make(room)) as app:
        await publish(app, stream_item("room", "1", id="1"), stream_item("room", "3", id="3", **{"prev-id": "2"}))
        app.side.release()
        assert await client.read_exactly(12) == b"1\r\n1\r\n1\r\n3\r\n"


class Full:
    """Lets nothing in."""

    def __init__(self, sink: PublishSink) -> None:
        self.sink = sink

    def publish(self, items: Sequence[Item]) -> None:
        raise Busy(7)


async def test_what_is_put_in_front_may_refuse(room: Room) -> None:
    async with serving(make(room, admit=Full)) as app, await Publisher.connect(app) as publisher:
        assert (await publisher.publish(stream_item("room", "news"))).status == 503
    assert room.counters.publications == 0


async def test_presence_notices_need_routes_that_can_be_read(room: Room) -> None:
    side = make(room, "presence.url=/there", "proxy.routes=/nowhere/routes.conf")
    with pytest.raises(RoutesFileError):
        async with serving(side):
            pass
    await side.stop()
