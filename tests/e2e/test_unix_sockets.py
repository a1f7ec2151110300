"""Clients and publishers on Unix sockets (reference 2.2, row R39)."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tests.e2e.controlling import id_on, told
from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess, console
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.patience import bounded
from tests.support.publisher import Publisher, close_item, publish, stream_item
from tests.support.turns import until
from tests.support.unix_client import connect_unix

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def folder() -> AsyncIterator[Path]:
    """A folder whose name is short enough for the path of a socket."""
    with TemporaryDirectory() as name:
        yield Path(name)


async def test_r39_a_client_is_served_and_held_and_has_no_address(folder: Path, backend: ScriptedBackend) -> None:
    path = folder / "clients"
    settings = (f"proxy.unix_listen={path}?mode=640", "proxy.x_forwarded_for=append", "log.log_from=true")
    async with (
        AppProcess(f"* {backend.address}", settings=settings) as app,
        await connect_unix(path) as client,
        await RawClient.connect(app.proxy_address) as other,
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert (await client.fetch("/", headers=[("X-Forwarded-For", "192.0.2.1")])).body == b"hello\n"
        assert backend.requests[-1].values(b"x-forwarded-for") == (b"192.0.2.1",)
        await client.fetch("/")
        assert backend.requests[-1].values(b"x-forwarded-for") == ()
        assert backend.requests[-1].values(b"x-forwarded-proto") == ()
        await other.fetch("/")
        assert backend.requests[-1].values(b"x-forwarded-for") == (b"127.0.0.1",)
        await open_stream(client, backend, "/held", grip_stream("held"))
        await publish(app, stream_item("held", "news"))
        assert await client.chunk() == b"news"
        app.process.terminate()
        await app.advance(10)
        assert await client.chunk() == b""
        assert await client.until_closed() == b""
        other.close()
        assert await app.exit_status() == 0
    assert not path.exists()


async def test_it_may_be_the_only_place_to_listen(folder: Path, backend: ScriptedBackend) -> None:
    path = folder / "only"
    settings = ("proxy.listen=", f"proxy.unix_listen={path}")
    async with AppProcess(f"* {backend.address}", settings=settings) as app, await connect_unix(path) as client:
        assert app.proxy_addresses == []
        assert (await client.fetch("/")).body == b"hello\n"
        await app.log_line(f"listening for clients on unix:{path}, for publishers on 127.0.0.1:")


@pytest.mark.parametrize("end", ["DELETE", "close", "close and idle"])
async def test_a_client_that_does_not_read_is_gone_a_while_after_its_end(
    folder: Path, backend: ScriptedBackend, end: str
) -> None:
    """The kernel bounds that for TCP alone (`hold.user_timeout`)."""
    settings = (f"proxy.unix_listen={folder / 'stuck'}", "hold.user_timeout=20", "hold.slow_grace=1000")
    script = grip_stream("stuck")
    async with (
        AppProcess(f"* {backend.address}", settings=settings) as app,
        await connect_unix(folder / "stuck") as client,
    ):
        await open_stream(
            client, backend, "/stuck", script, headers=[("Connection", "close")] if end == "close" else ()
        )
        await publish(app, *[stream_item("stuck", "x" * 50_000)] * 15)
        await app.settle()
        if end == "DELETE":
            await told(app, f"/connections/{await id_on(app, 'stuck')}/", method="DELETE")
        else:
            await publish(app, close_item("stuck"))
            await app.settle()
        if end == "close and idle":
            await app.advance(75)  # proxy.keep_alive_timeout
        await app.advance(19)
        counters = await app.counters()
        assert (counters["sessions_stream"], counters["connections"], counters["closings_cut"]) == (0, 1, 0)
        await app.advance(1.25)
        await app.until(lambda counters: counters["closings_cut"] == 1)
        await app.until(lambda counters: counters["connections"] == 0)
        await app.log_line("a closed connection was cut: its client took nothing for 20 seconds")


async def test_publishers_may_come_there(folder: Path, backend: ScriptedBackend) -> None:
    path = folder / "publishers"
    settings = (f"publish.listen=unix:{path}?mode=600",)
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        assert app.publish_address == (str(path), 0)
        async with (
            await RawClient.connect(app.proxy_address) as client,
            Publisher(await connect_unix(path)) as publisher,
        ):
            await open_stream(client, backend, "/held", grip_stream("held"))
            assert (await publisher.publish(stream_item("held", "news"))).status == 200
            assert await client.chunk() == b"news"


async def test_a_socket_that_a_dead_process_has_left_is_replaced(folder: Path, backend: ScriptedBackend) -> None:
    path = folder / "stale"
    settings = (f"proxy.unix_listen={path}",)
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        app.signal(signal.SIGKILL)
        await app.exit_status()
    async with bounded():  # workers end behind it
        while is_answered(path):
            pass
    assert path.exists()
    async with AppProcess(f"* {backend.address}", settings=settings), await connect_unix(path) as client:
        assert (await client.fetch("/")).status == 200


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(str(path)) == 0


@pytest.mark.parametrize("setting", ["proxy.unix_listen={}", "publish.listen=unix:{}"])
async def test_one_where_somebody_listens_is_left_alone(folder: Path, setting: str) -> None:
    path = folder / setting.partition(".")[0]
    arguments = ("--route", "* test", "--listen", "127.0.0.1:0", "--set", "publish.listen=127.0.0.1:0")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        status, _, errors = await console(*arguments, "--set", setting.format(path))
        assert (status, errors.splitlines()[-1]) == (1, f"holdfast: unix:{path}: Address already in use")
        assert is_answered(path)


async def test_a_worker_that_is_replaced_serves_there_again(folder: Path, backend: ScriptedBackend) -> None:
    path = folder / "workers"
    settings = (f"proxy.unix_listen={path}", "proxy.workers=2")
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        for child in children_of(app.process.pid):
            os.kill(child, signal.SIGKILL)
        await until(lambda: len(app.log_lines("worker . .* serves")) == 4)
        async with await connect_unix(path) as client:
            assert (await client.fetch("/")).body == b"hello\n"
        app.process.terminate()
        assert await app.exit_status() == 0
    assert not path.exists()
