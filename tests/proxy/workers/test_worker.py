"""A worker process by itself: what it says to a parent that the test plays, and when it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq

from handlers.links.link import open_parents_end
from handlers.protocol.address import Address
from handlers.protocol.link import (
    Bye,
    Counts,
    Down,
    Drain,
    Failed,
    Farewell,
    Hello,
    Ready,
    Reload,
    Reloaded,
    Up,
    Welcome,
    encode_down,
    parse_up,
)
from handlers.protocol.names import EventId
from proxy.listening import Bound, bound_to, reserve
from proxy.workers.child import COMMAND
from proxy.workers.start import WorkerStart, encode_start
from proxy.workers.worker import ORPHANED
from tests.support.app_process import ROOT
from tests.support.client import RawClient
from tests.support.patience import bounded
from tests.support.settings import settings_from
from tests.support.turns import until

WELCOME = Welcome(0, EventId("earliest"))


class PlayedParent:
    """The parent of one worker process."""

    def __init__(self, folder: Path, *settings: str, routes: tuple[str, ...] = ("* test",)) -> None:
        self.heard: list[Up] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._path = folder / "links" / "1-1"
        self._path.parent.mkdir()
        self._link = open_parents_end(self._context, self._path)
        self._link.begin(lambda data: self.heard.append(parse_up(data)), lambda: None)
        [self._reserved] = reserve(Address(host="127.0.0.1", port=0))
        self.bound = bound_to(self._reserved)
        self._settings = settings_from(["proxy.drain_timeout=0", *settings], routes=routes)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def start(self, bound: Bound | None = None) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
        )
        assert self._process.stdin is not None
        start = WorkerStart(number=1, settings=self._settings, link=str(self._path), addresses=(bound or self.bound,))
        self._process.stdin.write(encode_start(start))

    def say(self, message: Down) -> None:
        self._link.send(encode_down(message))

    async def hears(self, message: Up) -> None:
        await until(lambda: message in self.heard)

    async def serves(self) -> None:
        """Bring the worker to where it serves."""
        await self.start()
        await self.hears(Hello())
        self.say(WELCOME)
        await self.hears(Ready())

    async def ended(self) -> int:
        """Wait for the end of the process; return its status, having checked that it had nothing to complain of."""
        assert self.process.stderr is not None
        async with bounded():
            log = await self.process.stderr.read()
            status = await self.process.wait()
        assert b"Traceback" not in log, log.decode()
        return status

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self.ended()
        self._link.close()
        self._reserved.close()
        self._context.term()


@asynccontextmanager
async def parent_of(folder: Path, *settings: str, routes: tuple[str, ...] = ("* test",)) -> AsyncIterator[PlayedParent]:
    parent = PlayedParent(folder, *settings, routes=routes)
    try:
        yield parent
    finally:
        await parent.close()


async def test_it_serves_once_it_is_welcome_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    async with parent_of(tmp_path) as parent:
        await parent.start()
        await parent.hears(Hello())
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect((parent.bound.host, parent.bound.port))
        parent.say(WELCOME)
        await parent.hears(Ready())
        async with await RawClient.connect((parent.bound.host, parent.bound.port)) as client:
            assert (await client.fetch("/")).status == 200
            parent.say(Drain())
            assert await client.until_closed() == b""
        await parent.hears(Bye())
        counted = [message.values for message in parent.heard if isinstance(message, Counts)]
        assert (counted[0]["requests"], counted[-1]["requests"]) == (0, 1)
        parent.say(Farewell())
        assert await parent.ended() == 0


async def test_sigterm_ends_it_in_good_order_and_the_terminals_signals_do_not(tmp_path: Path) -> None:
    async with parent_of(tmp_path) as parent:
        await parent.serves()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            parent.process.send_signal(number)
        await parent.hears(Bye())
        parent.say(Farewell())
        assert await parent.ended() == 0


async def test_it_loads_its_routes_again_when_it_is_told_to(tmp_path: Path) -> None:
    routes = tmp_path / "routes.conf"
    routes.write_text("here.test test\n")
    async with parent_of(tmp_path, f"proxy.routes={routes}", "proxy.reload_interval=0", routes=()) as parent:
        await parent.serves()
        routes.write_text("there.test test\n")
        parent.say(Reload())
        await parent.hears(Reloaded())
        async with await RawClient.connect((parent.bound.host, parent.bound.port)) as client:
            assert (await client.fetch("/", host="there.test")).status == 200


async def test_it_ends_at_once_when_its_parent_has_and_tidies_up_behind_it(tmp_path: Path) -> None:
    async with parent_of(tmp_path) as parent:
        await parent.serves()
        async with await RawClient.connect((parent.bound.host, parent.bound.port)) as client:
            assert (await client.fetch("/")).status == 200
            assert parent.process.stdin is not None
            parent.process.stdin.close()
            assert await client.until_cut() == b""
        assert await parent.ended() == ORPHANED
        assert not (tmp_path / "links").exists()


async def test_without_a_start_it_ends() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy.workers.worker", stdin=asyncio.subprocess.DEVNULL, cwd=ROOT
    )
    async with bounded():
        assert await process.wait() == ORPHANED


@pytest.mark.parametrize(
    ("settings", "routes", "text"),
    [
        pytest.param(("proxy.sig_key=base64:***",), ("* test",), "proxy.sig_key", id="key"),
        pytest.param(("proxy.routes=/nonexistent/routes.conf",), (), "/nonexistent/routes.conf", id="routes"),
    ],
)
async def test_what_keeps_it_from_starting_is_said_to_its_parent(
    tmp_path: Path, settings: tuple[str, ...], routes: tuple[str, ...], text: str
) -> None:
    async with parent_of(tmp_path, *settings, routes=routes) as parent:
        await parent.start()
        parent.say(WELCOME)
        await until(lambda: parent.heard)
        if parent.heard[0] == Hello():
            parent.say(WELCOME)
        await parent.hears(Bye())
        [failed] = [message for message in parent.heard if isinstance(message, Failed)]
        assert text in failed.text
        parent.say(Farewell())
        assert await parent.ended() == 1


async def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with parent_of(tmp_path) as parent:
            await parent.start(bound_to(taken))
            await parent.hears(Hello())
            parent.say(WELCOME)
            await parent.hears(Bye())
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            assert Failed(f"{address}: Address already in use") in parent.heard
            parent.say(Farewell())
            assert await parent.ended() == 1
