"""What the backend is told about the request and its client (reference 3.1; rows R27 to R33)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import jwt
import pytest
import pytest_asyncio

from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.http import Request
from tests.support.settings import SIG_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

FEATURES = (
    b"status, session, link:next, link:gone, filter:skip-self, filter:skip-users, filter:require-sub, "
    b"filter:build-id, filter:var-subst"
)

CLAIMED = [("X-Forwarded-For", "10.1.2.3, 10.4.5.6"), ("X-Forwarded-For", "10.7.8.9")]


async def seen(client: RawClient, backend: ScriptedBackend, headers: Iterable[tuple[str, str]], host: str) -> Request:
    """Send a request with `headers` and return what the backend got."""
    assert (await client.fetch("/", headers=headers, host=host)).status == 200
    return await backend.request()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast with a route of default signing and one with its own."""
    routes = (f"* {backend.address}", f"signed.test,sig_iss=me,sig_key={'r' * 32} {backend.address}")
    async with AppProcess(*routes) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forwarding_app(backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast behind another proxy: it believes X-Forwarded-Proto, adds itself to X-Forwarded-For and CDN-Loop."""
    settings = (
        "proxy.accept_x_forwarded_proto=true",
        "proxy.x_forwarded_for=truncate:1,append",
        "proxy.cdn_loop=holdfast",
    )
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        yield app


@pytest.mark.parametrize(
    "header",
    [
        ("Connection", "keep-alive, X-Hop"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Accept-Encoding", "gzip"),
        ("Proxy-Connection", "keep-alive"),
    ],
    ids=lambda header: str(header[0]),
)
async def test_hop_by_hop_headers_stop_here(
    client: RawClient, backend: ScriptedBackend, header: tuple[str, str]
) -> None:
    """R27: what is between the client and Holdfast is not the backend's business."""
    request = await seen(client, backend, [header], "example.com")
    assert request.values(header[0].encode()) == ()


async def test_headers_named_by_connection_stop_here(client: RawClient, backend: ScriptedBackend) -> None:
    """R27, RFC 9110 section 7.6.1: a header listed in Connection is hop-by-hop."""
    request = await seen(client, backend, [("Connection", "X-Hop"), ("X-Hop", "1"), ("X-End", "2")], "example.com")
    assert request.values(b"x-hop") == ()
    assert request.values(b"x-end") == (b"2",)


async def test_expect_is_answered_here_and_not_passed_on(client: RawClient, backend: ScriptedBackend) -> None:
    """R27, RFC 9110 section 10.1.1: the client gets its 100, the backend no Expect."""
    await client.send(b"POST /expect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert (await client.head()).status == 100
    await client.send(b"body")
    assert (await client.response()).status == 200
    request = await backend.request()
    assert request.values(b"expect") == ()
    assert request.body == b"body"


async def test_end_to_end_headers_go_through_as_they_came(client: RawClient, backend: ScriptedBackend) -> None:
    """Order, letter case, repetition and bytes above ASCII stay."""
    sent = [
        ("X-b", "1"),
        ("X-A", "2"),
        ("x-b", "3"),
        ("Cookie", "a=b"),
        ("Cookie", "c=d"),
        ("X-Utf", "caf\u00e9"),
        ("X-No", ""),
    ]
    request = await seen(client, backend, sent, "example.com")
    wanted = [(name.encode(), value.encode()) for name, value in sent]
    assert [pair for pair in request.headers if pair in wanted] == wanted


async def test_nothing_is_added_but_grip_headers(client: RawClient, backend: ScriptedBackend) -> None:
    """The upstream client is transparent: no User-Agent, Accept or Accept-Encoding of its own."""
    request = await seen(client, backend, [("X-Mine", "1")], "example.com")
    assert sorted(request.names()) == [b"grip-feature", b"grip-sig", b"host", b"x-mine"]


async def test_grip_headers_of_a_client_are_stripped(client: RawClient, backend: ScriptedBackend) -> None:
    """R28: whatever it sends under that name, in whatever letter case."""
    forged = [("Grip-Last", "x; last-id=1"), ("GRIP-Sig", "forged"), ("grip-feature", "forged"), ("Grip-Any", "1")]
    request = await seen(client, backend, forged, "example.com")
    assert request.values(b"grip-last") == request.values(b"grip-any") == ()
    assert request.values(b"grip-feature") == (FEATURES,)
    assert b"forged" not in b"".join(request.values(b"grip-sig"))


async def test_grip_sig_is_a_token_of_an_hour(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    """R29: HS256 with sig_key, exactly `exp` and `iss`."""
    (token,) = (await seen(client, backend, [], "example.com")).values(b"grip-sig")
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    claims = jwt.decode(token, SIG_KEY, algorithms=["HS256"], options={"verify_exp": False})
    assert claims.keys() == {"exp", "iss"}
    assert claims["iss"] == "pushpin"
    _, wall = await app.times()
    assert wall + 3590 <= claims["exp"] <= wall + 3600


async def test_a_route_signs_with_its_own_key(client: RawClient, backend: ScriptedBackend) -> None:
    """R29: sig_iss and sig_key of the route."""
    (token,) = (await seen(client, backend, [], "signed.test")).values(b"grip-sig")
    claims = jwt.decode(token, b"r" * 32, algorithms=["HS256"], options={"verify_exp": False})
    assert claims["iss"] == "me"


async def test_grip_feature_lists_what_there_is(client: RawClient, backend: ScriptedBackend) -> None:
    """R30."""
    assert (await seen(client, backend, [], "example.com")).values(b"grip-feature") == (FEATURES,)


@pytest.mark.parametrize("header", ["X-Forwarded-Proto", "X-Forwarded-Protocol"])
async def test_a_plain_client_cannot_claim_tls(client: RawClient, backend: ScriptedBackend, header: str) -> None:
    """R31: its value is removed, and none is added."""
    request = await seen(client, backend, [(header, "https")], "example.com")
    assert request.values(b"x-forwarded-proto") == request.values(b"x-forwarded-protocol") == ()


async def test_an_accepted_x_forwarded_proto_is_passed_on(forwarding_app: AppProcess, backend: ScriptedBackend) -> None:
    """R31: with accept_x_forwarded_proto the client counts as TLS."""
    async with await RawClient.connect(forwarding_app.proxy_address) as client:
        request = await seen(client, backend, [("X-Forwarded-Proto", "https")], "example.com")
    assert request.values(b"x-forwarded-proto") == (b"https",)
    assert request.values(b"x-forwarded-protocol") == ()


async def test_x_forwarded_for_passes_through_by_default(client: RawClient, backend: ScriptedBackend) -> None:
    """R32: without a rule the values are joined and nothing is added."""
    request = await seen(client, backend, CLAIMED, "example.com")
    assert request.values(b"x-forwarded-for") == (b"10.1.2.3, 10.4.5.6, 10.7.8.9",)


async def test_x_forwarded_for_rules_truncate_and_append(forwarding_app: AppProcess, backend: ScriptedBackend) -> None:
    """R32: the last value is kept, the client's address comes behind it."""
    async with await RawClient.connect(forwarding_app.proxy_address) as client:
        request = await seen(client, backend, CLAIMED, "example.com")
    assert request.values(b"x-forwarded-for") == (b"10.7.8.9, 127.0.0.1",)


async def test_cdn_loop_gets_our_token(forwarding_app: AppProcess, backend: ScriptedBackend) -> None:
    """R33, RFC 8586: appended to what came, in one header."""
    async with await RawClient.connect(forwarding_app.proxy_address) as client:
        request = await seen(client, backend, [("CDN-Loop", "one"), ("CDN-Loop", "two")], "example.com")
    assert request.values(b"cdn-loop") == (b"one, two, holdfast",)
