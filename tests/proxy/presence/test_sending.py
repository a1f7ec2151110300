"""The requests of presence notices, to a real backend: by whose routes, how signed, and what counts as taken."""

from __future__ import annotations

from collections.abc import AsyncIterator

import jwt
import pytest
import pytest_asyncio

from handlers.counters import Counters
from proxy.client_side import make_router
from proxy.outgoing import Outgoing
from proxy.presence.sending import PresenceSending
from proxy.upstream import Upstream
from tests.support.answers import Answer, chunked, close_without_answer, text
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.settings import settings_from

KEY = "presence-key-of-32-bytes-or-more-"


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    """Whoever is told."""
    async with ScriptedBackend() as backend:
        yield backend


async def send(url: str, *routes: str, body: bytes = b"{}") -> str:
    """Send one body with these routes."""
    settings = settings_from([f"presence.url={url}", "proxy.sig_iss=us", f"proxy.sig_key={KEY}"], routes=list(routes))
    clock, router = ManualClock(), make_router(settings)
    router.load()
    upstream = Upstream(settings=settings.proxy, clock=clock, counters=Counters())
    outgoing = Outgoing(settings=settings.proxy, upstream_key=None, clock=clock)
    try:
        sending = PresenceSending(settings.presence, router=router, outgoing=outgoing, upstream=upstream)
        return await sending.send(body)
    finally:
        await upstream.close()


def issuer(backend: ScriptedBackend) -> str:
    """Return who has signed the last request."""
    (token,) = backend.requests[-1].values(b"grip-sig")
    claims = jwt.decode(token.decode(), KEY, algorithms=["HS256"], options={"verify_exp": False})
    return str(claims["iss"])


async def test_a_path_takes_the_route_of_a_request_for_it(backend: ScriptedBackend) -> None:
    routes = ("*,path_beg=/other/ 127.0.0.1:1", f"*,path_beg=/api/,path_rem=4,sig_iss=route {backend.address}")
    assert await send("/api/presence?x=1", *routes, body=b'{"a":1}') == ""
    (request,) = backend.requests
    assert (request.method, request.target, request.body) == (b"POST", b"/presence?x=1", b'{"a":1}')
    assert request.values(b"content-type") == (b"application/json",)
    assert request.values(b"host") == (b"localhost",)
    assert issuer(backend) == "route"


async def test_a_url_is_asked_directly_and_signed_as_all_are(backend: ScriptedBackend) -> None:
    assert await send(f"http://{backend.address}/p", "* 127.0.0.1:1") == ""
    assert backend.requests[-1].values(b"host") == (backend.address.encode(),)
    assert issuer(backend) == "us"


@pytest.mark.parametrize(
    "routes",
    [
        ("other.example 127.0.0.1:1",),
        ("* test",),
        ("localhost,proto=ws 127.0.0.1:1",),
        ("* zhttp/ipc:///tmp/none",),
    ],
)
async def test_without_a_route_to_a_backend_nobody_is_told(routes: tuple[str, ...]) -> None:
    assert await send("/presence", *routes) == "no route to a backend that speaks HTTP for /presence"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (text(status=204), ""),
        (chunked(b"a", b"b"), ""),
        (text(status=404), "127.0.0.1:PORT: status 404"),
        (text(status=302), "127.0.0.1:PORT: status 302"),
    ],
)
async def test_2xx_is_taken_and_nothing_else_is(backend: ScriptedBackend, answer: Answer, why: str) -> None:
    backend.answers("/p", answer)
    assert await send("/p", f"* {backend.address}") == why.replace("PORT", str(backend.port))


async def test_a_backend_that_closes_or_is_away_has_taken_nothing(backend: ScriptedBackend) -> None:
    backend.answers("/p", close_without_answer())
    assert backend.address in await send("/p", f"* {backend.address}")
    await backend.refuse()
    assert await send("/p", f"* {backend.address}") != ""
