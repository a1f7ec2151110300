"""The links of held connections: which way each takes, what is asked together, what a backend is told at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from handlers.linked_stream import BEATS
from proxy.app import App
from proxy.links import GONE_LIMIT, LAST_SECONDS, Links
from proxy.protocol.link_uri import follow, request_uri
from proxy.protocol.next_link import PAGES
from proxy.protocol.route import Proto
from proxy.router import LineSource, LoadedRoute, Router
from tests.proxy.in_process import advance, census, client_of, running
from tests.support.answers import grip_response, grip_stream, never, text
from tests.support.backend import ScriptedBackend
from tests.support.client import encode_request
from tests.support.publisher import publish, response_item
from tests.support.turns import settle, until

BASE = request_uri(is_tls=False, authority=b"a.example", path=b"/one/x")
GONE = ("Grip-Link", "</gone>; rel=gone")


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}") as app:
        yield app


@pytest.fixture
def router() -> Router:
    lines = ("a.example,path_beg=/one/ localhost:1", "a.example,path_beg=/two/ localhost:1")
    router = Router(LineSource(lines=lines), default_iss="", default_key=None)
    router.load()
    return router


def route_of(router: Router, path: bytes) -> LoadedRoute:
    found = router.select(host="a.example", proto=Proto.HTTP, ssl=False, path=path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("reference", "route", "is_internal"),
    [
        ("/one/y", b"/one/", True),
        ("http://A.example:80/one/y?z", b"/one/", True),
        ("/two/y", b"/two/", True),
        ("/three/y", b"/one/", True),
        ("https://a.example/one/y", b"/one/", True),
        ("https://a.example/two/y", b"/two/", True),
        ("https://a.example:443/one/y", b"/one/", False),
        ("http://a.example:81/one/y", b"/one/", False),
        ("http://b.example/two/y", b"/one/", False),
    ],
)
async def test_a_link_takes_the_route_a_client_would_take_or_goes_directly(
    app: App, router: Router, reference: str, route: bytes, is_internal: bool
) -> None:
    links = Links(site=app.side.links.site, room=app.side.site, router=router)
    way = links.way(route_of(router, b"/one/x"), BASE, follow(BASE, reference))
    assert (way.loaded, way.is_internal) == (route_of(router, route), is_internal)


async def test_a_hold_without_links_gets_nothing(backend: ScriptedBackend) -> None:
    backend.answers("/poll", grip_response("room"))
    backend.answers("/stream", grip_stream("room"))
    async with running(f"* {backend.address}") as app, await client_of(app) as one, await client_of(app) as two:
        await one.send(encode_request("/poll"))
        await two.send(encode_request("/stream"))
        await until(lambda: len(app.edge.sessions) == 2)
        assert {type(session).__name__ for session in app.edge.sessions} == {"ResponseSession", "StreamSession"}
        assert not any(session.can_update for session in app.edge.sessions if type(session).__name__ == "StreamSession")
        assert len(app.side.links.site.errands) == 0


async def test_streams_that_ask_for_the_same_ask_on_the_same_beats(backend: ScriptedBackend) -> None:
    links = [("Grip-Link", "</next>; rel=next; timeout=20")]
    backend.answers("/stream", grip_stream("room", headers=links))
    backend.answers("/next", grip_stream("room", headers=links))
    async with running(f"* {backend.address}") as app:
        clients = [await client_of(app) for _ in range(3)]
        for client in clients:
            await client.send(encode_request("/stream"))
            await client.head()
            await advance(app, 0.5)
        await until(lambda: len(app.edge.sessions) == 3)
        assert len({round(session.deadline % (20 / BEATS), 3) for session in app.edge.sessions}) == 1
        await advance(app, 40)
        await until(lambda: backend.requests_for("/next"))
        await settle()
        assert app.counters.link_requests in (1, 2)
        for client in clients:
            client.close()


async def test_backends_are_told_of_the_last_ends_for_a_moment(
    backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answers("/poll", grip_response("room", headers=[GONE]))
    backend.answers("/gone", text(b""), never())
    async with running(f"* {backend.address}") as app:
        clients = [await client_of(app) for _ in range(2)]
        for client in clients:
            await client.send(encode_request("/poll"))
        await until(lambda: len(app.edge.sessions) == 2)
        for client in clients:
            client.close()
        await until(lambda: len(backend.requests_for("/gone")) == 2)
        closing = asyncio.create_task(app.side.links.close())
        await advance(app, LAST_SECONDS + 1)
        await closing
        assert (app.counters.gone_notices, app.counters.gone_notices_lost) == (1, 1)
        assert "stopping: backends may not know of 1 ends of holds" in caplog.messages


@pytest.mark.parametrize(("status", "body", "told"), [(200, b"", 1), (204, b"", 1), (200, b"words", 1), (404, b"", 0)])
async def test_an_end_is_told_once_whatever_is_answered(
    backend: ScriptedBackend, status: int, body: bytes, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answers("/poll", grip_response("room", headers=[GONE]))
    backend.answers("/gone", text(body, status=status))
    async with running(f"* {backend.address}") as app, await client_of(app) as client:
        await client.send(encode_request("/poll"))
        await until(lambda: app.edge.sessions)
        await publish(app, response_item("room", "news"))
        await client.response()
        await until(lambda: app.counters.gone_notices + app.counters.gone_notices_lost)
        assert (app.counters.gone_notices, len(backend.requests_for("/gone"))) == (told, 1)
    assert any("should be empty" in text for text in caplog.messages) is bool(body)


async def test_so_many_ends_may_wait_for_one_place(
    app: App, backend: ScriptedBackend, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    backend.default = never()
    links = app.side.links
    way = links.way(route_of(router, b"/one/x"), BASE, follow(BASE, "/one/gone"))
    elsewhere = links.way(route_of(router, b"/one/x"), BASE, follow(BASE, f"http://{backend.address}/gone"))
    for _ in range(GONE_LIMIT + 2):
        links.tell_gone(way, "the label")
    links.tell_gone(elsewhere, "another")
    assert app.counters.gone_notices_lost == 2
    why = f"the label: its backend does not know of the end: {GONE_LIMIT} others wait to be told"
    assert caplog.messages == [why, why]
    links.site.errands.cancel_all()
    await links.site.errands.all_done()
    links.tell_gone(way, "the label")
    assert app.counters.gone_notices_lost == 2


async def test_a_link_that_leads_to_itself_is_not_hurried_through(
    backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answers("/", text(b"again,", headers=[(b"Grip-Link", b"</>; rel=next")]))
    async with running(f"* {backend.address}") as app, await client_of(app) as client:
        await client.send(encode_request("/"))
        await client.head()
        for number in range(1, 4):
            await until(lambda: app.counters.link_requests == number)  # noqa: B023  # it is asked for at once
            await settle()
            assert len(backend.requests) == number + 1
            await advance(app, 1.1)
        said = "its next link leads to itself, so it is asked every 1 seconds (said once)"
        assert sum(said in message for message in caplog.messages) == 1


async def test_pages_without_end_are_not_hurried_through(
    backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(PAGES + 10):
        backend.answers(f"/{number}", text(b"page,", headers=[(b"Grip-Link", b"</%d>; rel=next" % (number + 1))]))
    async with running(f"* {backend.address}") as app, await client_of(app) as client:
        await client.send(encode_request("/0"))
        await client.head()
        await until(lambda: any("pages in a row" in message for message in caplog.messages))
        await settle()
        assert app.counters.link_requests == PAGES + 1
        await advance(app, 1.1)
        await until(lambda: app.counters.link_requests == PAGES + 2)


async def test_nothing_is_left_of_a_stream_that_has_ended(backend: ScriptedBackend) -> None:
    links = [("Grip-Link", "</next>; rel=next; timeout=5"), GONE]
    backend.answers("/stream", grip_stream("room; prev-id=1", headers=links))
    backend.answers("/next", grip_stream("room; prev-id=1", headers=links), never())
    backend.answers("/gone", text(b""))
    kinds = ("LinkedStreamSession", "HoldLink", "Fetch", "LinkWay")
    before = census(*kinds)
    async with running(f"* {backend.address}") as app:
        for number in range(3):
            async with await client_of(app) as client:
                await client.send(encode_request("/stream"))
                await client.head()
                await until(lambda: app.edge.sessions)
                await advance(app, 11)
                await until(lambda: app.counters.link_requests > number)  # noqa: B023  # it is asked for at once
            await until(lambda: app.counters.gone_notices > number)  # noqa: B023
        await until(lambda: not len(app.side.links.site.errands))
        assert census(*kinds, collects=False) == before
