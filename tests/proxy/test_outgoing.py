"""What a client's request is taken for, and what a backend is sent for it, seen by the backend."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from proxy.outgoing import backend_path
from proxy.protocol.route import Route
from tests.proxy.in_process import client_of, running
from tests.support.backend import ScriptedBackend
from tests.support.http import Request


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
