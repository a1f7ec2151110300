"""What a client's request is taken for, and what a backend is sent for it, seen by the backend."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from handlers.protocol.http1 import Headers
from handlers.protocol.names import ItemId
from proxy.outgoing import Outgoing, backend_path
from proxy.protocol.headers import GRIP_FEATURES
from proxy.protocol.link_uri import follow, request_uri
from proxy.protocol.route import Proto, Route
from proxy.router import LineSource, Router
from tests.proxy.in_process import client_of, running
from tests.support.answers import grip_response, text
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.http import Request
from tests.support.publisher import hint_item, publish
from tests.support.settings import settings_from
from tests.support.turns import until

FEATURES = (b"Grip-Feature", GRIP_FEATURES)
LAST = (b"Grip-Last", b"room; last-id=1")


async def forwarded(route: str, request: bytes, *, settings: Iterable[str] = (), backend: ScriptedBackend) -> Request:
    """Return what the backend gets for `request` (a head without its empty line)."""
    line = route.replace("BACKEND", backend.address)
    async with running(line, settings=settings) as app, await client_of(app) as client:
        await client.send(request + b"\r\n\r\n")
        assert (await client.response()).status == 200
    return backend.requests[-1]


@pytest.fixture
async def backend() -> object:
    async with ScriptedBackend() as backend:
        yield backend


@pytest.mark.parametrize(
    ("request_bytes", "host", "target"),
    [
        (b"GET /a%2Fb//c/../d?x=%zz&y HTTP/1.1\r\nHost: Example.COM:80", b"example.com:80", b"/a%2Fb//c/../d?x=%zz&y"),
        (b"GET http://One.example/x HTTP/1.1\r\nHost: two.example", b"one.example", b"/x"),
        (b"GET http://one.example?x HTTP/1.1\r\nHost: two.example", b"one.example", b"/?x"),
        (b"GET /x#y HTTP/1.1\r\nHost: a", b"a", b"/x"),
        (b"GET / HTTP/1.0", b"localhost", b"/"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a", b"a", b"*"),
        (b"GET /\xc3\xa4\xff HTTP/1.1\r\nHost: a", b"a", b"/\xc3\xa4\xff"),
    ],
)
async def test_host_and_target_are_those_the_client_meant(
    backend: ScriptedBackend, request_bytes: bytes, host: bytes, target: bytes
) -> None:
    got = await forwarded("* BACKEND", request_bytes, backend=backend)
    assert (got.values(b"host"), got.target) == ((host,), target)


@pytest.mark.parametrize(
    ("options", "host", "target"),
    [
        ("as_host=other.example:81", b"other.example:81", b"/try/x?y"),
        ("path_beg=/try,path_rem=4", b"a", b"/x?y"),
        ("path_beg=/try,path_rem=6", b"a", b"/?y"),
        ("path_beg=/try,path_rem=4,replace_beg=/new", b"a", b"/new/x?y"),
    ],
)
async def test_a_route_changes_host_and_path(
    backend: ScriptedBackend, options: str, host: bytes, target: bytes
) -> None:
    got = await forwarded(f"*,{options} BACKEND", b"GET /try/x?y HTTP/1.1\r\nHost: a", backend=backend)
    assert (got.values(b"host"), got.target) == ((host,), target)


@pytest.mark.parametrize(
    ("accepts", "claimed", "sent"), [("true", b"https", (b"https",)), ("false", b"https", ()), ("true", b"http", ())]
)
async def test_tls_is_told_only_if_it_is_believed(
    backend: ScriptedBackend, accepts: str, claimed: bytes, sent: tuple[bytes, ...]
) -> None:
    got = await forwarded(
        "* BACKEND",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: " + claimed,
        settings=[f"proxy.accept_x_forwarded_proto={accepts}"],
        backend=backend,
    )
    assert got.values(b"x-forwarded-proto") == sent


@pytest.mark.parametrize(("route", "is_signed"), [("* BACKEND", True), ("*,no_grip BACKEND", False)])
async def test_only_a_route_that_speaks_grip_signs(backend: ScriptedBackend, route: str, is_signed: bool) -> None:
    got = await forwarded(route, b"GET / HTTP/1.1\r\nHost: a\r\nGrip-Sig: forged", backend=backend)
    assert b"forged" not in got.values(b"grip-sig")
    assert bool(got.values(b"grip-sig")) is is_signed


async def test_who_cannot_sign_is_not_trusted(backend: ScriptedBackend) -> None:
    got = await forwarded(
        "* BACKEND",
        b"GET / HTTP/1.1\r\nHost: a\r\nGrip-Sig: a.b.c\r\nGrip-Last: room; last-id=1",
        settings=[f"proxy.upstream_key={'u' * 32}"],
        backend=backend,
    )
    assert got.values(b"grip-last") == ()


async def test_what_a_client_has_seen_goes_with_its_retry_alone(backend: ScriptedBackend) -> None:
    backend.answers("/", grip_response("p-room; prev-id=1"), text(b"one"), text(b"two"))
    async with running(f"*,prefix=p- {backend.address}") as app, await client_of(app) as client:
        asked = b"GET / HTTP/1.1\r\nHost: a\r\nGrip-Last: forged; last-id=1\r\n\r\n"
        await client.send(asked)
        await until(lambda: app.edge.sessions)
        await publish(app, hint_item("p-p-room") | {"id": "2", "prev-id": "1"})
        assert (await client.response()).body == b"one"
        await client.send(asked)
        assert (await client.response()).body == b"two"
    last = [request.values(b"grip-last") for request in backend.requests]
    assert last == [(), (b"p-room; last-id=2",), ()]


@pytest.mark.parametrize(
    ("options", "settings", "uri", "is_internal", "target", "headers"),
    [
        (
            "path_beg=/a,path_rem=2,as_host=inner,header=X-Mine:1", (), "http://a.example/a/b?c", True, b"/b?c",
            ((b"Host", b"inner"), (b"X-Mine", b"1"), FEATURES, LAST),
        ),
        (
            "path_beg=/a,path_rem=2,as_host=inner,header=X-Mine:1", (), "http://b.example:81/a/b", False, b"/a/b",
            ((b"Host", b"b.example:81"), (b"CDN-Loop", b"us"), FEATURES, LAST),
        ),
        (
            "path_beg=/a", ("proxy.cdn_loop=me",), "http://b.example/a", False, b"/a",
            ((b"Host", b"b.example"), (b"CDN-Loop", b"me, us"), FEATURES, LAST),
        ),
        (
            "path_beg=/a,replace_beg=/there", (), "http://x/other/b", True, b"/other/b",
            ((b"Host", b"x"), FEATURES, LAST),
        ),
        (
            "path_beg=/a", ("proxy.set_x_forwarded_proto=true", "proxy.cdn_loop=me"), "https://a.example/a", True,
            b"/a",
            (
                (b"Host", b"a.example"), (b"CDN-Loop", b"me"), FEATURES, LAST,
                (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Protocol", b"https"),
            ),
        ),
    ],
)  # fmt: skip
async def test_a_link_is_asked_for_without_a_client(
    backend: ScriptedBackend,
    options: str,
    settings: Iterable[str],
    uri: str,
    is_internal: bool,
    target: bytes,
    headers: Headers,
) -> None:
    router = Router(LineSource(lines=(f"*,{options} {backend.address}",)), default_iss="", default_key=None)
    router.load()
    loaded = router.select(host="a.example", proto=Proto.HTTP, ssl=False, path=b"/a")
    assert loaded is not None
    chosen = settings_from(settings, routes=())
    outgoing = Outgoing(settings=chosen.proxy, upstream_key=None, clock=ManualClock(), mark=b"us")
    base = request_uri(is_tls=False, authority=b"x", path=b"/")
    request = outgoing.write_link(
        loaded, follow(base, uri), method=b"GET", last_seen=(("room", ItemId("1")),), is_internal=is_internal
    )
    assert (request.method, request.path, request.body.length) == (b"GET", target, 0)
    assert request.headers == headers


@pytest.mark.parametrize(
    ("path", "rem", "beg", "result"),
    [
        (b"/a/b", 0, b"", b"/a/b"),
        (b"/a/b", 2, b"", b"/b"),
        (b"/a/b", 3, b"", b"/b"),
        (b"/a", 99, b"", b"/"),
        (b"/a?x", 2, b"", b"/?x"),
        (b"/a", 0, b"/x", b"/x/a"),
        (b"/a", 2, b"x", b"/x"),
    ],
)
def test_a_path_always_begins_with_a_slash(path: bytes, rem: int, beg: bytes, result: bytes) -> None:
    route = Route(host="*", targets=(), path_rem=rem, replace_beg=beg)
    assert backend_path(path, route) == result
