"""A closed connection whose client does not read goes all the same, and one whose client reads on loses nothing."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from handlers.counters import Counters
from handlers.timers import TimerWheel
from proxy.closing import SYSTEM_SECONDS, Closings
from tests.support.client import RawClient
from tests.support.clock import ManualClock
from tests.support.turns import settle, until

DATA = bytes(range(256)) * 8_192
"""2 MB: more than the kernel takes for a client on a Unix socket."""


class Served(asyncio.Protocol):
    """A client's connection, which tells of its end as `proxy.client_server` does."""

    is_lost = False

    def __init__(self, closings: Closings) -> None:
        self._closings = closings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._closings.gone(self.transport)


class Site:
    """What closes, and one connection to close."""

    def __init__(self, seconds: float) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.closings = Closings(
            clock=self.clock, wheel=TimerWheel(self.clock), counters=self.counters, seconds=seconds
        )
        self.served = Served(self.closings)

    async def connect(self) -> RawClient:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self.served, sock=ours)
        return RawClient(theirs)

    def close_behind(self, data: bytes) -> None:
        self.served.transport.write(data)
        self.closings.close(self.served.transport)

    def has_ended(self) -> bool:
        return self.served.is_lost

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await settle()


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    site = Site(60)
    yield site
    if not site.has_ended():
        site.served.transport.abort()
        await settle()


@pytest.mark.parametrize(("seconds", "bound"), [(60.0, 60.0), (0.5, 0.5), (0.0, SYSTEM_SECONDS)])
async def test_a_client_that_takes_nothing_is_cut_counted_and_logged(
    seconds: float, bound: float, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(seconds)
    async with await site.connect():
        site.close_behind(DATA)
        await settle()
        await site.pass_time(bound - 0.125)
        assert not site.has_ended()
        await site.pass_time(0.25)
        assert site.has_ended()
        assert site.counters.closings_cut == 1
        assert caplog.messages == [f"a closed connection was cut: its client took nothing for {bound:g} seconds"]
        await site.pass_time(10_000)
        assert site.counters.closings_cut == 1


async def test_a_client_that_takes_little_gets_all_of_it(site: Site) -> None:
    async with await site.connect() as client:
        site.close_behind(DATA)
        await settle()
        got = bytearray()
        for _ in range(20):
            await site.pass_time(50)
            got += await client.read_exactly(70_000)
            await settle()
        assert not site.has_ended()
        got += await client.until_closed()
        assert bytes(got) == DATA
        assert site.counters.closings_cut == 0


async def test_one_who_has_taken_all_is_forgotten(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with await site.connect() as client:
        site.close_behind(b"the end")
        assert await client.until_closed() == b"the end"
        await until(site.has_ended)
        assert not site.closings._waiting  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        await site.pass_time(1_000)
        assert (site.counters.closings_cut, caplog.messages) == (0, [])


async def test_closing_again_changes_nothing(site: Site) -> None:
    async with await site.connect():
        site.close_behind(DATA)
        await settle()
        await site.pass_time(59)
        site.closings.close(site.served.transport)
        await site.pass_time(1.125)
        assert site.has_ended()
        assert site.counters.closings_cut == 1


async def test_one_that_has_ended_in_this_turn_is_left_alone(site: Site) -> None:
    """Its loop still tells of bytes that wait."""
    async with await site.connect():
        site.served.transport.write(DATA)
        assert site.served.transport.get_extra_info("socket") is not None  # uvloop keeps what was asked for
        await settle()
        site.served.transport.abort()
        failures: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        loop.call_soon(site.closings.close, site.served.transport)
        await until(site.has_ended)
        assert failures == []
        assert not site.closings._waiting  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
