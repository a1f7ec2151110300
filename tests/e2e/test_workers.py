"""Several workers on one port, as an operator runs them: everybody gets everything, whichever worker serves them.

Real time, real processes, real signals. Which client is at which worker is read from the kernel.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.hub_talking import NEVER, READER, SUBSCRIPTIONS, grant, open_events, published, query, reader, shown
from tests.support.answers import grip_stream
from tests.support.app_process import ConsoleProcess, console
from tests.support.at_once import connect_at_once
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.hub_site import HOST, HUB, MIXED, ask, json_of, old_publisher, post
from tests.support.patience import bounded
from tests.support.publisher import Publisher, publish, stream_item
from tests.support.turns import until
from tests.support.workers import clients_of_all, until_ended, workers_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

WATCH = query(("match_urlpattern", f"{SUBSCRIPTIONS}/:kind/:match/:subscriber"))
HUB_SETTINGS = (*MIXED, "mercure.anonymous=true", "mercure.subscriptions=true")


def holdfast(*routes: str, settings: tuple[str, ...] = (), listen: str = "127.0.0.1:0") -> ConsoleProcess:
    """Return Holdfast with two workers."""
    given = ("proxy.drain_timeout=1", f"proxy.sig_key={'k' * 32}", *settings)
    arguments = [argument for each in given for argument in ("--set", each)]
    arguments += [argument for route in routes or ("* test",) for argument in ("--route", route)]
    return ConsoleProcess("--listen", listen, "--publish", "127.0.0.1:0", "--workers", "2", *arguments)


@dataclass(frozen=True)
class Held:
    """Streams on one channel, at least one at each worker."""

    by_worker: dict[int, RawClient]

    @property
    def clients(self) -> tuple[RawClient, ...]:
        return tuple(self.by_worker.values())

    async def each_gets(self, *contents: bytes) -> None:
        """Check that every client gets these and nothing else before them."""
        for client in self.clients:
            expected = b"".join(contents)
            got = b""
            while len(got) < len(expected):
                got += await client.chunk()
            assert got == expected


async def hold(stack: AsyncExitStack, app: ConsoleProcess, backend: ScriptedBackend, channel: str) -> Held:
    """Hold a stream at each worker."""
    clients = await stack.enter_async_context(clients_of_all(app.process.pid, app.proxy_address))
    backend.answers(f"/{channel}", grip_stream(channel, body=b"open"))
    for [client] in clients.values():
        await client.send_request(f"/{channel}")
        assert (await client.head()).status == 200
        assert await client.chunk() == b"open"
    return Held({worker: client for worker, [client] in clients.items()})


async def metric(app: ConsoleProcess, name: str) -> int:
    """Return a counter as `/metrics` has it."""
    page = (await ask(app.publish_address, "/metrics", host="localhost")).body.decode()
    found = re.search(rf"^holdfast_{name} (\d+)", page, re.MULTILINE)
    assert found is not None, name
    return int(found[1])


async def until_metric(app: ConsoleProcess, name: str, value: int) -> None:
    """Wait until a counter has come to a value: workers report theirs every second."""
    async with bounded():
        while await metric(app, name) != value:
            pass


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return (*HUB_SETTINGS, f"mercure.history={tmp_path_factory.mktemp('hub') / 'hub.db'}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(backend: ScriptedBackend, settings: tuple[str, ...]) -> AsyncIterator[ConsoleProcess]:
    """One Holdfast for the tests that leave it as it was."""
    async with holdfast(f"* {backend.address}", settings=settings) as app:
        yield app


# -- channels -------------------------------------------------------------------------------------------------------


async def test_an_item_reaches_the_clients_of_every_worker_in_the_order_of_its_channel(
    running: ConsoleProcess, backend: ScriptedBackend
) -> None:
    async with AsyncExitStack() as stack:
        held = await hold(stack, running, backend, "order")
        numbers = [b"%d;" % number for number in range(200)]
        async with await Publisher.connect(running) as publisher:
            for number in numbers:
                await publisher.send(stream_item("order", number.decode()))
            for _ in numbers:
                assert (await publisher.answer()).status == 200
        await held.each_gets(*numbers)
        await running.log_line(r"publish channel=order workers=2$")


async def test_an_id_is_delivered_once_by_all_workers(running: ConsoleProcess, backend: ScriptedBackend) -> None:
    async with AsyncExitStack() as stack:
        held = await hold(stack, running, backend, "once")
        for content in ("first", "again"):
            await publish(running, stream_item("once", content, id="1"))
        await publish(running, stream_item("once", "last"))
        await held.each_gets(b"first", b"last")


async def test_the_numbers_of_all_workers_add_up(backend: ScriptedBackend) -> None:
    async with holdfast(f"* {backend.address}") as app:
        async with AsyncExitStack() as stack:
            held = await hold(stack, app, backend, "sums")
            await publish(app, stream_item("sums", "x"))
            await held.each_gets(b"x")
            await until_metric(app, "deliveries_total", 2)
            for name, value in (("sessions_stream", 2), ("sessions_opened_total", 2), ("workers_alive", 2)):
                assert await metric(app, name) == value
            assert await metric(app, "publications_total") == 1
        await until_metric(app, "sessions_stream", 0)
        assert await metric(app, "deliveries_total") == 2


# -- the hub --------------------------------------------------------------------------------------------------------


async def test_an_update_reaches_everybody_through_whichever_door_it_comes(
    running: ConsoleProcess, backend: ScriptedBackend
) -> None:
    async with (
        clients_of_all(running.process.pid, running.proxy_address) as readers,
        clients_of_all(running.process.pid, running.proxy_address) as publishers,
    ):
        streams = [await open_events(client, query(("topic", "a"))) for [client] in readers.values()]
        form = b"topic=a&data="
        headers = [*shown(old_publisher("*")), ("Content-Type", "application/x-www-form-urlencoded")]
        for number, [client] in enumerate(publishers.values()):
            response = await client.fetch(HUB, method="POST", host=HOST, headers=headers, body=form + b"%d" % number)
            assert response.status == 200
        await published(running.publish_address, "a", "2")
        for stream in streams:
            assert [event.data for event in await stream.events(3)] == ["0", "1", "2"]


async def test_what_was_missed_at_one_worker_is_replayed_by_the_other(running: ConsoleProcess) -> None:
    async with clients_of_all(running.process.pid, running.proxy_address, each=2) as clients:
        (first, again), (other, another) = clients.values()
        stream = await open_events(first, query(("topic", "replay")))
        ids = [await published(running.publish_address, "replay", str(number)) for number in range(3)]
        assert [event.id for event in await stream.events(3)] == ids
        for client in (other, again):
            target = query(("topic", "replay"), ("last_event_id", ids[0]))
            assert [event.id for event in await (await open_events(client, target)).events(2)] == ids[1:]
        last = await published(running.publish_address, "replay", "3")
        target = query(("topic", "replay"), ("last_event_id", ids[2]))
        assert (await (await open_events(another, target)).event()).id == last


async def test_all_workers_subscribers_are_told_of_and_listed_by_each() -> None:
    token = reader(grant("*"), exp=NEVER)
    async with (
        holdfast(settings=(*HUB_SETTINGS, "mercure.history=")) as app,
        clients_of_all(app.process.pid, app.proxy_address, each=2) as clients,
    ):
        (watcher, asks_here), (other, asks_there) = clients.values()
        stream = await open_events(watcher, WATCH, headers=shown(READER))
        await open_events(other, query(("match", "present")))
        documents = [event.json for event in await stream.events(2)]
        assert [each["active"] for each in documents] == [True, True]
        for client in (asks_here, asks_there):
            found = json_of(await client.fetch(SUBSCRIPTIONS, host=HOST, headers=shown(token)))
            assert [each["subscriber"] for each in found["subscriptions"]] == [each["subscriber"] for each in documents]
        other.close()
        gone = (await stream.event()).json
        [present] = [each["subscriber"] for each in documents if each["match"] == "present"]
        assert (gone["subscriber"], gone["active"]) == (present, False)


# -- ends -----------------------------------------------------------------------------------------------------------


async def test_a_killed_worker_is_replaced_and_its_clients_miss_nothing_of_the_history(tmp_path: Path) -> None:
    settings = (*HUB_SETTINGS, f"mercure.history={tmp_path / 'hub.db'}")
    async with (
        holdfast(settings=settings) as app,
        clients_of_all(app.process.pid, app.proxy_address) as clients,
    ):
        (worker, [client]), (_, [watcher]) = clients.items()
        watching = await open_events(watcher, WATCH, headers=shown(READER))
        assert (await watching.event()).json["active"]
        stream = await open_events(client, query(("topic", "a")))
        came = (await watching.event()).json
        seen = await published(app.publish_address, "a", "0")
        assert (await stream.event()).id == seen
        signal_worker(worker, signal.SIGKILL)
        await client.until_closed()
        missed = [await published(app.publish_address, "a", str(number)) for number in range(1, 4)]
        gone = (await watching.event()).json
        assert (gone["subscriber"], gone["active"]) == (came["subscriber"], False)
        await app.log_line(rf"worker \d \(process {worker}\) has ended by SIGKILL; replaced in 0 seconds")
        await until_metric(app, "worker_restarts_total", 1)
        await until_metric(app, "workers_alive", 2)
        assert worker not in workers_of(app.process.pid)
        async with clients_of_all(app.process.pid, app.proxy_address) as back:
            for [again] in back.values():
                stream = await open_events(again, query(("topic", "a"), ("last_event_id", seen)))
                assert [event.id for event in await stream.events(3)] == missed


async def test_a_worker_that_is_told_to_end_answers_all_who_have_come_and_is_no_alarm() -> None:
    async with (
        holdfast() as app,
        clients_of_all(app.process.pid, app.proxy_address) as clients,
        AsyncExitStack() as stack,
    ):
        worker = next(iter(clients))
        waiting = [RawClient(stack.enter_context(connect_at_once(app.proxy_address))) for _ in range(50)]
        for client in waiting:
            await client.send(encode_request("/"))
        signal_worker(worker, signal.SIGTERM)
        for client in waiting:
            assert (await client.response()).status == 200
        line = await app.log_line(rf"worker \d \(process {worker}\) has ended")
        assert "[INFO]" in line
        assert line.endswith("has ended as it was told to; replaced")
        await until_metric(app, "workers_alive", 2)
        assert await metric(app, "worker_restarts_total") == 0


async def test_workers_end_with_their_parent_however_it_ends() -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        async with holdfast() as app, clients_of_all(app.process.pid, app.proxy_address) as clients:
            app.signal(number)
            assert await app.exit_status() == (0 if number is signal.SIGTERM else -number)
            await until_ended(clients)
            for [client] in clients.values():
                assert await client.until_closed() == b""


async def test_sigterm_ends_holds_of_all_workers_in_good_order(backend: ScriptedBackend) -> None:
    async with holdfast(f"* {backend.address}") as app, AsyncExitStack() as stack:
        held = await hold(stack, app, backend, "end")
        app.signal(signal.SIGTERM)
        for client in held.clients:
            assert await client.chunk() == b"", "the last chunk"
        assert await app.exit_status() == 0
        assert len(app.log_lines("stopping: 1 held connections")) == 2


async def test_sighup_reloads_the_routes_of_all_workers(tmp_path: Path, backend: ScriptedBackend) -> None:
    routes = tmp_path / "routes.conf"
    routes.write_text("* test\n")
    arguments = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--workers", "2", "--routes", str(routes))
    async with (
        ConsoleProcess(*arguments, "--set", "proxy.reload_interval=0") as app,
        clients_of_all(app.process.pid, app.proxy_address) as clients,
    ):
        routes.write_text(f"* {backend.address}\n")
        app.signal(signal.SIGHUP)
        await until(lambda: len(app.log_lines("routes loaded with 1 entries")) == 2 * len(clients))  # start, reload
        await app.log_line("SIGHUP, reloading the routes")
        for [client] in clients.values():
            assert (await client.fetch("/")).body == b"hello\n"


async def test_a_worker_that_is_stuck_holds_up_publishers_and_then_is_replaced(backend: ScriptedBackend) -> None:
    """Nothing of what is refused reaches anybody, and everything else the clients of the other worker."""
    settings = ("proxy.worker_backlog=65536", "proxy.worker_timeout=4")
    async with holdfast(f"* {backend.address}", settings=settings) as app, AsyncExitStack() as stack:
        held = await hold(stack, app, backend, "stuck")
        stuck, going = held.by_worker
        signal_worker(stuck, signal.SIGSTOP)
        async with await Publisher.connect(app) as publisher:
            taken = 0
            while (response := await publisher.publish(stream_item("stuck", f"{taken:04}" + "x" * 1000))).status == 200:
                taken += 1
        assert (response.status, response.values(b"retry-after")) == (503, (b"1",))
        assert 30 < taken < 100
        assert await metric(app, "publications_over_backlog_total") == 1
        await app.log_line("bytes behind: publications are refused")
        await app.log_line(rf"worker \d \(process {stuck}\) has acknowledged nothing for 4 seconds, .*: killed")
        await app.log_line("has ended by SIGKILL; replaced")
        await publish(app, stream_item("stuck", "free again"))
        got = b""
        while not got.endswith(b"free again"):
            got += await held.by_worker[going].chunk()
        numbers = [piece[:4] for piece in got.removesuffix(b"free again").split(b"x" * 1000)[:-1]]
        assert numbers == [b"%04d" % number for number in range(taken)]


async def test_an_update_is_refused_as_well_at_both_doors(tmp_path: Path) -> None:
    settings = (*HUB_SETTINGS, f"mercure.history={tmp_path / 'hub.db'}", "proxy.worker_backlog=65536")
    async with holdfast(settings=settings) as app, clients_of_all(app.process.pid, app.proxy_address) as clients:
        (stuck, _), (_, [client]) = clients.items()
        signal_worker(stuck, signal.SIGSTOP)
        form = b"topic=a&data=" + b"x" * 10_000
        stored = 0
        while (await post(app.publish_address, form, token=old_publisher("*"))).status == 200:
            stored += 1
        assert 3 < stored < 20
        headers = [*shown(old_publisher("*")), ("Content-Type", "application/x-www-form-urlencoded")]
        here = await client.fetch(HUB, method="POST", host=HOST, headers=headers, body=form)
        there = await post(app.publish_address, form, token=old_publisher("*"))
        for response in (here, there):
            assert (response.status, response.values(b"retry-after")) == (503, (b"1",))
        stream = await open_events(client, query(("topic", "a"), ("last_event_id", "earliest")))
        await stream.events(stored)
        signal_worker(stuck, signal.SIGCONT)
        async with bounded():
            while (
                response := await post(app.publish_address, b"topic=a&data=end", token=old_publisher("*"))
            ).status != 200:
                assert response.status == 503
        assert (await stream.event()).data == "end"


# -- the start ------------------------------------------------------------------------------------------------------


async def test_what_keeps_a_worker_from_starting_is_one_line_and_status_1(running: ConsoleProcess) -> None:
    taken = f"127.0.0.1:{running.proxy_address[1]}"
    for arguments, expected in (
        (("--listen", taken, "--route", "* test"), f"{taken}: Address already in use"),
        (("--listen", "127.0.0.1:0", "--routes", "/nonexistent/routes.conf"), "/nonexistent/routes.conf"),
        (("--listen", "127.0.0.1:0", "--route", "* test", "--set", "proxy.sig_key=base64:***"), "proxy.sig_key"),
    ):
        given = ("--publish", "127.0.0.1:0", "--workers", "2", "--log-level", "error")
        status, output, errors = await console(*arguments, *given)
        assert (status, output, errors.count("\n")) == (1, "", 1), errors
        assert errors.startswith("holdfast: ")
        assert expected in errors


def signal_worker(pid: int, number: signal.Signals) -> None:
    """Send a signal to one worker."""
    os.kill(pid, number)
