"""Pages of other origins at the hub: preflights, and the headers that let a page read an answer (reference 4.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from proxy.app import App
from tests.support.http import Response, ResponseHead
from tests.support.hub_site import HUB, METADATA, MIXED, STRICT, ask, head_of, hub, post, publisher

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP = "https://app.example"
ALLOWED = (APP, "https://APP.example", "https://a.b.wild.example", "http://localhost:3000")
OTHERS = (
    "https://evil.example",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://wild.example",
    "null",
    "*",
    "",
)
EXPOSED = (b"Link, Mercure-Last-Event-ID, Last-Event-ID",)
PREFLIGHT_VARY = (b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listed() -> AsyncIterator[App]:
    """A hub with a list of origins."""
    origins = f"{APP},https://*.wild.example,http://localhost:3000"
    settings = ("mercure.anonymous=true", "mercure.subscriptions=true", f"mercure.cors_origins={origins}")
    async with hub(*MIXED, *settings) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closed() -> AsyncIterator[App]:
    """One without any."""
    async with hub(*MIXED, "mercure.anonymous=true") as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def public() -> AsyncIterator[App]:
    """One for everybody."""
    async with hub(*MIXED, "mercure.anonymous=true", "mercure.cors_origins=*") as app:
        yield app


def cors_of(answer: Response | ResponseHead) -> Mapping[str, bytes]:
    headers = answer.head.headers if isinstance(answer, Response) else answer.headers
    named = ((name.lower().decode().partition("access-control-")[2], value) for name, value in headers)
    return {name: value for name, value in named if name}


async def preflight(
    app: App, *, origin: str = APP, method: str = "GET", headers: str | None = None, target: str = HUB
) -> Response:
    lines = [("Origin", origin), ("Access-Control-Request-Method", method)]
    if headers is not None:
        lines.append(("Access-Control-Request-Headers", headers))
    return await ask(app.proxy_addresses[0], target, method="OPTIONS", headers=lines)


# -- preflights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ALLOWED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "QUERY"])
async def test_o01_a_preflight_of_what_is_allowed_is_granted(listed: App, origin: str, method: str) -> None:
    found = await preflight(listed, origin=origin, method=method)
    assert (found.status, found.body, found.values(b"vary")) == (204, b"", PREFLIGHT_VARY)
    assert found.values(b"content-length") == ()
    assert cors_of(found) == {
        "allow-origin": origin.encode(),
        "allow-credentials": b"true",
        "allow-methods": method.encode(),
    }


@pytest.mark.parametrize(
    "headers",
    [
        "authorization",
        "authorization,cache-control,last-event-id",
        "Authorization, Last-Event-ID",
        "content-type",  # for a browser's QUERY: defect B17
        "authorization,content-type",
    ],
)
async def test_o01_so_are_the_headers_that_the_hub_looks_at(listed: App, headers: str) -> None:
    found = await preflight(listed, method="QUERY", headers=headers)
    assert cors_of(found)["allow-headers"] == headers.encode()


@pytest.mark.parametrize(
    "asked",
    [
        *({"origin": origin} for origin in OTHERS),
        *({"method": method} for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "get", "")),
        {"headers": "x-other"},
        {"headers": "authorization,x-other"},
    ],
)
async def test_o01_what_is_not_allowed_is_answered_without_a_word_on_it(listed: App, asked: dict[str, str]) -> None:
    found = await preflight(listed, **asked)
    assert (found.status, found.body, found.values(b"vary")) == (204, b"", PREFLIGHT_VARY)
    assert cors_of(found) == {}


@pytest.mark.parametrize("target", [METADATA, f"{HUB}/subscriptions", f"{HUB}/unknown", f"{HUB}?match=a"])
async def test_o01_every_path_of_the_hub_answers_preflights(listed: App, target: str) -> None:
    assert cors_of(await preflight(listed, target=target))["allow-origin"] == APP.encode()


async def test_o01_without_origins_there_are_neither_preflights_nor_cors_headers(closed: App) -> None:
    refused = await preflight(closed)
    assert (refused.status, refused.body) == (405, b"")
    for found in (refused, await post(closed.proxy_addresses[0], "topic=a", ("Origin", APP), token=publisher())):
        assert cors_of(found) == {}
        assert found.values(b"vary") == ()


async def test_o01_options_that_are_no_preflight_are_refused(listed: App) -> None:
    found = await ask(listed.proxy_addresses[0], HUB, method="OPTIONS", headers=[("Origin", APP)])
    assert (found.status, cors_of(found)["allow-origin"]) == (405, APP.encode())


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ALLOWED)
async def test_o01_an_allowed_page_reads_the_answers(listed: App, origin: str) -> None:
    allowed = {"allow-origin": origin.encode(), "allow-credentials": b"true", "expose-headers": EXPOSED[0]}
    stream = await head_of(listed, ("Origin", origin))
    published = await post(listed.proxy_addresses[0], "topic=a", ("Origin", origin), token=publisher())
    metadata = await ask(listed.proxy_addresses[0], METADATA, headers=[("Origin", origin)])
    for found in (stream, published.head, metadata.head):
        assert (found.status, found.values(b"vary")) == (200, (b"Origin",))
        assert cors_of(found) == allowed


@pytest.mark.parametrize("origin", OTHERS)
async def test_o01_another_is_served_without_being_let_to_read(listed: App, origin: str) -> None:
    stream = await head_of(listed, ("Origin", origin))
    published = await post(listed.proxy_addresses[0], "topic=a", ("Origin", origin), token=publisher())
    for found in (stream, published.head):
        assert (found.status, found.values(b"vary")) == (200, (b"Origin",))
        assert cors_of(found) == {}


async def test_o01_without_an_origin_caches_are_told_too(listed: App) -> None:
    assert (await head_of(listed)).values(b"vary") == (b"Origin",)


async def test_o02_with_an_asterisk_any_page_reads_but_without_cookies(public: App) -> None:
    for origin in (APP, "null", "https://evil.example"):
        assert cors_of(await preflight(public, origin=origin, method="POST", headers="authorization")) == {
            "allow-origin": b"*",
            "allow-methods": b"POST",
            "allow-headers": b"authorization",
        }
        found = await head_of(public, ("Origin", origin))
        assert cors_of(found) == {"allow-origin": b"*", "expose-headers": EXPOSED[0]}


async def test_o03_a_page_reads_errors_as_well(listed: App) -> None:
    address, page = listed.proxy_addresses[0], ("Origin", APP)
    for found, status in (
        (await ask(address, HUB, headers=[page]), 400),
        (await post(address, "topic=a", page), 401),
        (await post(address, "topic=b", page, token=publisher("a")), 403),
        (await ask(address, f"{HUB}/x", headers=[page]), 404),
        (await ask(address, HUB, method="PUT", headers=[page]), 405),
        (await post(address, b"x" * 1_048_577, page, token=publisher()), 413),
        (await ask(address, f"{HUB}/subscriptions", headers=[page]), 401),
    ):
        assert found.status == status
        assert (cors_of(found).get("allow-origin"), found.values(b"vary")) == (APP.encode(), (b"Origin",)), status


async def test_o03_a_misdirected_request_is_told_nothing() -> None:
    async with hub(*STRICT, f"mercure.cors_origins={APP}", "mercure.public_urls=https://other.example") as app:
        for found in (await ask(app.proxy_addresses[0], HUB, headers=[("Origin", APP)]), await preflight(app)):
            assert (found.status, cors_of(found)) == (421, {})


async def test_origins_that_may_read_may_not_publish_by_cookie_for_that(listed: App) -> None:
    cookie = ("Cookie", f"__Secure-mercure_access_token={publisher()}")
    assert (await post(listed.proxy_addresses[0], "topic=a", cookie, ("Origin", APP))).status == 400


async def test_a_page_cannot_split_the_answers_head_by_its_origin(listed: App) -> None:
    for control in ("\r", "\0", "\x0b"):
        origin = f"https://a{control}X: y.wild.example"
        found = await ask(listed.proxy_addresses[0], METADATA, headers=[("Origin", origin)])
        assert (found.status, cors_of(found)) == (400, {})
