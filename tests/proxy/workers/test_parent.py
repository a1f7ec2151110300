"""The process that has workers: what keeps it from starting, what it says, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.errors import SettingsError
from proxy.workers.parent import Parent
from tests.proxy.workers.crew import OBEY, SERVE, STICK, program
from tests.support.clock import ManualClock
from tests.support.hub_site import MIXED, ask, numbered, old_publisher, post
from tests.support.publisher import Publisher, publish, stream_item
from tests.support.settings import settings_from
from tests.support.turns import settle, until


def parent_of(*settings: str, code: str = SERVE + OBEY, clock: ManualClock | None = None) -> Parent:
    chosen = settings_from(["proxy.workers=2", "proxy.drain_timeout=1", *settings], routes=["* test"])
    return Parent(chosen, clock=clock or ManualClock(), command=program(code))


@asynccontextmanager
async def running(*settings: str, code: str = SERVE + OBEY, clock: ManualClock | None = None) -> AsyncIterator[Parent]:
    clock = clock or ManualClock()
    parent = parent_of(*settings, code=code, clock=clock)
    await parent.start()
    try:
        yield parent
    finally:
        draining = asyncio.create_task(parent.drain())
        while not draining.done():
            clock.advance(60)  # workers that do not end are killed
            await settle()
        await draining


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where links are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def inside(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_it_starts_its_workers_says_so_once_and_leaves_nothing_behind(
    folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = asyncio.all_tasks()
    async with running("proxy.listen=127.0.0.1:0,127.0.0.1:0") as parent:
        assert len(set(parent.proxy_addresses)) == 2
        [folder] = inside(folders)
        assert folder.stat().st_mode & 0o777 == 0o700
        ready = [line for line in caplog.messages if line.startswith("listening for clients on ")]
        first, second = (f"127.0.0.1:{port}" for _, port in parent.proxy_addresses)
        assert ready == [
            f"listening for clients on {first}, {second}, for publishers on 127.0.0.1:{parent.publish_address[1]}"
        ]
        address = parent.proxy_addresses[0]
    assert inside(folders) == []
    assert "stopping: 2 workers" in caplog.messages
    await settle()
    assert asyncio.all_tasks() == before
    socket.create_server(address).close()


async def test_its_numbers_are_those_of_all() -> None:
    async with running() as parent:
        await publish(parent, stream_item("room", "x"))
        assert parent.supervisor is not None
        one, other = (child.link for child in parent.supervisor.children)
        one.counts, other.counts = {"deliveries": 3, "sessions_stream": 1}, {"deliveries": 4}
        total = parent.count()
        assert (total.publications, total.deliveries, total.sessions_stream, total.workers_alive) == (1, 7, 1, 2)
        page = (await ask(parent.publish_address, "/metrics", host="localhost")).body
        assert b"\nholdfast_deliveries_total 7.0\n" in page


@pytest.mark.parametrize(("code", "after"), [(OBEY, (200, b"ok\n")), (STICK, (503, b"no worker answers\n"))])
async def test_it_is_ready_while_some_worker_answers(code: str, after: tuple[int, bytes]) -> None:
    async def ready(parent: Parent) -> tuple[int, bytes]:
        answer = await ask(parent.publish_address, "/readyz", host="localhost")
        return answer.status, answer.body

    clock = ManualClock()
    async with running("proxy.worker_timeout=0", code=SERVE + code, clock=clock) as parent:
        assert await ready(parent) == (200, b"ok\n")
        if code == OBEY:
            await until(lambda: all(worker.outstanding.since is None for worker in parent.fan.workers))
        clock.advance(5)
        assert await ready(parent) == after


async def test_publishers_are_held_off_while_a_worker_is_too_far_behind() -> None:
    async with running(*MIXED, "mercure.history=", "proxy.worker_backlog=65536", code=SERVE + STICK) as parent:
        async with await Publisher.connect(parent) as publisher:
            while (response := await publisher.publish(stream_item("room", "x" * 20_000))).status == 200:
                pass
        update = await post(parent.publish_address, "topic=a&data=x", token=old_publisher("*"))
        for refused in (response, update):
            assert (refused.status, refused.values(b"retry-after")) == (503, (b"1",))
        assert parent.counters.publications_over_backlog == 2
        assert parent.hub is not None
        assert parent.hub.hub.last_seq == 0


async def test_an_item_that_becomes_an_update_reaches_workers_as_both() -> None:
    async with running(*MIXED, "mercure.history=", "mercure.bridge=all") as parent:
        assert parent.hub is not None
        parent.hub.hub.publish(numbered([1])[0])
        await publish(parent, stream_item("a", "data: x\n\n"))
        assert parent.counters.mercure_updates == 2
        assert parent.counters.publications == 1


@pytest.mark.parametrize("setting", ["proxy.listen", "publish.listen"])
async def test_a_port_that_is_taken_is_named_and_the_others_are_let_go(setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as chosen:
        free = f"127.0.0.1:{chosen.getsockname()[1]}"
        chosen.close()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = "publish.listen" if setting == "proxy.listen" else "proxy.listen"
        parent = parent_of(f"{other}={free}", f"{setting}={address}")
        with pytest.raises(OSError, match="in use") as failure:
            await parent.start()
        assert failure.value.filename == address
        socket.create_server(("127.0.0.1", int(free.partition(":")[2]))).close()
        await parent.drain()


async def test_a_history_that_cannot_be_opened_keeps_it_from_starting(tmp_path: Path) -> None:
    parent = parent_of(*MIXED, f"mercure.history={tmp_path}")
    with pytest.raises(SettingsError, match=f"mercure.history: .*{tmp_path}"):
        await parent.start()
    await parent.drain()


async def test_a_worker_that_cannot_start_keeps_it_from_starting(folders: Path) -> None:
    parent = parent_of(code="say(Failed('no routes')); hear()")
    with pytest.raises(SettingsError, match=r"^no routes$"):
        await parent.start()
    assert inside(folders) == []
    await parent.drain()


async def test_a_reload_reaches_the_workers_and_is_reported_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        parent = parent_of()
        parent._notifier._path = str(path)  # noqa: SLF001  # the settings have it from the environment
        await parent.start()
        assert manager.recv(1000).startswith(b"READY=1\nSTATUS=clients on 127.0.0.1:")
        parent.reload()
        assert manager.recv(1000).startswith(b"RELOADING=1")
        said: list[bytes] = []

        def has_said() -> bool:
            try:
                said.append(manager.recv(1000))
            except BlockingIOError:
                return False
            return True

        await until(has_said)
        assert said == [b"READY=1\nSTATUS=routes reloaded"]
        await parent.drain()
        assert manager.recv(1000) == b"STOPPING=1"
