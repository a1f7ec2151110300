"""Asking filters over HTTP: by which way, how often, and what comes of it. More is in `tests.e2e.test_http_filters`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import pytest

import proxy.http_filters
from handlers.protocol.http_filter import Dropped, Failed, Passed, Question, Verdict
from handlers.protocol.names import ItemId
from proxy.app import App
from proxy.http_filters import AT_ONCE, RATE, SECONDS, HttpFilters
from proxy.router import LineSource, Router
from tests.proxy.in_process import advance, census, running
from tests.support.answers import chunked, never, text
from tests.support.backend import ScriptedBackend
from tests.support.turns import settle, until


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}") as app:
        yield app


@pytest.fixture
def filters(app: App, backend: ScriptedBackend) -> HttpFilters:
    lines = (f"a.example,id=one {backend.address}", f"b.example,proto=ws {backend.address}")
    router = Router(LineSource(lines=lines), default_iss="", default_key=None)
    router.load()
    links = app.side.links
    return HttpFilters(site=links.site, links=links, router=router)


def question(
    url: str = "filter", *, name: str = "http-check", origin: str = "http://a.example/x/y", route: str = ""
) -> Question:
    return Question(
        filter=name,
        url=url,
        origin=origin,
        route=route,
        content=b"item",
        meta={},
        item_meta=(),
        last_seen=(("c", ItemId("1")),),
    )


class Hearing:
    """Whoever asked, and what it was told."""

    def __init__(self, filters: HttpFilters, asked: Question) -> None:
        self.verdict: Verdict | None = None
        self.call_off: Callable[[], None] = filters.ask(asked, self._hear)
        assert self.verdict is None, "not within the call"

    def _hear(self, verdict: Verdict) -> None:
        assert self.verdict is None, "once"
        self.verdict = verdict

    async def heard(self) -> Verdict:
        await until(lambda: self.verdict is not None)
        assert self.verdict is not None
        return self.verdict


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("filter", "http://a.example/x/y?z", "/x/filter"),
        ("/filter", "http://a.example/x/y", "/filter"),
        ("../filter", "https://a.example/x/y", "/filter"),
        ("filter", "ws://b.example/x/y", "/x/filter"),
        ("http://a.example/filter", "http://a.example/x/y", "/filter"),
        ("filter", f"http://a.example/x/{'y' * 1000}...(2000 bytes)", "/x/filter"),
        ("filter", "http://a.example/x/é\udcff", "/x/filter"),
    ],
)
async def test_a_relative_url_takes_the_route_of_the_sessions_request(
    filters: HttpFilters, backend: ScriptedBackend, url: str, origin: str, path: str
) -> None:
    backend.answers(path, text(b"new"))
    assert await Hearing(filters, question(url, name="http-modify", origin=origin)).heard() == Passed(content=b"new")
    (request,) = backend.requests_for(path)
    assert (request.method, request.body, request.values(b"grip-last")) == (b"POST", b"item", (b"c; last-id=1",))


async def test_the_route_is_that_which_the_session_names(filters: HttpFilters, backend: ScriptedBackend) -> None:
    backend.answers("/x/filter", text(b"", headers=[(b"Action", b"drop")]))
    assert await Hearing(filters, question(route="one")).heard() == Dropped()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (question("ftp://a.example/"), "no host that can be asked"),
        (question(origin="http://nowhere.example/"), "there is no route for http://nowhere.example/ any more"),
        (question(origin="/no/uri"), "no host that can be asked"),
    ],
)
async def test_a_url_that_leads_nowhere_is_a_failure(filters: HttpFilters, asked: Question, reason: str) -> None:
    verdict = await Hearing(filters, asked).heard()
    assert isinstance(verdict, Failed)
    assert reason in verdict.reason


async def test_content_over_the_limit_is_a_failure(filters: HttpFilters, backend: ScriptedBackend) -> None:
    backend.answers("/x/filter", text(b"x" * 100_000), text(b"x" * 100_001))
    assert await Hearing(filters, question(name="http-modify")).heard() == Passed(content=b"x" * 100_000)
    verdict = await Hearing(filters, question(name="http-modify")).heard()
    assert isinstance(verdict, Failed)
    assert verdict.reason.endswith("more than 100000 bytes of content")


async def test_a_body_that_nobody_wants_leaves_the_connection_usable(
    app: App, filters: HttpFilters, backend: ScriptedBackend
) -> None:
    backend.answers("/x/filter", chunked(b"ok", b"\n"))
    for _ in range(3):
        assert await Hearing(filters, question()).heard() == Passed()
        await advance(app, 0.1)  # a connection has to rest before another POST may go on it
    assert len({request.connection for request in backend.requests_for("/x/filter")}) == 1


async def test_when_routes_are_loaded_the_ways_are_found_anew(filters: HttpFilters, backend: ScriptedBackend) -> None:
    backend.answers("/x/filter", text(b""))
    assert await Hearing(filters, question()).heard() == Passed()
    filters.forget_ways()
    assert await Hearing(filters, question()).heard() == Passed()
    assert filters.site.counters.filter_requests == 2


async def test_a_backend_that_does_not_answer_is_a_failure(
    app: App, filters: HttpFilters, backend: ScriptedBackend
) -> None:
    backend.answers("/x/filter", never())
    hearing = Hearing(filters, question())
    await backend.request()
    await advance(app, SECONDS + 0.1)
    assert await hearing.heard() == Failed(reason="no answer within 10 seconds")


async def test_what_is_called_off_is_not_answered(app: App, filters: HttpFilters, backend: ScriptedBackend) -> None:
    backend.answers("/x/filter", never())
    hearing = Hearing(filters, question())
    await backend.request()
    hearing.call_off()
    await settle()
    assert (hearing.verdict, len(filters.site.errands)) == (None, 0)


async def test_a_url_is_asked_no_more_often_than_that(app: App, filters: HttpFilters, backend: ScriptedBackend) -> None:
    backend.answers("/x/filter", text(b""))
    backend.answers("/x/other", text(b""))
    hearings = [Hearing(filters, question()) for _ in range(30)]
    await until(lambda: sum(each.verdict is not None for each in hearings) == AT_ONCE)
    await Hearing(filters, question("other")).heard()
    hearings[20].call_off()
    assert filters.waiting == 30 - AT_ONCE
    for seconds in (0.125, 0.25):
        await advance(app, 0.13)
        most = AT_ONCE + RATE * (seconds + 0.02)
        await until(lambda: len(filters.site.errands) == 0)
        assert len(backend.requests_for("/x/filter")) <= most
    await advance(app, 1)
    await until(lambda: all(each.verdict is not None for each in hearings if each is not hearings[20]))
    assert (filters.waiting, len(backend.requests_for("/x/filter"))) == (0, 29)


async def test_a_url_that_nobody_asks_any_more_is_forgotten(
    app: App, filters: HttpFilters, backend: ScriptedBackend
) -> None:
    backend.answers("/x/filter", text(b""))
    await Hearing(filters, question()).heard()
    assert census("Pace") == {"Pace": 1}
    await advance(app, 0.3)
    assert not census("Pace", "Asking")


async def test_more_questions_than_may_wait_fail(
    filters: HttpFilters, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy.http_filters, "WAITING", 3)
    backend.answers("/x/filter", never())
    hearings = [Hearing(filters, question()) for _ in range(int(AT_ONCE) + 4)]
    assert await hearings[-1].heard() == Failed(reason="3 others wait to be asked about")
    assert all(each.verdict is None for each in hearings[:-1])
    for each in hearings:
        each.call_off()
