"""Streams whose backend can be asked what comes next (reference 3.9, 3.10; rows H24 to H28, H33, H42)."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.e2e.holding import open_stream
from tests.e2e.linking import SOON, gap, item, last_ids, linked, page
from tests.support.answers import Answer, answer, chunked, grip_stream, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd
from tests.support.publisher import close_item, publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (f"* {backend.address}",)


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return ("proxy.sig_key=secret",)


# -- pages: row H24 -------------------------------------------------------------------------------------------------


async def test_h24_pages_are_joined_until_one_leads_nowhere(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/h24/", page(b"one,", "h24; prev-id=1", link="two?x=1"))
    backend.answers("/h24/two", page(b"two,", link="/h24/three"))
    backend.answers("/h24/three", text(b"three"))
    found = await client.fetch("/h24/", headers=[("Cookie", "a=b")])
    assert (found.status, found.body) == (200, b"one,two,three")
    (second,) = backend.requests_for("/h24/two")
    assert (second.method, second.target, second.body) == (b"GET", b"/h24/two?x=1", b"")
    assert second.values(b"host") == (b"example.com",)
    assert second.values(b"grip-last") == (b"h24; last-id=1",)
    assert len(second.values(b"grip-sig")) == len(second.values(b"grip-feature")) == 1
    assert second.values(b"cookie") == ()
    assert last_ids(backend.requests_for("/h24/three")) == [()]
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_h24_the_last_page_may_be_a_stream(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.answers("/more/", page(b"one,", "more; prev-id=1"))
    last = linked("more; prev-id=2", body=b"two,")
    backend.answers("/more/next", Answer(steps=(gate, *last.steps)))
    await client.send_request("/more/")
    await client.head()
    assert await client.chunk() == b"one,"
    await app.until(lambda counters: counters["sessions_stream"] > 0)
    await publish(app, item("more", 2, 1), item("more", 3, 2))
    await app.settle()
    gate.set()
    assert (await client.chunk(), await client.chunk()) == (b"two,", b"[3]")
    assert (await app.counters())["items_contained"] == 1


async def test_a_page_without_a_word_is_not_hurried_past(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/empty/", page(b"one,"))
    backend.answers("/empty/next", page(b""), page(b""), text(b"end"))
    before = (await app.counters())["link_requests"]
    await client.send_request("/empty/")
    await client.head()
    await app.until(lambda counters: counters["link_requests"] == before + 1)
    begun, _ = await app.times()
    while (await app.counters())["link_requests"] < before + 3:
        await app.advance(0.125)
    assert 1.8 < (await app.times())[0] - begun < 2.6
    assert (await client.chunk(), await client.chunk(), await client.chunk()) == (b"one,", b"end", b"")


async def test_a_page_for_http_1_0_ends_with_the_connection(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/old/", page(b"one,"))
    backend.answers("/old/next", text(b"two"))
    await client.send(b"GET /old/ HTTP/1.0\r\nHost: a\r\n\r\n")
    await client.head()
    assert await client.until_closed() == b"one,two"


# -- when the link is asked -----------------------------------------------------------------------------------------


async def test_h25_a_stream_that_hears_nothing_asks(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/h25/next", linked("h25; prev-id=3", seconds=20))
    await open_stream(client, backend, "/h25/", linked("h25; prev-id=1", seconds=10))
    await app.advance(9.9)
    assert backend.requests_for("/h25/next") == ()
    await app.advance(10.3)
    assert last_ids(backend.requests_for("/h25/next")) == [(b"h25; last-id=1",)]
    # It was asked 10 to 20 seconds after the hold; from then on it is every 20 to 40 seconds.
    await app.advance(9.7)
    assert len(backend.requests_for("/h25/next")) == 1
    await app.advance(30.4)
    assert last_ids(backend.requests_for("/h25/next"))[1] == (b"h25; last-id=3",)


async def test_h25_one_that_hears_of_all_its_channels_does_not(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/busy/next", linked("busy", "idle"))
    await open_stream(client, backend, "/busy/", linked("busy", "idle", seconds=10))
    for _ in range(10):
        await publish(app, stream_item("busy", "x"), stream_item("idle", "y"))
        await app.advance(5)
    assert backend.requests_for("/busy/next") == ()
    for _ in range(5):  # at most once more is passed over: something came on both after the last time it was due
        await publish(app, stream_item("busy", "x"))
        await app.advance(5)
    assert backend.requests_for("/busy/next")


async def test_h26_a_gap_is_filled_by_the_backend(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/h26/next", linked("h26; prev-id=10", body=b"up to ten,"))
    await open_stream(client, backend, "/h26/", linked("h26; prev-id=1"))
    await publish(app, item("h26", 2, 1))
    assert await client.chunk() == b"[2]"
    await publish(app, gap("h26"))
    assert client.pending() == b""
    await app.advance(SOON)
    assert await client.chunk() == b"up to ten,"
    assert last_ids(backend.requests_for("/h26/next")) == [(b"h26; last-id=2",)]
    await publish(app, item("h26", 11, 10, **{"no-seq": True}))
    assert await client.chunk() == b"[11]"


async def test_a_stream_that_is_behind_from_the_start_asks_at_once(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await publish(app, item("late", 2, 1))
    await app.settle()
    backend.answers("/late/next", linked("late; prev-id=2", body=b"two,"))
    await open_stream(client, backend, "/late/", linked("late; prev-id=1", body=b"one,"))
    assert (await client.chunk(), await client.chunk()) == (b"one,", b"two,")


async def test_what_is_published_meanwhile_is_neither_lost_nor_told_twice(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    steps = linked("while; prev-id=11", body=b"up to eleven,").steps
    backend.answers("/while/next", Answer(steps=(gate, *steps)))
    await open_stream(client, backend, "/while/", linked("while; prev-id=1"))
    await publish(app, gap("while"))
    await app.advance(SOON)
    await backend.request()
    await backend.request()
    await publish(app, item("while", 11, 10), item("while", 12, 11), item("while", 13, 12))
    await app.settle()
    assert client.pending() == b""
    gate.set()
    assert [await client.chunk() for _ in range(3)] == [b"up to eleven,", b"[12]", b"[13]"]
    assert len(backend.requests_for("/while/next")) == 1


async def test_an_answer_that_is_older_than_what_came_meanwhile_is_not_the_last_word(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    old = linked("older; prev-id=5", body=b"five,").steps
    backend.answers("/older/next", Answer(steps=(gate, *old)), linked("older; prev-id=12", body=b"twelve,"))
    await open_stream(client, backend, "/older/", linked("older; prev-id=1"))
    await publish(app, gap("older"))
    await app.advance(SOON)
    await backend.request()
    await backend.request()
    await publish(app, item("older", 12, 11))
    await app.settle()
    gate.set()
    assert await client.chunk() == b"five,"
    await app.advance(SOON)
    assert await client.chunk() == b"twelve,"
    assert last_ids(backend.requests_for("/older/next")) == [(b"older; last-id=1",), (b"older; last-id=5",)]


async def test_what_waits_is_bounded(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    backend.answers("/flood/next", Answer(steps=(gate,)))
    await open_stream(client, backend, "/flood/", linked("flood; prev-id=1"))
    await publish(app, gap("flood"))
    await app.advance(SOON)
    before = (await app.counters())["link_overflows"]
    await publish(app, *(stream_item("flood", "x") for _ in range(100)))
    assert (await app.counters())["link_overflows"] == before
    await publish(app, stream_item("flood", "x"))
    await client.until_cut()
    assert (await app.counters())["link_overflows"] == before + 1
    gate.set()


async def test_h27_the_answer_replaces_the_instruction(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    keep_alive = ("Grip-Keep-Alive", r"beat; timeout=7")
    script = grip_stream(
        "h27-new", body=b"new,", headers=[("Grip-Link", "</h27/last>; rel=next; timeout=60"), keep_alive]
    )
    backend.answers("/h27/next", script)
    await open_stream(client, backend, "/h27/", linked("h27-old", "h27-new", seconds=10))
    await app.advance(11.5)  # ten seconds, a beat, and what the wheel may be late
    assert await client.chunk() == b"new,"
    await publish(app, stream_item("h27-old", "old"), stream_item("h27-new", "yes"))
    assert await client.chunk() == b"yes"
    await app.advance(7.2)
    assert await client.chunk() == b"beat"
    backend.answers("/h27/last", grip_stream("h27-old", body=b"last,"))
    while not backend.requests_for("/h27/last"):
        await app.advance(10)
    await publish(app, stream_item("h27-new", "no"), stream_item("h27-old", "old"))
    chunks = [await client.chunk()]
    while chunks[-1] != b"old":
        chunks.append(await client.chunk())
    assert b"last," in chunks
    assert b"no" not in chunks


async def test_h28_equal_requests_of_one_moment_are_one(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/h28/next", linked("h28; prev-id=10", body=b"ten,"))
    async with crowd(app.proxy_address, 51) as clients:
        for client in clients[:50]:
            await open_stream(client, backend, "/h28/", linked("h28; prev-id=1"))
        await open_stream(clients[50], backend, "/h28/", linked("h28; prev-id=1", link="next?other"))
        await publish(app, gap("h28"))
        await app.advance(SOON)
        for client in clients:
            assert await client.chunk() == b"ten,"
        await publish(app, item("h28", 11, 10))
        for client in clients:
            assert await client.chunk() == b"[11]"
    targets = [each.target for each in backend.requests_for("/h28/next")]
    assert set(targets) == {b"/h28/next", b"/h28/next?other"}
    assert targets.count(b"/h28/next") <= int(os.environ.get("HOLDFAST_TEST_WORKERS", "1"))


async def test_one_who_leaves_does_not_stop_the_others(app: AppProcess, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    steps = linked("leaver; prev-id=10", body=b"ten,").steps
    backend.answers("/leaver/next", Answer(steps=(gate, *steps)))
    async with crowd(app.proxy_address, 2) as clients:
        for client in clients:
            await open_stream(client, backend, "/leaver/", linked("leaver; prev-id=1"))
        held = (await app.counters())["sessions_stream"]
        await publish(app, gap("leaver"))
        await app.advance(SOON)
        for _ in range(3):
            await backend.request()
        clients[0].reset()
        await app.until(lambda counters: counters["sessions_stream"] == held - 1)
        gate.set()
        assert await clients[1].chunk() == b"ten,"


async def test_when_the_last_one_leaves_nothing_is_fetched(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/alone/next", answer(asyncio.Event()))
    await open_stream(client, backend, "/alone/", linked("alone; prev-id=1"))
    await publish(app, gap("alone"))
    await app.advance(SOON)
    await backend.request()
    fetch = await backend.request()
    client.close()
    await backend.disconnected(fetch.connection)


# -- the end --------------------------------------------------------------------------------------------------------


async def test_h33_the_backend_is_told_when_the_client_leaves(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/gone/gone", text(b""))
    await open_stream(client, backend, "/gone/", linked("gone", gone="gone"))
    client.close()
    request = await backend.request()
    while request.method != b"POST":
        request = await backend.request()
    assert (request.target, request.body) == (b"/gone/gone", b"")


async def test_h33_and_when_the_stream_ends_and_when_there_is_no_other_link(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/over/gone", text(b""))
    await open_stream(client, backend, "/over/", grip_stream("over", headers=[("Grip-Link", "</over/gone>; rel=gone")]))
    await app.advance(300)
    await publish(app, close_item("over"))
    assert await client.chunk() == b""
    while not backend.requests_for("/over/gone"):
        await backend.request()
    assert (await client.fetch("/next")).body == b"hello\n"
    assert len(backend.requests_for("/over/gone")) == 1


async def test_h42_recover_has_streams_ask_too(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/h42/next", linked("h42", body=b"next,"))
    await open_stream(client, backend, "/h42/", linked("h42"))
    async with await RawClient.connect(app.publish_address) as operator:
        assert (await operator.fetch("/recover", method="POST")).status == 200
    await app.advance(SOON)
    assert await client.chunk() == b"next,"


async def test_a_large_page_does_not_outrun_its_client(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    size, count = 65_536, 160
    backend.answers("/large/", page(b"one,"))
    backend.answers("/large/next", chunked(*[b"x" * size] * count))
    await client.send_request("/large/")
    await client.head()
    assert await client.chunk() == b"one,"
    total = 0
    while data := await client.chunk():
        total += len(data)
    assert total == size * count


async def test_a_stop_ends_streams_that_are_fetching(backend: ScriptedBackend) -> None:
    backend.answers("/stop/next", answer(asyncio.Event()))
    backend.answers("/stop/gone", text(b""))
    async with (
        AppProcess(f"* {backend.address}", settings=("proxy.drain_timeout=2",)) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await open_stream(client, backend, "/stop/", linked("stop; prev-id=1", gone="gone"))
        await publish(app, gap("stop"))
        await app.advance(SOON)
        await backend.request()
        await backend.request()
        app.signal(signal.SIGTERM)
        await app.log_line("stopping")
        await app.advance(3)
        assert await client.chunk() == b""
        assert await app.exit_status() == 0
    assert len(backend.requests_for("/stop/gone")) == 1
