"""Next links that fail, that lead nowhere, and that lead elsewhere (reference 3.9; rows H29 to H32)."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.holding import open_stream
from tests.e2e.linking import SOON, gap, item, last_ids, linked, page
from tests.support.answers import Answer, answer, chunked, close_without_answer, grip_response, grip_stream, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import publish

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"*,path_beg=/debug/,debug {backend.address}",
        f"*,path_beg=/pre/,prefix=p- {backend.address}",
        f"*,path_beg=/moved/,replace_beg=/there/,path_rem=7 {backend.address}",
        f"* {backend.address}",
    )


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return ("proxy.sig_key=secret",)


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("status", text(b"no", status=500)),
        ("silence", close_without_answer()),
        ("encoding", text(b"x", headers=[(b"Content-Encoding", b"gzip")])),
        ("instruct", text(b"x", headers=[(b"Grip-Hold", b"what")])),
    ],
)
async def test_h29_a_link_that_fails_is_tried_again(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, name: str, script: Answer
) -> None:
    path = f"/h29-{name}/next"
    backend.answers(path, script)
    await open_stream(client, backend, f"/h29-{name}/", linked(f"{name}; prev-id=1"))
    before = await app.counters()
    await publish(app, gap(name))
    await app.advance(SOON)
    for number, seconds in enumerate((1, 2, 4, 8, 16), start=1):
        await app.log_line(rf"link http://example.com{path}: .*; to be tried again")
        failed_at, _ = await app.times()
        while (await app.counters())["link_requests"] == before["link_requests"] + number:
            await app.advance(0.125)
        assert seconds - SOON <= (await app.times())[0] - failed_at <= seconds + SOON
    assert await client.chunk() == b""
    assert set(last_ids(backend.requests_for(path))) == {(f"{name}; last-id=1".encode(),)}
    after = await app.counters()
    assert after["link_requests"] - before["link_requests"] == 6
    assert after["link_failures"] - before["link_failures"] == 1
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_h29_one_that_works_again_goes_on(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/again/next", text(b"no", status=503), linked("again; prev-id=10", body=b"ten,"))
    await open_stream(client, backend, "/again/", linked("again; prev-id=1"))
    await publish(app, gap("again"))
    await app.advance(SOON)
    await app.log_line(r"/again/next: .*status 503; to be tried again")
    await publish(app, item("again", 11, 10))
    await app.advance(1.5)
    assert (await client.chunk(), await client.chunk()) == (b"ten,", b"[11]")


async def test_h29_what_breaks_in_the_middle_is_the_end(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nGrip-Hold: stream\r\nGrip-Channel: x\r\n\r\nsome,"
    backend.answers("/middle/next", answer(head, gate))
    await open_stream(client, backend, "/middle/", linked("middle; prev-id=1"))
    await publish(app, gap("middle"))
    await app.advance(SOON)
    assert await client.chunk() == b"some,"
    await backend.drop_connections()
    assert await client.chunk() == b""
    await app.log_line(r"/middle/: stream ended: ")


async def test_h30_an_answer_without_a_hold_is_the_end(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    gate = asyncio.Event()
    backend.answers("/h30/next", chunked(b"one,", gate, b"two"))
    await open_stream(client, backend, "/h30/", linked("h30; prev-id=1"))
    await publish(app, gap("h30"))
    await app.advance(SOON)
    assert await client.chunk() == b"one,"
    gate.set()
    assert (await client.chunk(), await client.chunk()) == (b"two", b"")
    assert (await client.fetch("/next")).body == b"hello\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (grip_response("x", body=b"body"), b"Next link returned non-stream hold."),
        (grip_stream("x; prev-id=1", body=b"body"), b"channel 'x' specifies prev-id, but no next link found"),
    ],
    ids=["response", "H32"],
)
async def test_an_answer_that_nothing_can_follow_is_the_end(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, script: Answer, reason: bytes
) -> None:
    channel = f"fault {len(reason)}"
    backend.answers("/debug/next", script)
    await open_stream(client, backend, "/debug/", linked(f"{channel}; prev-id=1"))
    await publish(app, gap(channel))
    await app.advance(SOON)
    assert (await client.chunk(), await client.chunk()) == (b"body\n\n" + reason + b"\n", b"")


async def test_a_link_that_leads_nowhere_is_refused(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/nowhere", linked("nowhere", link="http://user@host/"))
    assert (await client.fetch("/nowhere")).status == 502


# -- where a link leads ---------------------------------------------------------------------------------------------


async def test_h31_a_link_to_another_host_is_asked_directly(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    async with ScriptedBackend() as other:
        other.answers("/their/next", page(b"theirs,", link="more"))
        other.answers("/their/more", page(b"more,", link="http://example.com/h31/back"))
        backend.answers("/h31/back", text(b"ours"))
        backend.answers("/h31/", page(b"one,", link=f"http://{other.address}/their/next?a=b"))
        assert (await client.fetch("/h31/")).body == b"one,theirs,more,ours"
        first = other.requests[0]
        assert first.target == b"/their/next?a=b"
        assert first.values(b"host") == (other.address.encode(),)
        assert len(first.values(b"grip-sig")) == 1


async def test_a_link_on_the_same_route_is_rewritten_as_it_says(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/there/a", page(b"one,", link="/moved/b"))
    backend.answers("/there/b", page(b"two,", link="/elsewhere"))
    backend.answers("/elsewhere", text(b"three"))
    assert (await client.fetch("/moved/a")).body == b"one,two,three"


async def test_channels_are_prefixed_in_every_answer(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/pre/next", linked("b; prev-id=1", body=b"b,"))
    await open_stream(client, backend, "/pre/", page(b"a,", "a; prev-id=1"))
    assert (await client.chunk(), await client.chunk()) == (b"a,", b"b,")
    await publish(app, item("p-b", 2, 1), item("b", 3, 2))
    assert await client.chunk() == b"[2]"
    assert last_ids(backend.requests_for("/pre/next")) == [(b"a; last-id=1",)]


async def test_a_relative_link_never_leads_to_a_host_that_the_client_names(backend: ScriptedBackend) -> None:
    """Whoever names it would be sent a Grip-Sig that the backend takes, and its answer would be obeyed."""
    routes = f"*,path_beg=/api/,replace_beg=/,sig_iss=realm,sig_key=secret {backend.address}"
    async with (
        ScriptedBackend() as theirs,
        AppProcess(routes) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        theirs.default = text(b"theirs", headers=[(b"Grip-Hold", b"stream"), (b"Grip-Channel", b"secret")])
        backend.answers("/more", text(b"ours"))
        backend.answers("/gone", text(b""))
        links = [("Grip-Link", "</more?pos=1>; rel=next"), ("Grip-Link", "</gone>; rel=gone")]
        backend.answers("/events", text(b"one,", headers=[(a.encode(), b.encode()) for a, b in links]))
        await client.send_request("/api/events", host=theirs.address)
        assert (await client.response()).body == b"one,ours"
        await app.until(lambda counters: counters["gone_notices"] == 1)
        assert theirs.requests == []
