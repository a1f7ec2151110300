"""Long replays: whole, at the client's pace, without a gap or a duplicate at the seam (reference 1.11)."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from pathlib import Path
from random import Random

import pytest

from proxy.app import App
from tests.proxy.in_process import advance
from tests.support.app_process import AppProcess
from tests.support.client import RawClient
from tests.support.hub_site import (
    ANONYMOUS,
    HOST,
    HUB,
    MIXED,
    EventStream,
    hub,
    numbered,
    old_publisher,
    post,
    store,
    subscribed,
    subscribers,
)
from tests.support.turns import settle, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = (*MIXED, ANONYMOUS)
SMALL = 8_192
"""Bytes that the kernel takes for a client that does not read, about."""
LONG = 12_000
BIG = "x" * 2_000
"""Together they are more than all buffers between the hub and a client."""
BUFFERED = 4 * 1_048_576
"""Bytes that may be on their way to one client that does not read: a page, and what the kernel takes."""

PUBLISHERS = 4
POSTS = 150
FOLLOWERS = 16


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@pytest.fixture
def history(file: Path) -> str:
    return f"mercure.history={file}"


async def test_h09_h10_twenty_thousand_are_replayed_in_one_answer_and_each_id_is_found(history: str) -> None:
    """The reference cuts at 1,000, and finds none beyond the first 10,000."""
    total = 20_000
    async with hub(*OPEN, history) as app:
        await store(app, numbered(range(total)))
        async with subscribed(app, "match=a&last_event_id=earliest") as stream:
            assert await stream.ids(total) == [str(each) for each in range(total)]
            await store(app, numbered(["live"]))
            assert await stream.id() == "live"
        for cursor in (total - 2_501, total - 2):
            async with subscribed(app, f"match=a&last_event_id={cursor}") as stream:
                assert stream.head.values(b"mercure-last-event-id") == (str(cursor).encode(),)
                left = [str(each) for each in range(cursor + 1, total)]
                assert await stream.ids(len(left) + 1) == [*left, "live"]


async def test_h09_one_in_a_thousand_is_found_among_many(history: str) -> None:
    """Whole pages have nothing for this subscriber."""
    async with hub(*OPEN, history) as app:
        for each in range(4):
            await store(app, [*numbered(range(1_500), topic="b"), *numbered([each])])
        async with subscribed(app, "match=a&last_event_id=earliest") as stream:
            await store(app, numbered(["live"]))
            assert await stream.ids(5) == ["0", "1", "2", "3", "live"]


async def test_h12_a_storm_of_publications_leaves_no_gap_and_no_duplicate(history: str) -> None:
    """Subscribers come all the time, with cursors from all over; each gets exactly what follows its own, in order."""
    random = Random(12)
    async with hub(*OPEN, history) as app:
        await store(app, numbered(range(2_000)))
        known = [str(each) for each in range(2_000)]
        came = asyncio.Event()

        async def publish(name: str) -> None:
            for number in range(POSTS):
                fields = {"topic": "a", "id": f"{name}-{number}"}
                assert (await post(app.proxy_addresses[0], fields, token=old_publisher("*"))).status == 200
                known.append(f"{name}-{number}")
                came.set()
                came.clear()

        async def follow(begins_at: int) -> tuple[str, list[str]]:
            while len(known) < begins_at:
                await came.wait()
            cursor = random.choice((known[0], random.choice(known), random.choice(known[-500:]), known[-1]))
            async with subscribed(app, f"match=a&match=end&last_event_id={cursor}") as stream:
                ids = [await stream.id()]
                while ids[-1] != "end":
                    ids.append(await stream.id())
                return cursor, ids

        async with asyncio.TaskGroup() as tasks:
            begins = [2_000 + number * (PUBLISHERS * POSTS) // FOLLOWERS for number in range(FOLLOWERS)]
            followers = [tasks.create_task(follow(begin)) for begin in begins]
            async with asyncio.TaskGroup() as publishers:
                for name in "wxyz"[:PUBLISHERS]:
                    publishers.create_task(publish(name))
            await store(app, numbered(["end"], topic="end"))
        async with subscribed(app, "match=a&match=end&last_event_id=earliest") as stream:
            order = await stream.ids(len(known) + 1)
    assert sorted(order) == sorted([*known, "end"])
    for follower in followers:
        cursor, ids = follower.result()
        assert ids == order[order.index(cursor) + 1 :]


async def open_slowly(client: RawClient, cursor: str = "earliest") -> EventStream:
    """Subscribe, and read no more than the head."""
    await client.send_request(f"{HUB}?match=a&last_event_id={cursor}", host=HOST)
    return EventStream(client, await client.head())


async def stalled(app: App) -> None:
    """Wait until the replay to the only client has come to a halt, since nobody reads."""
    sent, seen = 0, -1
    while sent != seen or not sent:
        seen = sent
        for _ in range(20):
            await settle()
            await asyncio.to_thread(int)  # the threads that read the history have had their turn
        sent = app.counters.mercure_replayed


async def test_a_slow_reader_is_replayed_at_its_own_pace_and_holds_up_nobody(history: str) -> None:
    async with hub(*OPEN, history) as app:
        await store(app, numbered(range(LONG), data=BIG))
        async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
            slow = await open_slowly(client)
            await stalled(app)
            assert app.counters.mercure_replayed * len(BIG) < BUFFERED
            assert subscribers(app) == 0, "it joins when it has nearly all"
            assert sum(each.get_write_buffer_size() for each in app.clients.open_transports) < BUFFERED / 2

            async with subscribed(app, f"match=a&last_event_id={LONG - 2}") as quick:
                assert await quick.id() == str(LONG - 1)
                for number in range(LONG, LONG + 20):
                    await store(app, numbered([number], data=BIG))
                    assert await quick.id() == str(number)
            assert await slow.ids(LONG + 20) == [str(each) for each in range(LONG + 20)]
            await store(app, numbered(["live"]))
            assert await slow.id() == "live"
            assert app.counters.slow_clients == 0


async def test_h12_a_slow_reader_and_a_storm_have_the_same_order(history: str) -> None:
    """What is published while a long replay waits for its client is part of it, however much that is."""
    async with hub(*OPEN, history) as app:
        await store(app, numbered(range(3_000), data=BIG))
        async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
            slow = await open_slowly(client)
            for turn in range(6):
                await stalled(app)
                await store(app, numbered(range(3_000 + 500 * turn, 3_500 + 500 * turn), data=BIG))
                assert await slow.ids(400) == [str(each) for each in range(400 * turn, 400 * turn + 400)]
            assert await slow.ids(3_600) == [str(each) for each in range(2_400, 6_000)]


async def test_e09_a_replay_ends_when_the_time_of_its_connection_is_up(history: str) -> None:
    async with hub(*OPEN, history, "mercure.write_timeout=100") as app:
        await store(app, numbered(range(LONG), data=BIG))
        async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
            slow = await open_slowly(client)
            await stalled(app)
            await advance(app, 80.1)
            assert (app.counters.mercure_expired, subscribers(app)) == (1, 0)
            events = await slow.rest()
            assert 0 < len(events) < LONG
            assert events == [f"id: {each}\ndata: {BIG}".encode() for each in range(len(events))]
            again = await open_slowly(client, cursor=str(len(events) - 1))
            assert await again.ids(LONG - len(events)) == [str(each) for each in range(len(events), LONG)]


async def test_a_history_that_cannot_be_read_on_cuts_the_connection(file: Path, history: str) -> None:
    """A clean end would tell the client that it has everything."""
    async with hub(*OPEN, history) as app:
        await store(app, numbered(range(LONG), data=BIG))
        async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
            await open_slowly(client)
            await stalled(app)
            with sqlite3.connect(file) as other:
                other.execute("ALTER TABLE updates RENAME TO gone")
            other.close()
            body = await client.until_cut()
            assert not body.endswith(b"\r\n0\r\n\r\n")
            assert 0 < body.count(b"\nid: ") < LONG
            assert subscribers(app) == 0


async def test_a_history_that_cannot_be_searched_is_a_500(file: Path, history: str) -> None:
    async with hub(*OPEN, history) as app:
        await store(app, numbered([1]))
        with sqlite3.connect(file) as other:
            other.execute("ALTER TABLE updates RENAME TO gone")
        other.close()
        async with await RawClient.connect(app.proxy_addresses[0]) as client:
            found = await client.fetch(f"{HUB}?match=a&last_event_id=1", host=HOST)
            assert (found.status, found.body) == (500, b"Internal Server Error\n")
            found = await client.fetch(f"{HUB}?match=a&last_event_id=earliest&poll=1", host=HOST)
            assert (found.status, found.body) == (500, b"Internal Server Error\n")


async def test_h17_a_reader_that_the_trimming_overtakes_is_cut_and_then_told_of_its_loss(history: str) -> None:
    async with hub(*OPEN, history, f"mercure.history_size={LONG}") as app:
        await store(app, numbered(range(LONG), data=BIG))
        async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
            await open_slowly(client)
            await stalled(app)
            await store(app, numbered(range(LONG, 2 * LONG)))
            body = await client.until_cut()
            assert not body.endswith(b"\r\n0\r\n\r\n")
            last = body.rpartition(b"\nid: ")[2].partition(b"\n")[0].decode()
            assert 0 < int(last) < LONG
        async with await RawClient.connect(app.proxy_addresses[0]) as client:
            again = await open_slowly(client, cursor=last)
            assert again.head.values(b"mercure-last-event-id") == (b"earliest",)


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_during_its_replay_leaves_nothing_behind(history: str, leave: str) -> None:
    async with hub(*OPEN, history) as app:
        await store(app, numbered(range(LONG), data=BIG))
        async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
            await open_slowly(client)
            await stalled(app)
            getattr(client, leave)()
            await until(lambda: app.counters.requests_abandoned)
        assert not app.clients.open_transports
        assert subscribers(app) == 0
        assert app.counters.mercure_replayed < LONG


async def test_e11_a_client_that_stops_reading_has_not_joined_however_few_updates_are_left(history: str) -> None:
    """What is left is counted in bytes too: live updates would pile up behind it, and cut a client that catches up."""
    outbox = 65_536
    async with hub(*OPEN, history, f"hold.outbox_limit={outbox}", "hold.kernel_unsent_limit=16384") as app:
        await store(app, numbered(range(450), data=BIG * 4))
        async with await RawClient.connect(app.proxy_addresses[0], receive_buffer=SMALL) as client:
            await open_slowly(client)
            await stalled(app)
            assert subscribers(app) == 0
            await store(app, numbered(range(450, 500), data=BIG))
            await settle()
            assert (app.counters.slow_clients, subscribers(app)) == (0, 0)


async def test_e14_a_replay_that_runs_at_a_stop_is_finished_and_ends_cleanly(history: str) -> None:
    total, size = 3_000, 500
    settings = (*OPEN, history, "proxy.drain_timeout=10")
    async with (
        AppProcess("* test", settings=settings) as app,
        await RawClient.connect(app.proxy_address, receive_buffer=SMALL) as client,
    ):
        for begin in range(0, total, size):
            updates = [{"topic": "a", "id": str(begin + each), "data": BIG} for each in range(size)]
            headers = {"token": old_publisher("*"), "content_type": "application/json"}
            assert (await post(app.proxy_address, json.dumps(updates), **headers)).status == 200
        slow = await open_slowly(client)
        app.signal(signal.SIGTERM)
        await app.log_line("stopping: 0 held connections")
        events = await slow.rest()
        assert events == [f"id: {each}\ndata: {BIG}".encode() for each in range(total)]
        assert await client.until_closed() == b""
        assert await app.exit_status() == 0
