"""Whom a link is asked of, and how many may be asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from handlers.protocol.names import ItemId
from proxy.app import App
from proxy.link_site import AT_ONCE, PLACES, LinkSite, LinkWay
from proxy.protocol.link_uri import LinkUri, follow, request_uri
from proxy.protocol.route import Route, Target, TargetKind
from proxy.router import LoadedRoute
from tests.proxy.in_process import running
from tests.support.backend import ScriptedBackend

BASE = request_uri(is_tls=False, authority=b"a.example", path=b"/x")


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address}") as app:
        yield app


def site_of(app: App) -> LinkSite:
    return app.side.links.site


def loaded(*targets: Target) -> LoadedRoute:
    return LoadedRoute(route=Route(host="*", targets=targets), signer=None)


def target_of(backend: ScriptedBackend) -> Target:
    return Target(kind=TargetKind.HOST, host=backend.host, port=backend.port)


def other(uri: LinkUri, reference: str) -> LinkWay:
    return LinkWay(loaded=loaded(), uri=follow(uri, reference), is_internal=False)


def test_a_way_leads_to_the_routes_targets_or_to_the_links_host() -> None:
    first = Target(kind=TargetKind.HOST, host="one", port=1)
    assert LinkWay(loaded=loaded(first), uri=BASE, is_internal=True).targets == (first,)
    (found,) = other(BASE, "https://b.example/y").targets
    assert (found.host, found.port, found.ssl) == ("b.example", 443, True)


def test_r16_the_links_of_an_untrusted_backend_are_no_more_trusted() -> None:
    route = loaded(Target(kind=TargetKind.HOST, host="one", port=1, untrusted=True))
    way = LinkWay(loaded=route, uri=follow(BASE, "http://169.254.169.254/"), is_internal=False)
    assert way.targets == (Target(kind=TargetKind.HOST, host="169.254.169.254", port=80, untrusted=True),)


def test_equal_ways_are_in_one_place() -> None:
    route = loaded()
    ways = [LinkWay(loaded=route, uri=follow(BASE, reference), is_internal=True) for reference in ("/y", "y", "/z")]
    assert ways[0].place == ways[1].place != ways[2].place
    assert LinkWay(loaded=loaded(), uri=BASE, is_internal=True).place != ways[0].place


async def test_a_request_goes_to_the_target(app: App, backend: ScriptedBackend) -> None:
    way = LinkWay(loaded=loaded(target_of(backend)), uri=BASE, is_internal=True)
    reached = await site_of(app).send(way, method=b"GET", last_seen=(("room", ItemId("1")),))
    assert await reached.answer.read() == b"hello\n"
    assert backend.requests[0].values(b"grip-last") == (b"room; last-id=1",)


async def test_so_many_are_asked_at_once(app: App, backend: ScriptedBackend) -> None:
    site, way = site_of(app), LinkWay(loaded=loaded(target_of(backend)), uri=BASE, is_internal=True)
    slot = site.slot(way)
    assert slot is site.slot(way) is not site.slot(other(BASE, "http://b.example/"))
    for _ in range(AT_ONCE):
        await slot.acquire()
    assert slot.locked()
    assert isinstance(slot, asyncio.Semaphore)


async def test_places_are_not_remembered_for_ever(app: App) -> None:
    site = site_of(app)
    for number in range(PLACES + 5):
        site.slot(other(BASE, f"http://host-{number}.example/"))
    assert len(site.slots) <= PLACES
