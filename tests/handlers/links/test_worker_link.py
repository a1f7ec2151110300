"""A worker as the parent sees it: what it says of itself, what it asks, what it owes, and when it counts as stuck."""

from __future__ import annotations

import pytest

from handlers.links.outstanding import MESSAGE
from handlers.links.tally import Tally
from handlers.links.worker_link import PINGS, SECOND_LOOK, WorkerLink
from handlers.protocol.link import (
    Ack,
    Bye,
    CallRoll,
    Counts,
    Failed,
    Farewell,
    Find,
    Hello,
    Oldest,
    Ping,
    Ready,
    Refused,
    Reload,
    Reloaded,
    Request,
    Seen,
    encode_down,
)
from handlers.protocol.names import Channel, EventId
from handlers.protocol.observed import Subscribed
from tests.handlers.links.linking import Said, Site, ends
from tests.handlers.noting import NotingObserver
from tests.support.turns import settle, until

TIMEOUT = 10.0


class NotingDesk:
    def __init__(self) -> None:
        self.asked: list[Request] = []

    def serve(self, worker: WorkerLink, request: Request) -> None:
        self.asked.append(request)


async def test_what_it_says_of_itself_is_known() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent), Said(worker)
        link = site.worker
        assert (link.is_greeted, link.is_ready, link.failure) == (False, False, "")
        said.say(Hello())
        await until(lambda: link.is_greeted)
        said.say(Ready())
        await until(lambda: link.is_ready)
        link.has_reloaded = False
        said.say(Reloaded())
        await until(lambda: link.has_reloaded)
        said.say(Counts({"requests": 3}))
        await until(lambda: link.counts == {"requests": 3})
        assert site.changes == 3


async def test_its_last_words_are_answered_so_that_it_may_end() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent), Said(worker)
        said.say(Bye())
        assert await said.hears(1) == [Farewell()]
        said.say(Failed("no such file"))
        assert await said.hears(2) == [Farewell(), Farewell()]
        assert (site.worker.failure, site.changes) == ("no such file", 1)


async def test_what_it_observes_is_counted_where_somebody_wants_to_know() -> None:
    event = Subscribed("ws", Channel("c"), 1)
    with ends() as (parent, worker):
        noting = NotingObserver()
        Site(parent, tally=Tally(noting))
        Said(worker).say(Seen((event,)))
        await until(lambda: noting.told == [event])
    with ends() as (parent, worker):
        site, said = Site(parent), Said(worker)
        said.say(Seen((event,)))
        said.say(Hello())
        await until(lambda: site.worker.is_greeted)


async def test_requests_go_to_the_desk_in_their_order() -> None:
    with ends() as (parent, worker):
        desk = NotingDesk()
        Site(parent, desk=desk)
        said = Said(worker)
        requests: list[Request] = [Find(1, EventId("a")), Oldest(2), CallRoll(3)]
        for request in requests:
            said.say(request)
        await until(lambda: len(desk.asked) == 3)
        assert desk.asked == requests


async def test_what_it_is_sent_is_outstanding_until_it_says_so() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent), Said(worker)
        said.say(Hello())
        await until(lambda: site.worker.is_greeted)
        for _ in range(3):
            site.worker.send(Reload())
        assert await said.hears(3) == [Reload()] * 3
        assert site.worker.outstanding.bytes == 3 * (MESSAGE + len(encode_down(Reload())))
        said.say(Ack(2))
        await until(lambda: len(site.worker.outstanding) == 1)


async def test_more_acknowledged_than_sent_is_a_fault_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with ends() as (parent, worker):
        Site(parent)
        Said(worker).say(Ack(1))
        await until(lambda: "1 messages acknowledged, 0 sent" in caplog.text)


async def test_it_is_stuck_when_it_acknowledges_nothing_for_so_long() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent, timeout=TIMEOUT), Said(worker)
        said.say(Hello())
        await until(lambda: site.worker.is_greeted)
        site.worker.send(Reload())
        site.clock.advance(TIMEOUT / 2)
        site.worker.send(Reload())
        said.say(Ack(1))
        await until(lambda: len(site.worker.outstanding) == 1)
        site.clock.advance(TIMEOUT - 0.1)
        assert site.stuck == 0
        site.clock.advance(0.2)
        assert site.stuck == 1


async def test_there_is_no_timer_before_its_first_word_while_nothing_is_outstanding() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent, timeout=TIMEOUT), Said(worker)
        assert site.clock.next_due() is None
        site.worker.send(Reload())
        said.say(Ack(1))
        await until(lambda: not site.worker.outstanding)
        site.clock.advance(TIMEOUT)
        assert (site.clock.next_due(), site.stuck) == (None, 0)


async def test_a_parent_that_was_stopped_reads_what_came_before_it_calls_anybody_stuck() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent, timeout=TIMEOUT), Said(worker)
        said.say(Counts({"requests": 1}))  # no hello, so that nothing is sent but this
        await until(lambda: site.worker.counts)
        site.worker.send(Reload())
        await said.hears(1)
        site.clock.advance(TIMEOUT / 2)
        said.say(Ack(1))
        site.clock._now += 5 * TIMEOUT  # noqa: SLF001  # no timer was run meanwhile
        site.clock.advance(0)
        assert site.stuck == 0
        await until(lambda: not len(site.worker.outstanding))
        site.clock.advance(SECOND_LOOK)
        assert site.stuck == 0


async def test_after_such_a_stop_one_that_is_stuck_is_found_on_the_second_look() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent, timeout=TIMEOUT), Said(worker)
        said.say(Hello())
        await until(lambda: site.worker.is_greeted)
        site.worker.send(Reload())
        site.clock._now += 5 * TIMEOUT  # noqa: SLF001
        site.clock.advance(SECOND_LOOK / 2)
        assert site.stuck == 0
        site.clock.advance(SECOND_LOOK)
        assert site.stuck == 1


async def test_one_that_is_owed_nothing_is_sent_something_to_acknowledge() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent, timeout=TIMEOUT), Said(worker)
        said.say(Hello())
        await until(lambda: site.worker.is_greeted)
        site.worker.send(Reload())
        said.say(Ack(1))
        await until(lambda: not len(site.worker.outstanding))
        for handled in (2, 3, 4):
            site.clock.advance(TIMEOUT / PINGS)
            assert (await said.hears(handled))[-1] == Ping()
            said.say(Ack(handled))
            await until(lambda: not len(site.worker.outstanding))
        site.clock.advance(TIMEOUT / PINGS + TIMEOUT)
        assert site.stuck == 1


async def test_answers_do_not_hold_up_publishers() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent), Said(worker)
        said.say(Hello())
        await until(lambda: site.worker.is_greeted)
        site.worker.answer(Refused(1, "x" * 1000))
        assert await said.hears(1) == [Refused(1, "x" * 1000)]
        assert site.worker.outstanding.bytes == 0
        assert site.worker.outstanding.reply_bytes > 1000


@pytest.mark.parametrize("seconds", [0.0, TIMEOUT])
async def test_nobody_is_stuck_without_a_bound_or_once_closed(seconds: float) -> None:
    with ends() as (parent, _):
        site = Site(parent, timeout=seconds)
        site.worker.send(Reload())
        if seconds:
            site.worker.close()
        site.worker.send(Reload())
        site.clock.advance(1_000_000)
        await settle()
        assert (site.clock.next_due(), site.stuck) == (None, 0)
