"""Filters that a backend is asked about: `http-check` and `http-modify` (reference 6.6; row H40)."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.conversing import connected, message_item
from tests.e2e.holding import open_poll, open_stream
from tests.e2e.linking import SOON, gap, item
from tests.support.answers import Answer, answer, chunk, grip_response, grip_stream, head, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events
from tests.support.http import Request
from tests.support.publisher import Json, close_item, publish, response_item, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASS = text(b"")
NOTHING = text(b"", status=204)
DROP = text(b"", headers=[(b"Action", b"drop")])


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"*,path_beg=/debug/,debug {backend.address}",
        f"*,path_beg=/pre/,prefix=p- {backend.address}",
        f"*,proto=ws {backend.address},over_http",
        f"* {backend.address}",
    )


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return ("proxy.sig_key=secret",)


def meta(url: str, **others: str) -> tuple[str, str]:
    return "Grip-Set-Meta", ", ".join(f'{name}="{value}"' for name, value in {"url": url, **others}.items())


def held(channel: str, *filters: str, url: str = "filter", **others: str) -> Answer:
    names = "".join(f"; filter={name}" for name in filters)
    return grip_stream(channel + names, headers=[meta(url, **others)])


async def asked(backend: ScriptedBackend, path: str, number: int = 1) -> Request:
    """Return the request by which a filter was asked for that time."""
    while len(backend.requests_for(path)) < number:
        await backend.request()
    return backend.requests_for(path)[number - 1]


def slow(gate: asyncio.Event, body: bytes = b"") -> Answer:
    """An answer that comes when the gate is opened."""
    return answer(
        gate, head(200, b"OK", [(b"Transfer-Encoding", b"chunked")]), *([chunk(body)] if body else []), b"0\r\n\r\n"
    )


async def test_h40_http_check_asks_about_each_item(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/check/filter", PASS, DROP, NOTHING)
    await open_stream(client, backend, "/check/", held("check", "http-check", user="ann"))
    before = await app.counters()
    for content in ("[1]", "[2]", "[3]"):
        await publish(app, {**stream_item("check", content), "meta": {"sender": "bob", "é": 'q"'}})
    assert (await client.chunk(), await client.chunk()) == (b"[1]", b"[3]")
    request = await asked(backend, "/check/filter")
    assert (request.method, request.body, request.values(b"content-length")) == (b"POST", b"", (b"0",))
    assert json.loads(request.values(b"sub-meta")[0]) == {"url": "filter", "user": "ann"}
    assert json.loads(request.values(b"pub-meta")[0]) == {"sender": "bob", "é": 'q"'}
    assert request.values(b"grip-sig")
    assert request.values(b"host") == (b"example.com",)
    after = await app.counters()
    assert after["filter_requests"] - before["filter_requests"] == 3
    assert after["deliveries_filtered"] - before["deliveries_filtered"] == 1


async def test_h40_http_modify_replaces_what_is_sent(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/modify/filter", text(b"new"), NOTHING, DROP, text(b"last"))
    await open_stream(client, backend, "/modify/", held("modify", "http-modify", url="/modify/filter?x=1"))
    await publish(app, *[stream_item("modify", content) for content in ("one", "two", "three", "four")])
    assert (await client.chunk(), await client.chunk(), await client.chunk()) == (b"new", b"two", b"last")
    assert [request.body for request in backend.requests_for("/modify/filter")] == [b"one", b"two", b"three", b"four"]
    assert (await asked(backend, "/modify/filter")).target == b"/modify/filter?x=1"


async def test_h40_filters_run_in_the_order_in_which_they_are_named(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/order/filter", text(b"%(user)s"))
    stream = held("order", "skip-self", "var-subst", "http-modify", "var-subst", user="ann")
    await open_stream(client, backend, "/order/", stream)
    await publish(app, {**stream_item("order", "own"), "meta": {"sender": "ann"}}, stream_item("order", "for %(user)s"))
    assert await client.chunk() == b"ann"
    assert [request.body for request in backend.requests_for("/order/filter")] == [b"for ann"]


async def test_h40_what_comes_behind_an_item_waits_for_it_on_whatever_channel(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/wait/filter", slow(gate), PASS)
    stream = grip_stream("wait; filter=http-check", "beside", headers=[meta("filter")])
    async with await RawClient.connect(app.proxy_address) as plain:
        await open_stream(plain, backend, "/plain", grip_stream("wait", "beside"))
        await open_stream(client, backend, "/wait/", stream)
        await publish(app, stream_item("wait", "[1]"))
        await asked(backend, "/wait/filter")
        await publish(app, stream_item("beside", "[2]"))
        await publish(app, stream_item("wait", "[3]"), close_item("beside"))
        assert [await plain.chunk() for _ in range(4)] == [b"[1]", b"[2]", b"[3]", b""], "others do not wait"
        await app.settle()
        assert client.pending() == b""
        gate.set()
        assert [await client.chunk() for _ in range(4)] == [b"[1]", b"[2]", b"[3]", b""]


async def test_h40_a_filter_sees_where_the_connection_stands(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/pre/filter", DROP, PASS)
    headers = [meta("filter", id_format="%(seen)s"), ("Grip-Link", "<next>; rel=next")]
    channel = "seen; prev-id=1; filter=http-check; filter=build-id"
    await open_stream(client, backend, "/pre/", grip_stream(channel, headers=headers))
    for number in (2, 3):
        await publish(app, {**stream_item("p-seen", "at %I"), "id": str(number), "prev-id": str(number - 1)})
    assert await client.chunk() == b"at 3"
    assert (await asked(backend, "/pre/filter")).values(b"grip-last") == (b"seen; last-id=2",)
    assert (await asked(backend, "/pre/filter", 2)).values(b"grip-last") == (b"seen; last-id=3",)


async def test_h40_a_next_link_is_asked_from_behind_what_filters_have_answered(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/gap/filter", slow(gate), PASS)
    link = ("Grip-Link", "<next>; rel=next")
    await open_stream(
        client, backend, "/gap/", grip_stream("gap; prev-id=1; filter=http-check", headers=[meta("filter"), link])
    )
    again = grip_stream("gap; prev-id=10; filter=http-check", body=b"2 to 10,", headers=[meta("filter"), link])
    backend.answers("/gap/next", again)
    await publish(app, item("gap", 2, 1))
    await asked(backend, "/gap/filter")
    await publish(app, gap("gap"))
    await app.settle()
    gate.set()
    assert await client.chunk() == b"[2]"
    await app.advance(SOON)
    assert await client.chunk() == b"2 to 10,"
    assert backend.requests_for("/gap/next")[0].values(b"grip-last") == (b"gap; last-id=2",)
    await publish(app, item("gap", 11, 10, **{"no-seq": True}))
    assert await client.chunk() == b"[11]"


async def test_h40_long_polls_are_answered_by_the_first_item_that_passes(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/poll/filter", DROP, text(b"new body"))
    channels = "polled; filter=http-modify"
    await open_poll(app, client, backend, "/poll/", grip_response(channels, headers=[meta("filter")]))
    await publish(app, response_item("polled", "one"), response_item("polled", "two", code=201))
    answer = await client.response()
    assert (answer.status, answer.body) == (201, b"new body")


async def test_h40_websockets_ask_too(app: AppProcess, backend: ScriptedBackend) -> None:
    start = events(
        OPEN,
        control("set-meta", name="url", value="/socket/filter"),
        control("subscribe", channel="free"),
        control("subscribe", channel="socket", filters=["http-modify"]),
    )
    gate = asyncio.Event()
    backend.answers("/socket/filter", slow(gate, b"modified"), DROP, text(b"last"))
    async with connected(app, backend, "/socket", start) as client:
        await publish(app, message_item("socket", "one"))
        await asked(backend, "/socket/filter")
        await publish(app, message_item("free", "two"), message_item("socket", "three"), message_item("socket", "four"))
        gate.set()
        assert [await client.heard() for _ in range(3)] == ["modified", "two", "last"]


@pytest.mark.parametrize(
    ("name", "script", "reason"),
    [
        ("status", text(b"", status=500), "http-check: status 500"),
        ("garbage", answer(b"what?\r\n\r\n"), "http-check: .*the backend's answer is not HTTP"),
    ],
)
async def test_h40_an_answer_that_is_none_costs_the_item(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, name: str, script: Answer, reason: str
) -> None:
    backend.answers(f"/{name}/filter", script, PASS)
    await open_stream(client, backend, f"/{name}/", held(name, "http-check"))
    before = await app.counters()
    await publish(app, stream_item(name, "[1]"), stream_item(name, "[2]"))
    assert await client.chunk() == b"[2]"
    await app.log_line(f"channel={name} item not delivered: {reason}")
    assert (await app.counters())["filters_failed"] - before["filters_failed"] == 1


async def test_h40_an_answer_that_does_not_come_in_time_costs_the_item(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/late/filter", slow(asyncio.Event()), PASS)
    await open_stream(client, backend, "/late/", held("late", "http-check"))
    await publish(app, stream_item("late", "[1]"), stream_item("late", "[2]"))
    await asked(backend, "/late/filter")
    await app.advance(10.5)
    assert await client.chunk() == b"[2]"
    await app.log_line("channel=late item not delivered: http-check: no answer within 10 seconds")


async def test_h40_on_a_debug_route_an_error_ends_the_stream(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/debug/filter", text(b"", status=404))
    await open_stream(client, backend, "/debug/", held("debug", "http-check"))
    await publish(app, stream_item("debug", "[1]"))
    assert [await client.chunk(), await client.chunk()] == [b"\n\nhttp-check: status 404\n", b""]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no meta 'url'"),
        ("with a space", "meta 'url' is not a URL"),
        ("ftp://example.com/", "no host that can be asked"),
        ("http://user@example.com/", "no host that can be asked"),
    ],
)
async def test_h40_a_url_that_leads_nowhere_costs_the_item(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, url: str, reason: str
) -> None:
    await open_stream(client, backend, "/debug/url", held("url", "http-check", url=url))
    await publish(app, stream_item("url", "[1]"))
    assert reason.encode() in await client.chunk()


async def test_h40_a_url_of_another_host_is_asked_directly(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/elsewhere", PASS)
    await open_stream(
        client, backend, "/direct", held("direct", "http-check", url=f"http://{backend.address}/elsewhere")
    )
    await publish(app, stream_item("direct", "[1]"))
    assert await client.chunk() == b"[1]"
    assert (await asked(backend, "/elsewhere")).values(b"host") == (backend.address.encode(),)


async def test_h40_who_leaves_takes_what_waits_along(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/leaving/filter", slow(gate))
    await open_stream(client, backend, "/leaving/", held("leaving", "http-check"))
    before = await app.counters()
    await publish(app, stream_item("leaving", "[1]"), stream_item("leaving", "[2]"))
    await asked(backend, "/leaving/filter")
    client.close()
    await app.log_line("/leaving/ ended with 2 items that waited for its filters")
    assert (await app.counters())["filter_items_left"] - before["filter_items_left"] == 2
    gate.set()


async def test_h40_who_has_too_many_waiting_is_cut(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/many/filter", slow(asyncio.Event()))
    await open_stream(client, backend, "/many/", held("many", "http-check"))
    before = await app.counters()
    await publish(app, *[stream_item("many", "x") for _ in range(100)])
    await app.settle()
    assert (await app.counters())["filter_overflows"] == before["filter_overflows"]
    await publish(app, stream_item("many", "x"))
    await client.until_cut()
    assert (await app.counters())["filter_overflows"] - before["filter_overflows"] == 1


async def test_h40_a_url_is_asked_about_a_hundred_times_a_second(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/pace/filter", PASS)
    await open_stream(client, backend, "/pace/", held("pace", "http-check"))
    items: list[Json] = [stream_item("pace", f"[{number}]") for number in range(30)]
    await publish(app, *items)
    for number in range(12):
        assert await client.chunk() == f"[{number}]".encode()
    await app.settle()
    assert len(backend.requests_for("/pace/filter")) == 12
    for number in range(12, 30):
        while not client.pending():
            await app.advance(0.125)
            await app.settle()
        assert await client.chunk() == f"[{number}]".encode()
