"""The debugger's files, and what the playground answers (reference 4.5; rows O09 and O10)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator

import jwt
import pytest

from handlers.hub.settings import DEVELOPMENT_ISSUER, DEVELOPMENT_KEY
from proxy.app import App
from tests.handlers.hub.signing import private_key, public_pem
from tests.support.clock import WALL_START
from tests.support.http import Response
from tests.support.hub_site import HOST, HUB, ISSUER, MIXED, STRICT, ask, hub, post, publisher, status_of, subscribed

DEBUG = f"{HUB}/debug/"
TOKEN = "a.b.c"  # what the playground sets as a cookie need not be a good one
FILES = {
    "": b"text/html; charset=utf-8",
    "debugger.css": b"text/css; charset=utf-8",
    "debugger.js": b"text/javascript; charset=utf-8",
    "streams.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}


@pytest.fixture
async def debugger() -> AsyncGenerator[App]:
    async with hub(*MIXED, "mercure.debugger=true") as app:
        yield app


@pytest.fixture
async def playground() -> AsyncGenerator[App]:
    async with hub("mercure.playground=true") as app:
        yield app


async def asked(app: App, target: str, *, method: str = "GET", host: str = HOST) -> Response:
    return await ask(app.proxy_addresses[0], target, method=method, host=host)


# -- O09 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
async def test_o09_the_debugger_is_a_page_with_its_files(debugger: App, name: str) -> None:
    found = await asked(debugger, DEBUG + name)
    assert (found.status, found.values(b"content-type")) == (200, (FILES[name],))
    assert found.values(b"x-robots-tag") == (b"noindex",)
    assert len(found.body) > 200
    head = await asked(debugger, DEBUG + name, method="HEAD")
    assert (head.status, head.body, head.head.length()) == (200, b"", len(found.body))


async def test_o09_the_page_needs_nothing_that_its_policy_forbids_or_that_is_not_there(debugger: App) -> None:
    page = await asked(debugger, DEBUG)
    assert page.values(b"content-security-policy") == (b"default-src 'self'",)
    text = page.body.decode()
    linked = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert set(linked) >= {"debugger.css", "debugger.js"}
    for target in linked:
        if not target.startswith("https://"):
            assert (await asked(debugger, DEBUG + target)).status == 200, target
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text)


@pytest.mark.parametrize("rest", ["x", "../debug/", "debugger.html", "debugger.js/", "%2e%2e/door.py", "/"])
async def test_o09_nothing_else_is_served(debugger: App, rest: str) -> None:
    found = await asked(debugger, DEBUG + rest)
    assert (found.status, found.body) == (404, b"404 page not found\n")


async def test_o09_without_its_slash_it_is_not_found(debugger: App) -> None:
    assert (await asked(debugger, f"{HUB}/debug")).status == 404
    assert (await asked(debugger, DEBUG, method="POST")).status == 405


@pytest.mark.parametrize(
    ("settings", "config"),
    [
        (
            (*MIXED, "mercure.debugger=true"),
            '{"playground":false,"anonymous":false,"subscriptions":false,"cookieName":"__Secure-mercure_access_token"}\n',
        ),
        (
            (*MIXED, "mercure.debugger=true", "mercure.anonymous=true", "mercure.cookie_name=c"),
            '{"playground":false,"anonymous":true,"subscriptions":false,"cookieName":"c"}\n',
        ),
        (
            ("mercure.playground=true",),
            '{"playground":true,"anonymous":true,"subscriptions":true,"cookieName":"mercure_access_token"}\n',
        ),
    ],
)
async def test_o09_the_configuration_is_told_and_not_cached(settings: tuple[str, ...], config: str) -> None:
    async with hub(*settings) as app:
        found = await asked(app, f"{DEBUG}config.json")
        assert (found.status, found.body.decode()) == (200, config)
        assert found.values(b"content-type") == (b"application/json",)
        assert found.values(b"cache-control") == (b"no-store",)


async def test_o09_a_debugger_outside_the_playground_gives_no_tokens_and_has_no_pages_beside_it(debugger: App) -> None:
    assert (await asked(debugger, f"{DEBUG}playground-token")).status == 404
    for target in ("/", "/playground/x"):
        assert (await asked(debugger, target)).values(b"content-security-policy") == ()  # the routes' answer


async def test_o09_a_hub_without_the_debugger_has_none_of_it() -> None:
    async with hub(*MIXED) as app:
        for name in (*FILES, "config.json", "playground-token"):
            assert (await asked(app, DEBUG + name)).status == 404


# -- O10 ------------------------------------------------------------------------------------------------------------


async def test_o10_the_playgrounds_token_does_everything_for_an_hour(playground: App) -> None:
    found = await asked(playground, f"{DEBUG}playground-token")
    assert found.values(b"content-type") == (b"text/plain; charset=utf-8",)
    assert found.values(b"cache-control") == (b"no-store",)
    token = found.body.decode()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == (DEVELOPMENT_ISSUER, f"http://{HOST}{HUB}")
    assert claims["exp"] == WALL_START + 3600
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt"}
    async with subscribed(playground, "match=a", token=token) as stream:
        published = await post(playground.proxy_addresses[0], "topic=a&id=1&private=on", token=token)
        assert published.status == 200
        assert await stream.event() == b"id: 1\ndata: "


async def test_o10_a_playground_takes_the_development_key_and_anybody_and_every_origin(playground: App) -> None:
    assert await status_of(playground) == 200
    old = jwt.encode({"mercure": {"publish": ["*"]}}, DEVELOPMENT_KEY)
    cookie = ("Cookie", f"mercure_access_token={old}")
    found = await post(playground.proxy_addresses[0], "topic=a", cookie, ("Origin", "null"))
    assert (found.status, found.values(b"access-control-allow-origin")) == (200, (b"*",))


async def test_o10_a_playground_whose_key_is_public_cannot_make_tokens() -> None:
    issuer = {"id": ISSUER, "publisher_key": public_pem(private_key("ES256")), "publisher_algorithm": "ES256"}
    async with hub("mercure.playground=true", f"mercure.issuers={json.dumps([issuer])}") as app:
        found = await asked(app, f"{DEBUG}playground-token")
        assert (found.status, found.body) == (404, b"404 page not found\n")


async def test_o10_a_playground_with_keys_of_its_own_gives_no_tokens_nor_takes_the_development_key() -> None:
    async with hub("mercure.playground=true", *STRICT) as app:
        found = await asked(app, f"{DEBUG}playground-token")
        assert (found.status, found.body) == (404, b"404 page not found\n")
        assert (await post(app.proxy_addresses[0], "topic=a", token=publisher())).status == 200
        old = jwt.encode({"mercure": {"publish": ["*"]}}, DEVELOPMENT_KEY)
        assert (await post(app.proxy_addresses[0], "topic=a", token=old)).status == 401


async def test_o10_the_root_leads_to_the_debugger(playground: App) -> None:
    found = await asked(playground, "/")
    assert (found.status, found.values(b"location"), found.body) == (302, (DEBUG.encode(),), b"")
    assert (await asked(playground, "/", method="POST")).status == 405


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("books/1", b"text/plain; charset=utf-8"),
        ("books/1.jsonld", b"application/ld+json"),
        ("books/1.json", b"application/json"),
        ("books/1.html", b"text/html; charset=utf-8"),
        ("books.html/1", b"text/plain; charset=utf-8"),
        ("", b"text/plain; charset=utf-8"),
    ],
)
async def test_o10_the_playground_echoes_with_links_to_the_hub_and_to_itself(
    playground: App, path: str, content_type: bytes
) -> None:
    target = f"/playground/{path}?body=h%C3%A9llo+you&jwt={TOKEN}"
    found = await asked(playground, target)
    assert (found.status, found.body.decode()) == (200, "héllo you")
    assert found.values(b"content-type") == (content_type,)
    assert found.values(b"link") == (
        b'</.well-known/mercure>; rel="mercure"; cookie-name="mercure_access_token"',
        f'<http://{HOST}{target}>; rel="self"'.encode(),
    )
    cookie = f"mercure_access_token={TOKEN}; Path=/.well-known/mercure; SameSite=Strict"
    assert found.values(b"set-cookie") == (cookie.encode(),)
    assert (await asked(playground, target, method="HEAD")).values(b"set-cookie") == (cookie.encode(),)
    assert (await asked(playground, target, method="POST")).status == 405


@pytest.mark.parametrize("query", ["", "?jwt=", "?body=x", "?jwt=a%3B+Domain=evil", "?jwt=a%0D%0AX:+y", "?jwt=%C3%A9"])
async def test_o10_without_a_token_that_can_be_one_the_cookie_is_taken_away(playground: App, query: str) -> None:
    found = await asked(playground, f"/playground/x{query}")
    assert found.values(b"set-cookie") == (
        b"mercure_access_token=; Path=/.well-known/mercure; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Strict",
    )


@pytest.mark.parametrize("target", ["/playground/%0d%0aX: y", "/playground/>;x", '/playground/"', "/playground/\xff"])
async def test_o10_no_request_breaks_out_of_its_link(playground: App, target: str) -> None:
    found = await asked(playground, target.replace(" ", "%20"))
    if found.status != 400:
        link = found.values(b"link")[1]
        assert link.count(b">") == 1
        assert link.endswith(b'>; rel="self"')
