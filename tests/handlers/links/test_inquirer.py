"""What all workers say, over real links."""

from __future__ import annotations

import logging

import pytest

from handlers.links.inquirer import ANSWER_SECONDS, Inquirer
from handlers.protocol.link import Ask, Hello, Told
from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    CountChannel,
    FindConnections,
    Findings,
    ListChannels,
    ListConnections,
)
from tests.handlers.links.crew import Crew, crew_of
from tests.handlers.links.linking import Said, Site, ends
from tests.handlers.room import stream_item
from tests.support.turns import settle, until


def inquirer_of(crew: Crew) -> Inquirer:
    return Inquirer(crew.fan, clock=crew.clock, counters=crew.counters)


async def test_what_all_workers_hold_is_one_answer() -> None:
    async with crew_of(2) as crew:
        one, other = crew.workers
        await one.room.stream("news", "a")
        await other.room.poll("news")
        await other.room.websocket("b")
        inquirer = inquirer_of(crew)
        found = await inquirer.ask(ListChannels())
        assert found.channels == (
            ChannelRow("a", stream=1),
            ChannelRow("b", ws=1),
            ChannelRow("news", stream=1, response=1),
        )
        assert (await inquirer.ask(CountChannel("news"))).channels == (ChannelRow("news", stream=1, response=1),)
        everybody = (await inquirer.ask(ListConnections())).connections
        # Their clocks stand still, so that all came at one moment, but for those of one worker.
        assert [row.hold_id.worker for row in everybody] == [1, 2, 2]
        assert len((await inquirer.ask(ListConnections(limit=2))).connections) == 2
        assert (await inquirer.ask(ListConnections(after=everybody[1].hold_id))).connections == everybody[2:]


async def test_the_worker_that_has_it_ends_a_connection() -> None:
    async with crew_of(2) as crew:
        client, _ = await crew.workers[1].room.stream("a")
        inquirer = inquirer_of(crew)
        [row] = (await inquirer.ask(ListConnections())).connections
        assert (await inquirer.ask(CloseConnection(row.id))).connections == (row,)
        assert await client.until_closed() == b"0\r\n\r\n"
        assert await inquirer.ask(CloseConnection(row.id)) == Findings()


async def test_a_question_is_answered_behind_what_was_published_before() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        client, _ = await member.room.stream("a")
        crew.fan.deliver_all([stream_item("a", b"x")])
        answer = inquirer_of(crew).ask(ListConnections())
        await answer
        assert member.room.counters.deliveries == 1
        assert await client.chunk() == b"x"


async def test_where_there_is_no_worker_nobody_is_held() -> None:
    async with crew_of(0) as crew:
        assert inquirer_of(crew).ask(ListConnections()).result() == Findings()


async def test_a_worker_that_ends_holds_nothing() -> None:
    async with crew_of(2) as crew:
        one, other = crew.workers
        await one.room.stream("a")
        await other.room.stream("a")
        answer = inquirer_of(crew).ask(CountChannel("a"))
        crew.fan.leave(other.link)
        other.link.close()
        assert (await answer).channels == (ChannelRow("a", stream=1),)
        assert crew.counters.questions_unanswered == 0


async def test_a_worker_that_does_not_answer_in_time_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "holdfast")
    async with crew_of(1) as crew:
        await crew.workers[0].room.stream("a")
        with ends() as (parent, worker):
            silent, said = Site(parent).worker, Said(worker)
            said.say(Hello())
            await until(lambda: silent.is_greeted)
            silent.number = 7
            crew.fan.workers.append(silent)
            answer = inquirer_of(crew).ask(CountChannel("a"))
            await said.hears(1)
            await crew.settle()
            crew.clock.advance(ANSWER_SECONDS - 0.1)
            await settle()
            assert not answer.done()
            crew.clock.advance(0.1)
            assert await answer == Findings(channels=(ChannelRow("a", stream=1),), missing=(7,))
            assert crew.counters.questions_unanswered == 1
            assert "worker 7 has not said in 5 seconds who is there" in caplog.text
            # What comes later is for nobody, and no fault.
            said.say(Told(1, Findings(channels=(ChannelRow("a", ws=1),))))
            later = inquirer_of(crew).ask(FindConnections(("x",)))
            said.say(Told(2, Findings()))
            assert await later == Findings()
            crew.fan.leave(silent)
            silent.close()


async def test_nothing_is_left_of_a_question_that_is_answered() -> None:
    async with crew_of(1) as crew:
        await inquirer_of(crew).ask(ListChannels())
        crew.clock.advance(ANSWER_SECONDS * 2)
        await crew.settle()
        assert crew.counters.questions_unanswered == 0


async def test_publishers_are_not_held_off_for_questions() -> None:
    with ends() as (parent, worker):
        site, said = Site(parent), Said(worker)
        said.say(Hello())
        await until(lambda: site.worker.is_greeted)
        answers: list[Findings] = []
        site.worker.ask(ListChannels(), answers.append)
        assert (site.worker.outstanding.bytes, len(site.worker.outstanding)) == (0, 1)
        assert await said.hears(1) == [Ask(1, ListChannels())]
        said.say(Told(1, Findings(channels=(ChannelRow("a"),))))
        await until(lambda: answers)
        assert answers == [Findings(channels=(ChannelRow("a"),))]
        site.worker.ask(ListChannels(), answers.append)
        site.worker.close()
        assert answers[1:] == [Findings()]
