"""Long polls whose backend says what it has seen last (reference 3.6, 3.8, 3.10; rows H16 to H20, H33, H42)."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.holding import one_more_held, open_poll
from tests.support.answers import Answer, grip_response, never, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd
from tests.support.http import Request
from tests.support.publisher import hint_item, publish, response_item
from tests.support.turns import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 0.3
"""Seconds within which a batch of retries has begun (reference 3.8)."""


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (f"*,path_beg=/prefixed/,prefix=p- {backend.address}", f"* {backend.address}")


def last_ids(request: Request) -> tuple[bytes, ...]:
    return request.values(b"grip-last")


async def test_h16_a_poll_that_is_behind_goes_back_at_once(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await publish(app, response_item("h16", "two") | {"id": "2", "prev-id": "1"})
    await app.settle()
    backend.answers("/h16", grip_response("h16; prev-id=1"), text(b"fresh\n"))
    assert (await client.fetch("/h16", headers=[("Grip-Last", "h16; last-id=9")])).body == b"fresh\n"
    first, again = await backend.request(), await backend.request()
    assert (last_ids(first), last_ids(again)) == ((), (b"h16; last-id=1",))


async def test_h16_so_does_everybody_who_asked_before_it_came(app: AppProcess, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    first = grip_response("h16-all; prev-id=1")
    backend.answers("/h16-all", *[Answer(steps=(gate, *first.steps))] * 15, text(b"fresh\n"))
    async with crowd(app.proxy_address, 15) as clients:
        for client in clients:
            await client.send_request("/h16-all")
        await until(lambda: len(backend.requests_for("/h16-all")) == 15)
        await publish(app, response_item("h16-all", "two") | {"id": "2", "prev-id": "1"})
        await app.settle()
        gate.set()
        while len(backend.requests_for("/h16-all")) < 30:
            await app.advance(0.1)
        assert [(await client.response()).body for client in clients] == [b"fresh\n"] * 15
    assert {last_ids(each) for each in backend.requests_for("/h16-all")[15:]} == {(b"h16-all; last-id=1",)}


async def test_h17_a_poll_that_something_does_not_follow_goes_back(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/h17", grip_response("h17; prev-id=1", "h17-b; prev-id=x", "h17-c"))
    backend.answers("/h17", text(b"fresh\n"))
    await publish(app, response_item("h17", "three") | {"id": "3", "prev-id": "2", "no-seq": True})
    assert client.pending() == b""
    await app.advance(SOON)
    assert (await client.response()).body == b"fresh\n"
    assert last_ids(backend.requests_for("/h17")[-1]) == (b"h17; last-id=1", b"h17-b; last-id=x")
    # ... and that goes with this one request only.
    assert (await client.fetch("/h17")).body == b"fresh\n"
    assert last_ids(backend.requests_for("/h17")[-1]) == ()


async def test_h18_an_item_that_names_no_other_does_not_follow(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/h18", grip_response("h18; prev-id=1"))
    backend.answers("/h18", text(b"fresh\n"))
    await publish(app, response_item("h18", "plain"))
    await app.advance(SOON)
    assert (await client.response()).body == b"fresh\n"


async def test_what_follows_answers_the_poll(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    await open_poll(app, client, backend, "/next", grip_response("next; prev-id=1"))
    await publish(app, response_item("next", "two") | {"id": "2", "prev-id": "1"})
    assert (await client.response()).body == b"two"


async def test_an_item_that_the_backend_has_told_of_is_no_news(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/told", grip_response("told; prev-id=2"))
    await publish(app, response_item("told", "two") | {"id": "2", "prev-id": "1"})
    await app.advance(SOON)
    assert len(backend.requests_for("/told")) == 1
    await publish(app, response_item("told", "three") | {"id": "3", "prev-id": "2"})
    assert (await client.response()).body == b"three"


async def test_channels_are_named_as_the_backend_names_them(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/prefixed/a", grip_response("room; prev-id=1"))
    backend.answers("/prefixed/a", text(b"fresh\n"))
    await publish(app, response_item("p-room", "x"))
    await app.advance(SOON)
    assert (await client.response()).body == b"fresh\n"
    assert last_ids(backend.requests_for("/prefixed/a")[-1]) == (b"room; last-id=1",)


async def test_h20_h23_a_hint_carries_what_was_seen_too(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/h23", grip_response("h23; prev-id=7"), method="POST", body=b"payload")
    backend.answers("/h23", text(b"fresh\n"))
    # A hint is in the channel's order, as every item is.
    await publish(app, hint_item("h23") | {"id": "8", "prev-id": "7"})
    assert (await client.response(method="POST")).body == b"fresh\n"
    again = backend.requests_for("/h23")[-1]
    assert (again.method, again.body, last_ids(again)) == (b"POST", b"payload", (b"h23; last-id=8",))


async def test_h19_the_first_on_a_channel_asks_once_more(backend: ScriptedBackend) -> None:
    settings = ("hold.update_on_first_subscription=true",)
    async with (
        AppProcess(f"* {backend.address}", settings=settings) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await open_poll(app, client, backend, "/h19", grip_response("h19"))
        await app.advance(1.4)
        assert len(backend.requests_for("/h19")) == 2
        await publish(app, response_item("h19", "news"))
        assert (await client.response()).body == b"news"
        await app.advance(30)
        await open_poll(app, client, backend, "/h19", grip_response("h19"))
        await app.advance(5)
        assert len(backend.requests_for("/h19")) == 3


@pytest.mark.parametrize("length", ["Content-Length: 0\r\n", ""], ids=["length", "none"])
async def test_h42_recover_sends_all_polls_back(app: AppProcess, backend: ScriptedBackend, length: str) -> None:
    async with crowd(app.proxy_address, 5) as clients:
        for client in clients:
            await open_poll(app, client, backend, "/h42", grip_response("h42; prev-id=1"))
        backend.answers("/h42", text(b"fresh\n"))
        async with await RawClient.connect(app.publish_address) as operator:
            await operator.send(f"POST /recover/ HTTP/1.1\r\nHost: a\r\n{length}\r\n".encode())
            found = await operator.response(method="POST")
            assert (found.status, found.body) == (200, b"Updated\n")
        await app.advance(SOON)
        for client in clients:
            assert (await client.response()).body == b"fresh\n"
    assert [last_ids(each) for each in backend.requests_for("/h42")[5:]] == [(b"h42; last-id=1",)] * 5


async def test_recover_forgets_what_came_last(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    await publish(app, response_item("forgotten", "two") | {"id": "2"})
    await app.settle()
    async with await RawClient.connect(app.publish_address) as operator:
        assert (await operator.fetch("/recover", method="POST")).status == 200
    await open_poll(app, client, backend, "/forgotten", grip_response("forgotten; prev-id=1"))
    assert len(backend.requests_for("/forgotten")) == 1


# -- gone links -----------------------------------------------------------------------------------------------------

GONE = [("Grip-Link", "<gone?x=1>; rel=gone")]


async def test_h33_the_backend_is_told_when_a_poll_is_answered(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/gone/gone", text(b""))
    await open_poll(app, client, backend, "/gone/answered", grip_response("gone", headers=GONE))
    await publish(app, response_item("gone", "news"))
    assert (await client.response()).body == b"news"
    await app.until(lambda counters: counters["gone_notices"] == 1)
    (told,) = backend.requests_for("/gone/gone")
    assert (told.method, told.target, told.body) == (b"POST", b"/gone/gone?x=1", b"")
    assert told.values(b"grip-feature")
    assert told.values(b"content-length") == (b"0",)
    assert told.values(b"host") == (b"example.com",)


async def test_h33_the_backend_is_told_when_the_time_is_up_or_the_client_leaves(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    before = (await app.counters())["gone_notices"]
    backend.answers("/gone/gone", text(b""))
    await open_poll(app, client, backend, "/gone/timeout", grip_response("gone", headers=GONE))
    await app.advance(56)
    await client.response()
    await app.until(lambda counters: counters["gone_notices"] == before + 1)
    await open_poll(app, client, backend, "/gone/leaving", grip_response("gone", headers=GONE))
    client.close()
    await app.until(lambda counters: counters["gone_notices"] == before + 2)


async def test_d11_the_backend_is_not_told_when_the_poll_comes_back_to_it(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/gone/hinted", grip_response("hinted", headers=GONE))
    backend.answers("/gone/hinted", text(b"fresh\n"))
    await publish(app, hint_item("hinted"))
    assert (await client.response()).body == b"fresh\n"
    assert backend.requests_for("/gone/gone") == ()


async def test_a_backend_that_does_not_take_note_is_counted(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    before = (await app.counters())["gone_notices_lost"]
    backend.answers("/lost/gone", text(b"no", status=500), never())
    for path in ("/lost/refused", "/lost/silent"):
        await open_poll(app, client, backend, path, grip_response("lost", headers=GONE))
        await publish(app, response_item("lost", "news"))
        await client.response()
        await backend.request()
        await backend.request()
    await app.log_line(r"its backend does not know of the end: .*status 500")
    await app.advance(61)
    await app.log_line(r"its backend does not know of the end: no answer within 60 seconds")
    assert (await app.counters())["gone_notices_lost"] == before + 2


async def test_a_link_that_leads_nowhere_is_refused(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/nowhere", grip_response("nowhere", headers=[("Grip-Link", "<http://user@host/>; rel=gone")]))
    assert (await client.fetch("/nowhere")).status == 502
    async with one_more_held(app):
        backend.answers("/nowhere", grip_response("nowhere"))
        await client.send_request("/nowhere")
