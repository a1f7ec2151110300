from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from handlers.counters import Counters
from handlers.timers import LoopClock
from publish_api.authorization import Authorization
from publish_api.body import INCOMPLETE
from publish_api.exchange import Exchange
from publish_api.plan import Plan, Planner
from publish_api.protocol.answer import PublishAnswer
from publish_api.request import Request
from publish_api.settings import PublishSettings
from publish_api.site import PublishSite
from publish_api.turn import Turn
from tests.support.publish_port import ListSink, request
from tests.support.turns import until


class Hub:
    """Answers with the body. Raises what it is given, and waits as long as it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    def takes(self, path: str) -> bool:
        return path == "/hub"

    async def answer(self, request: Request) -> PublishAnswer:
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        return PublishAnswer(status=200, body=await request.read())


class Connection:
    """Leaves when it is told to stop, unless it is `busy`; then when it is aborted."""

    def __init__(self, site: PublishSite, *, busy: bool = False, told: bool = False) -> None:
        self._site = site
        self._told = told
        self._busy = busy
        self.aborted = False
        site.connections.add(self)

    def stop(self) -> None:
        if not self._busy:
            asyncio.get_running_loop().call_soon(self._site.leave, self)

    def abort(self) -> None:
        self.aborted = True
        self._site.leave(self)

    def go_on(self) -> None:
        assert self._told, "told without need"


def site_with(hub: Hub | None = None) -> PublishSite:
    settings = PublishSettings()
    return PublishSite(
        settings=settings,
        planner=Planner(settings, has_metrics=False, is_hub=lambda path: path == "/hub"),
        authorization=Authorization(settings),
        turn=Turn(ListSink(), joins=True),
        counters=Counters(),
        clock=LoopClock(asyncio.get_running_loop()),
        metrics=None,
        hub=hub,
    )


def asked(site: PublishSite) -> tuple[Exchange, asyncio.Event]:
    """Ask the hub; return the exchange, and what is set when it is answered."""
    plan: Plan = site.planner.plan(request(b"", path="/hub"))
    exchange, answered = Exchange(Connection(site), plan), asyncio.Event()
    site.ask_the_hub(exchange, Request(plan.head, b"body", lambda: None), answered.set)
    return exchange, answered


async def test_the_hub_answers_in_a_task_that_is_remembered_while_it_runs() -> None:
    site = site_with(Hub())
    exchange, answered = asked(site)
    assert len(site.tasks) == 1
    await answered.wait()
    assert exchange.answer == PublishAnswer(status=200, body=b"body")
    await until(lambda: not site.tasks)


@pytest.mark.parametrize(("error", "status"), [(INCOMPLETE, 400), (RuntimeError("lost"), 500)])
async def test_what_it_raises_is_the_answer(error: Exception, status: int) -> None:
    hub = Hub()
    hub.error = error
    exchange, answered = asked(site_with(hub))
    await answered.wait()
    assert exchange.answer is not None
    assert exchange.answer.status == status


async def test_what_a_body_says_is_published_at_the_end_of_the_turn_and_what_is_none_is_refused_now() -> None:
    site = site_with()
    connection = Connection(site, told=True)
    good, bad = (Exchange(connection, site.planner.plan(request(b""))) for _ in range(2))
    site.publish(good, b'{"channel":"c","http-stream":{"content":"x"}}')
    site.publish(bad, b"x")
    assert good.answer is None
    assert bad.answer is not None
    assert bad.answer.status == 400
    await until(lambda: good.answer)
    assert good.answer == good.plan.answer


@pytest.mark.parametrize(("fault", "status", "body"), [("", 200, b"ok\n"), ("asleep", 503, b"asleep\n")])
async def test_a_probe_is_told_whether_clients_are_served(fault: str, status: int, body: bytes) -> None:
    site = replace(site_with(), find_fault=lambda: fault)
    exchange = Exchange(Connection(site), site.planner.plan(request(None, method="GET", path="/readyz")))
    site.obey(exchange)
    assert exchange.answer == PublishAnswer(status=status, body=body)


async def test_the_end_waits_for_those_that_are_being_served() -> None:
    site = site_with()
    idle = [Connection(site) for _ in range(3)]
    await site.end(60)
    assert not site.connections
    assert not any(each.aborted for each in idle)


async def test_who_is_not_done_in_time_is_cut() -> None:
    hub = Hub()
    hub.goes_on.clear()
    site = site_with(hub)
    idle, busy = Connection(site), Connection(site, busy=True)
    exchange, _ = asked(site)
    await site.end(0.01)
    assert (idle.aborted, busy.aborted) == (False, True)
    assert exchange.answer is None
    await until(lambda: not site.tasks)
