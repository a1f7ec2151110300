"""A connection is passed to the worker that has its session. Two workers' servers stand in one process here."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest

from handlers.edge import Edge
from handlers.session import Site
from handlers.settings import HoldSettings
from handlers.sockjs.session import Key
from handlers.timers import TimerWheel
from proxy.errands import Errands
from proxy.exchange import Exchange
from proxy.sockjs.passing import Passed, Passing, as_last, owner_of
from tests.proxy.client_door import Door, listening
from tests.support.client import encode_request
from tests.support.turns import settle, until


def key(number: int) -> Key:
    return b"example.com/s", b"%d" % number


THERE = next(key(number) for number in range(100) if owner_of(key(number), 2) == 2)


def test_every_worker_has_its_share() -> None:
    shares = Counter(owner_of(key(number), 4) for number in range(4_000))
    assert sorted(shares) == [1, 2, 3, 4]
    assert min(shares.values()) > 800


def test_a_site_and_a_session_are_two_things() -> None:
    names = {owner_of(pair, 250) for pair in ((b"ab", b"c"), (b"a", b"bc"), (b"", b"abc"))}
    assert len(names) > 1


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncGenerator[tuple[Door, Door, Passing, Passing]]:
    async with listening() as here, listening() as there:
        errands = Errands()
        first, second = (Passing(folder=tmp_path, number=number, workers=2, errands=errands) for number in (1, 2))
        second.listen(partial(there.clients.take_back, is_behind=False))
        yield here, there, first, second
        second.close()
        await errands.all_done()


def site_of(door: Door) -> Site:
    wheel = TimerWheel(door.clock)
    settings = HoldSettings()
    edge = Edge(clock=door.clock, wheel=wheel, counters=door.counters, settings=settings)
    return Site(
        index=edge, door=door.clients, clock=door.clock, wheel=wheel, counters=door.counters, settings=settings,
        random=lambda: 0.0,
    )  # fmt: skip


async def test_the_other_worker_answers_and_keeps_the_connection(doors: tuple[Door, Door, Passing, Passing]) -> None:
    here, there, first, _ = doors
    site = site_of(here)

    async def pass_on(exchange: Exchange) -> None:
        body = b"".join([piece async for piece in exchange.body.chunks()])
        assert await first.pass_on(exchange, site, THERE, body, "/x") is Passed.TAKEN

    here.serve = pass_on
    async with await here.connect() as client:
        request = encode_request("/one", method="POST", body=b"x" * 150_000)
        await client.send(request + encode_request("/two"))
        assert (await client.response()).body == b"/one " + b"x" * 150_000 + b"\n"
        assert (await client.response()).body == b"/two \n"
        assert (await client.fetch("/three")).body == b"/three \n"
        await until(lambda: not here.clients.open_transports)
        assert here.counters.sockjs_passed == 1
        assert [exchange.head.target for exchange in here.served] == [b"/one"]
        (exchange, *_) = there.served
        assert exchange.peer == "127.0.0.1"
    await until(lambda: not there.clients.open_transports)


async def test_a_worker_that_is_not_there_takes_nothing(doors: tuple[Door, Door, Passing, Passing]) -> None:
    here, _, first, second = doors
    second.close()
    site = site_of(here)

    async def pass_on(exchange: Exchange) -> None:
        assert await first.pass_on(exchange, site, THERE, b"", "/x") is Passed.REFUSED
        exchange.answer_text(503, "elsewhere")

    here.serve = pass_on
    async with await here.connect() as client:
        assert (await client.fetch("/one")).status == 503
    assert (here.counters.sockjs_passed, here.counters.sockjs_unpassed) == (0, 1)


async def test_a_worker_that_takes_no_more_takes_nothing(
    doors: tuple[Door, Door, Passing, Passing], tmp_path: Path
) -> None:
    """The loops' own connect says that a full backlog has taken it."""
    here, _, first, second = doors
    second.close()
    (tmp_path / "sockjs-2").unlink()
    site = site_of(here)

    async def pass_on(exchange: Exchange) -> None:
        assert await first.pass_on(exchange, site, THERE, b"", "/x") is Passed.REFUSED
        exchange.answer_text(503, "elsewhere")

    here.serve = pass_on
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as other:
        full.bind(str(tmp_path / "sockjs-2"))
        full.listen(0)
        other.connect(str(tmp_path / "sockjs-2"))
        async with await here.connect() as client:
            assert (await client.fetch("/one")).status == 503


async def test_a_worker_takes_the_place_of_one_that_has_died(
    doors: tuple[Door, Door, Passing, Passing], tmp_path: Path
) -> None:
    again = Passing(folder=tmp_path, number=2, workers=2, errands=Errands())
    again.listen(lambda transport, data: None)
    again.close()


async def test_one_that_dies_on_the_way_costs_nothing(
    doors: tuple[Door, Door, Passing, Passing], tmp_path: Path
) -> None:
    _, there, *_ = doors
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(str(tmp_path / "sockjs-2"))
    await settle()
    await asyncio.sleep(0)
    assert there.served == []


def test_a_request_that_is_relayed_is_the_last_on_its_connection() -> None:
    request = encode_request("/one", method="POST", body=b"x")
    assert as_last(request) == request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


@pytest.mark.parametrize("reads", [True, False])
async def test_one_that_takes_a_connection_and_ends_has_not_taken_it(
    doors: tuple[Door, Door, Passing, Passing], tmp_path: Path, reads: bool
) -> None:
    here, _, first, second = doors
    second.close()
    (tmp_path / "sockjs-2").unlink()
    site = site_of(here)
    passed: list[Passed] = []

    async def pass_on(exchange: Exchange) -> None:
        passed.append(await first.pass_on(exchange, site, THERE, b"", "/x"))

    here.serve = pass_on
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "sockjs-2"))
        other.listen(8)
        other.setblocking(False)
        async with await here.connect() as client:
            await client.send_request("/one")
            way, _ = await asyncio.get_running_loop().sock_accept(other)
            with way:
                if reads:
                    await until(lambda: not here.clients.open_transports)
                    _, descriptors, _, _ = socket.recv_fds(way, 1, 2)
                    for descriptor in descriptors:
                        os.close(descriptor)
            await client.until_cut()
    await until(lambda: passed == [Passed.CUT])
    assert not here.served[0].is_handed_over, "or the log would say that it was accepted"
    assert (here.counters.sockjs_passed, here.counters.sockjs_unpassed) == (0, 1)


async def test_one_that_has_no_room_for_it_has_not_taken_it(doors: tuple[Door, Door, Passing, Passing]) -> None:
    here, there, first, _ = doors
    site = site_of(here)
    passed: list[Passed] = []

    async def pass_on(exchange: Exchange) -> None:
        passed.append(await first.pass_on(exchange, site, THERE, b"", "/x"))

    here.serve = pass_on
    there.clients.connection_limit = 1
    async with await there.connect() as only, await here.connect() as client:
        await only.fetch("/there")
        await client.send_request("/one")
        await client.until_cut()
        await until(lambda: passed == [Passed.CUT])
    assert there.counters.connections_refused == 1
