"""What is published reaches all workers, and nothing is taken when one of them is too far behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from handlers.broker import Broker
from handlers.counters import Counters
from handlers.errors import Busy
from handlers.links.fan import ANSWER_SECONDS, RETRY_AFTER, Fan
from handlers.protocol.link import Ack, Committed, Hello, Items, Ping, Ready, Recover, Welcome, stored_rows
from handlers.protocol.mercure.update import StoredUpdate
from handlers.protocol.names import EventId
from handlers.protocol.rate import QUIET_SECONDS
from handlers.settings import HoldSettings
from handlers.timers import TimerWheel
from tests.handlers.engines.updates import update
from tests.handlers.links.linking import Said, Site, ends
from tests.handlers.room import stream_item
from tests.support.turns import until

WELCOME = Welcome(0, EventId("earliest"))
ITEM = stream_item("room", b"x" * 100)


class Two:
    """A fan with two workers, which say nothing."""

    def __init__(self, sites: tuple[Site, Site], workers: tuple[Said, Said], *, backlog: int) -> None:
        self.counters = Counters()
        self.clock = sites[0].clock
        self.fan = Fan(clock=self.clock, counters=self.counters, backlog=backlog)
        self.workers = workers
        self.links = tuple(site.worker for site in sites)

    async def join(self) -> None:
        """Have both join, as they do when they have said hello."""
        for worker, link in zip(self.workers, self.links, strict=True):
            worker.say(Hello())
            await until(lambda link=link: link.is_greeted)  # type: ignore[misc]
            self.fan.join(link, WELCOME)


@asynccontextmanager
async def two(*, backlog: int = 1_000_000) -> AsyncIterator[Two]:
    with ends() as (one, one_worker), ends() as (other, other_worker):
        made = Two((Site(one), Site(other)), (Said(one_worker), Said(other_worker)), backlog=backlog)
        await made.join()
        yield made


async def test_everything_goes_to_all_from_the_welcome_on() -> None:
    async with two() as both:
        batch = (StoredUpdate(seq=1, update=update(1)),)
        assert both.fan.deliver_all([ITEM, ITEM]) == [2, 2]
        assert both.fan.deliver_all([]) == []
        assert both.fan.deliver_once([ITEM]) == 2
        assert both.fan.relay(batch) == 2
        both.fan.recover()
        for worker in both.workers:
            assert await worker.hears(5) == [
                WELCOME,
                Items((ITEM, ITEM)),
                Items((ITEM,), once=True),
                Committed(stored_rows(batch)),
                Recover(),
            ]


async def test_it_is_answered_while_some_worker_that_serves_owes_nothing_for_long() -> None:
    async with two() as both:
        assert not both.fan.is_answered()  # they do not serve yet
        for worker, link in zip(both.workers, both.links, strict=True):
            worker.say(Ack(1))
            worker.say(Ready())
            await until(lambda link=link: link.is_ready)  # type: ignore[misc]
            assert both.fan.is_answered()
            assert await worker.hears(2) == [WELCOME, Ping()]
        both.clock.advance(ANSWER_SECONDS - 0.1)
        assert both.fan.is_answered()
        both.clock.advance(0.1)
        assert not both.fan.is_answered()
        one, link = both.workers[0], both.links[0]
        one.say(Ack(2))
        await until(lambda: link.outstanding.since is None)
        assert both.fan.is_answered()
        both.fan.leave(link)
        assert not both.fan.is_answered()


async def test_one_that_has_left_is_sent_nothing() -> None:
    async with two() as both:
        both.fan.leave(both.links[0])
        both.fan.leave(both.links[0])
        assert both.fan.deliver_all([ITEM]) == [1]
        assert await both.workers[1].hears(2) == [WELCOME, Items((ITEM,))]
        both.fan.leave(both.links[1])
        assert both.fan.deliver_all([ITEM]) == [0]
        both.fan.check_room(1)
        assert both.workers[0].heard == [WELCOME]


async def test_the_broker_says_to_how_many_workers_an_item_went(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "holdfast.broker")
    async with two() as both:
        broker = Broker(
            edge=both.fan,
            clock=both.clock,
            wheel=TimerWheel(both.clock),
            counters=both.counters,
            settings=HoldSettings(),
        )
        broker.publish([ITEM])
        assert caplog.messages == ["publish channel=room workers=2"]


async def test_nothing_more_is_taken_while_one_of_them_is_too_far_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with two(backlog=1_000) as both:
        taken = 0
        while both.fan.has_room:
            both.fan.check_room(1)
            both.fan.deliver_all([ITEM])
            taken += 1
        assert 1 < taken < 10
        for _ in range(2):
            with pytest.raises(Busy, match=f"tried again in {RETRY_AFTER} seconds"):
                both.fan.check_room(3)
        assert both.counters.publications_over_backlog == 6
        [line] = caplog.messages
        behind = both.links[0].outstanding.bytes
        assert line == f"worker 1 is {behind} bytes behind: publications are refused (said every 10 seconds)"
        both.workers[0].say(Ack(taken + 1))
        await until(lambda: not both.links[0].outstanding)
        assert not both.fan.has_room, "the other is behind as before"
        both.workers[1].say(Ack(2))
        await until(lambda: both.fan.has_room)
        both.fan.check_room(1)


async def test_that_it_refuses_is_said_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async with two(backlog=0) as both:
        for seconds in (0.0, QUIET_SECONDS / 2, QUIET_SECONDS):
            both.clock.advance(seconds)
            with pytest.raises(Busy):
                both.fan.check_room(1)
        assert caplog.text.count("publications are refused") == 2
