"""Who asks for room, and when: once for a publication, before anything of it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from handlers.counters import Counters
from handlers.errors import Busy
from handlers.links.admission import Admission
from handlers.links.fan import Fan
from handlers.protocol.items import Item
from handlers.protocol.link import Reload
from tests.handlers.links.linking import Site, ends
from tests.handlers.room import stream_item


class NotingSink:
    def __init__(self) -> None:
        self.taken: list[Item] = []
        self.waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def publish(self, items: Sequence[Item]) -> asyncio.Future[None] | None:
        self.taken += items
        return self.waiting


async def test_with_room_everything_is_handed_on() -> None:
    with ends() as (parent, _):
        site, sink = Site(parent), NotingSink()
        admission = Admission(sink, Fan(clock=site.clock, counters=Counters(), backlog=1_000))
        assert admission.publish([stream_item("a", b"x")]) is sink.waiting
        assert sink.taken == [stream_item("a", b"x")]


async def test_without_room_nothing_is() -> None:
    with ends() as (parent, _):
        site, sink, counters = Site(parent), NotingSink(), Counters()
        fan = Fan(clock=site.clock, counters=counters, backlog=0)
        fan.join(site.worker, Reload())
        admission = Admission(sink, fan)
        with pytest.raises(Busy):
            admission.publish([stream_item("a", b"x"), stream_item("b", b"y")])
        assert (sink.taken, counters.publications_over_backlog) == ([], 2)
