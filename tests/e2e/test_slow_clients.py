"""A client that does not keep up costs its own connection and nothing else (row H47; DESIGN.md, hot path 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import chunk, grip_response, grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd
from tests.support.publisher import Publisher, close_item, response_item, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTBOX = 65_536
UNSENT = 65_536
CONTENT = "x" * 3_990
BEHIND = 4 * OUTBOX
"""Bytes a client that is further behind than its outbox may owe during its grace."""
GRACE = 1.2
"""Seconds after which a client that is too far behind has been cut: `hold.slow_grace`, and the timers' resolution."""

CROWD = 1_000
LEAVERS = 100
STALLED = 50
ROUNDS = 30
ITEMS = 4

PER_CLIENT = 8_192
"""Bytes of memory the process may take for one held client that keeps up."""
SLACK = 16 * 1_048_576
"""Bytes the process may grow beyond that while everything below happens."""
IN_FLIGHT = 65_536
"""Bytes that the kernel may have sent to one client that has not taken them, beside what it has not sent."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast with a small outbox, and quiet, since a thousand clients log a lot."""
    settings = (f"hold.outbox_limit={OUTBOX}", f"hold.kernel_unsent_limit={UNSENT}", "log.level=warn")
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        yield app


async def test_a_client_that_stops_reading_is_closed_counted_and_logged(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """H47: what it got is an unbroken beginning; the one that reads on gets everything."""
    slow = (await app.counters())["slow_clients"]
    frame = chunk(CONTENT.encode())
    async with (
        await RawClient.connect(app.proxy_address, receive_buffer=8_192) as stalled,
        await RawClient.connect(app.proxy_address) as reader,
        await Publisher.connect(app) as publisher,
    ):
        await open_stream(stalled, backend, "/slow", grip_stream("slow"))
        await open_stream(reader, backend, "/slow", grip_stream("slow"))
        for _ in range(400):
            assert (await publisher.publish(stream_item("slow", CONTENT))).status == 200
            assert await reader.read_exactly(len(frame)) == frame
        await app.advance(GRACE)
        counters = await app.counters()
        assert counters["slow_clients"] == slow + 1
        assert counters["sessions_stream"] == 1
        await app.log_line(f"/slow closed: too slow, more than {OUTBOX} bytes behind")
        got = await stalled.until_cut()
        assert (frame * 400).startswith(got)
        assert len(got) < 400 * len(frame)


@pytest.mark.parametrize("catches_up", [True, False])
async def test_a_client_that_is_behind_has_a_moment_to_catch_up(
    app: AppProcess, backend: ScriptedBackend, *, catches_up: bool
) -> None:
    """H47: `hold.slow_grace`, one second; whoever has caught up by then is as good as any other."""
    slow = (await app.counters())["slow_clients"]
    sent = chunk(CONTENT.encode()) * 60
    async with (
        await RawClient.connect(app.proxy_address, receive_buffer=8_192) as client,
        await Publisher.connect(app) as publisher,
    ):
        await open_stream(client, backend, "/grace", grip_stream("grace"))
        assert (await publisher.publish(*[stream_item("grace", CONTENT)] * 60)).status == 200
        await app.advance(0.8)
        assert (await app.counters())["slow_clients"] == slow
        if catches_up:
            assert await client.read_exactly(len(sent)) == sent
        await app.advance(0.4)
        assert (await app.counters())["slow_clients"] == slow + (not catches_up)
        await app.advance(5)
        if catches_up:
            await publisher.publish(stream_item("grace", "more"))
            assert await client.chunk() == b"more"
        else:
            assert sent.startswith(await client.until_cut())


@pytest.mark.parametrize("outbox", [OUTBOX, 1_048_576])
@pytest.mark.parametrize("hold", ["stream", "poll"])
async def test_a_hold_that_ends_while_its_client_is_behind_ends_cleanly(
    backend: ScriptedBackend, outbox: int, hold: str
) -> None:
    """H22, H04: the client gets all of it and keeps its connection, whether it was behind its outbox or not."""
    content = "z" * 48_000
    async with (
        AppProcess(f"* {backend.address}", settings=[f"hold.outbox_limit={outbox}"]) as app,
        await RawClient.connect(app.proxy_address, receive_buffer=8_192) as client,
        await Publisher.connect(app) as publisher,
    ):
        if hold == "stream":
            await open_stream(client, backend, "/behind", grip_stream("behind"))
            await publisher.publish(*[stream_item("behind", content)] * 5, close_item("behind"))
        else:
            await open_poll(app, client, backend, "/behind", grip_response("behind"))
            await publisher.publish(response_item("behind", content * 5))
        await app.advance(0.5)
        if hold == "stream":
            assert [await client.chunk() for _ in range(6)] == [content.encode()] * 5 + [b""]
        else:
            assert (await client.response()).body == content.encode() * 5
        await app.advance(5)
        assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_burst_does_not_make_a_reading_client_slow(backend: ScriptedBackend) -> None:
    """With the settings as shipped: what many publishers send at once reaches a client that takes what comes."""
    content = "b" * 50_000
    publishers = items = 8
    async with (
        AppProcess(f"* {backend.address}", settings=["log.level=warn"]) as app,
        await RawClient.connect(app.proxy_address) as client,
        AsyncExitStack() as stack,
    ):
        await open_stream(client, backend, "/burst", grip_stream("burst"))
        for _ in range(publishers):
            publisher = await stack.enter_async_context(await Publisher.connect(app))
            await publisher.send(*[stream_item("burst", content)] * items)
        await client.skip(publishers * items * len(chunk(content.encode())))
        assert (await app.counters())["slow_clients"] == 0


async def test_a_crowd_gets_every_byte_whatever_some_of_it_do(app: AppProcess, backend: ScriptedBackend) -> None:
    """Of 1,000 clients 100 reset, 50 stop reading and one is cut inside the fan-out loop; memory stays bounded."""
    before = await app.memory()
    async with crowd(app.proxy_address, CROWD, receive_buffer=OUTBOX) as clients:
        for client in clients:
            await open_stream(client, backend, "/crowd", grip_stream("crowd"))
        assert (await app.memory() - before) / CROWD < PER_CLIENT
        stalled, leavers, readers = (
            clients[:STALLED],
            clients[STALLED : STALLED + LEAVERS],
            clients[STALLED + LEAVERS :],
        )
        victim = readers.pop(400)

        costs = [await publish_rounds(app, [*leavers, *readers], 5)]
        await app.abort_during_fanout(behind=readers[0].local_port, victim=victim.local_port)
        costs.append(await publish_rounds(app, [*leavers, *readers], 5))
        for leaver in leavers:
            leaver.reset()
        costs.append(await publish_rounds(app, readers, ROUNDS - 10))
        await app.advance(GRACE)
        await app.until(lambda counters: counters["sessions_stream"] == len(readers))
        assert (await app.counters())["slow_clients"] >= STALLED
        assert max(memory for memory, _ in costs) - before < CROWD * PER_CLIENT + STALLED * BEHIND + SLACK
        assert max(queued for _, queued in costs) < STALLED * (UNSENT + IN_FLIGHT) + SLACK
        everything = chunk(CONTENT.encode()) * ROUNDS * ITEMS
        for cut in (*stalled, victim):
            got = await cut.until_cut()
            assert len(got) < len(everything)
            assert everything.startswith(got)
        assert not any(reader.pending() for reader in readers)
    await app.until(lambda counters: counters["sessions_stream"] == 0)


async def publish_rounds(app: AppProcess, readers: list[RawClient], rounds: int) -> tuple[int, int]:
    """Publish and have each of `readers` read it, again and again.

    Returns the most memory that the process had, and the most bytes that the kernel queued for it.
    """
    frames = chunk(CONTENT.encode()) * ITEMS
    memory = queued = 0
    async with await Publisher.connect(app) as publisher:
        for _ in range(rounds):
            answered = await publisher.publish(*[stream_item("crowd", CONTENT)] * ITEMS)
            assert answered.status == 200
            for reader in readers:
                assert await reader.read_exactly(len(frames)) == frames
            memory = max(memory, await app.memory())
            queued = max(queued, await app.queued_bytes())
    return memory, queued
