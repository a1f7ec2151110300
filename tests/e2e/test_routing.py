"""Which backend a request reaches, and as what (reference 1.3 to 1.7; rows R01 to R15, R24 to R26)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.answers import close_without_answer, grip_stream, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = (
    "* {first}",
    "exact.test {second}",
    "no-fallback.test,path_beg=/x {first}",
    "longest.test,path_beg=/a {first}",
    "longest.test,path_beg=/ab {second}",
    "reversed.test,path_beg=/ab {second}",
    "reversed.test,path_beg=/a {first}",
    "proto.test,proto=ws {first}",
    "proto.test {second}",
    "ssl.test,ssl=yes {second}",
    "ssl.test {first}",
    "long-and-ssl.test,path_beg=/a {first}",
    "long-and-ssl.test,ssl=yes {second}",
    "replace.test,path_beg=/jj/,replace_beg=/woh/ {first}",
    "remove.test,path_rem=3 {first}",
    "as-host.test,as_host=as.example:81 {first}",
    "target-host.test,as_host=as.example {first},host=target.example",
    'header.test,header="X-Set: b, c",header=X-Gone: {first} # and this is a comment',
    "orig.test,orig_headers {first}",
    "failover.test 127.0.0.1:{closed} {second}",
    "no-failover.test {first} {second}",
    "down.test 127.0.0.1:{closed} [::1]:{closed6}",
    "down-debug.test,debug 127.0.0.1:{closed} [::1]:{closed6}",
    "ipv6.test {v6}",
    "prefix.test,prefix=px- {first}",
    "sub.test {first},sub=q,sub=q2",
    "no-grip.test,no_grip {first}",
    "tab.test,header=X-Tab:1\t \t{first}",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second() -> AsyncIterator[ScriptedBackend]:
    """Another backend."""
    async with ScriptedBackend(default=text("second\n")) as second:
        yield second


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(backend: ScriptedBackend, second: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast with all of `ROUTES`."""
    async with ScriptedBackend(host="::1", default=text("over IPv6\n")) as v6:
        names = {
            "first": backend.address,
            "second": second.address,
            "v6": v6.address,
            "closed": closed_port(),
            "closed6": closed_port("::1"),
        }
        routes = (route.format(**names) for route in ROUTES)
        async with AppProcess(*routes, settings=["proxy.accept_x_forwarded_proto=true"]) as app:
            yield app


@pytest.mark.parametrize("host", ["example.com", "example.com:8080", "127.0.0.1", "[::1]:80"])
async def test_a_wildcard_route_takes_any_host(client: RawClient, backend: ScriptedBackend, host: str) -> None:
    """R01, R08: the client's Host goes through as it is."""
    assert (await client.fetch("/r01", host=host)).body == b"hello\n"
    assert (await backend.request()).values(b"host") == (host.encode(),)


@pytest.mark.parametrize(
    ("host", "target", "body"),
    [
        pytest.param("exact.test", "/", b"second\n", id="R02 an exact host beats the wildcard"),
        pytest.param("exact.test:99", "/", b"second\n", id="R02 the port of the Host does not matter"),
        pytest.param("EXACT.test", "/", b"second\n", id="R02 hosts know no letter case"),
        pytest.param("no-fallback.test", "/x/1", b"hello\n", id="R03 a host's own route"),
        pytest.param("longest.test", "/abc", b"second\n", id="R04 the longest path_beg wins"),
        pytest.param("longest.test", "/ac", b"hello\n", id="R04 the shorter one has the rest"),
        pytest.param("reversed.test", "/abc", b"second\n", id="R04 whatever the order in the file"),
        pytest.param("reversed.test", "/ac", b"hello\n", id="R04 whatever the order, the rest"),
        pytest.param("proto.test", "/", b"second\n", id="R05 proto=ws is not for HTTP"),
        pytest.param("ssl.test", "/", b"hello\n", id="R06 ssl=yes is not for plain clients"),
        pytest.param("failover.test", "/", b"second\n", id="R12 a refused connection fails over"),
        pytest.param("ipv6.test", "/", b"over IPv6\n", id="R15 IPv6 targets"),
    ],
)
async def test_the_matching_route_is_used(client: RawClient, host: str, target: str, body: bytes) -> None:
    """R02 to R06, R12, R15: see the ids."""
    response = await client.fetch(target, host=host)
    assert (response.status, response.body) == (200, body)


@pytest.mark.parametrize("header", ["X-Forwarded-Proto", "X-Forwarded-Protocol"])
async def test_an_accepted_x_forwarded_proto_counts_as_tls(client: RawClient, header: str) -> None:
    """R06: with accept_x_forwarded_proto, `https` selects the `ssl=yes` route."""
    assert (await client.fetch("/", host="ssl.test", headers=[(header, "https")])).body == b"second\n"


async def test_a_longer_path_outranks_ssl_in_any_order(client: RawClient) -> None:
    """R06, reference 1.6 rule c: where Pushpin lets a later `ssl=` beat a longer path (D6), the path decides here."""
    https = [("X-Forwarded-Proto", "https")]
    assert (await client.fetch("/a/x", host="long-and-ssl.test", headers=https)).body == b"hello\n"
    assert (await client.fetch("/b/x", host="long-and-ssl.test", headers=https)).body == b"second\n"


async def test_a_host_with_routes_of_its_own_does_not_fall_back(client: RawClient, backend: ScriptedBackend) -> None:
    """R03: 502 `Route not found`, and the connection goes on."""
    response = await client.fetch("/y", host="no-fallback.test")
    assert (response.status, response.body) == (502, b"Route not found\n")
    assert response.values(b"content-type") == (b"text/plain",)
    assert (await client.fetch("/r03")).status == 200
    assert [request.target for request in backend.requests] == [b"/r03"]


@pytest.mark.parametrize(
    ("host", "target", "seen"),
    [
        ("replace.test", "/jj/q?z=1", b"/woh/q?z=1"),
        ("replace.test", "/jj/%2F..//a?b?c", b"/woh/%2F..//a?b?c"),
        ("remove.test", "/ab/cdef?g", b"/cdef?g"),
    ],
)
async def test_path_rem_and_replace_beg_rewrite_the_path(
    client: RawClient, backend: ScriptedBackend, host: str, target: str, seen: bytes
) -> None:
    """R07: only the path's beginning changes, the rest byte for byte."""
    await client.fetch(target, host=host)
    assert (await backend.request()).target == seen


@pytest.mark.parametrize(
    ("host", "seen"), [("as-host.test", b"as.example:81"), ("target-host.test", b"target.example")]
)
async def test_as_host_and_target_host_change_the_host_header(
    client: RawClient, backend: ScriptedBackend, host: str, seen: bytes
) -> None:
    """R08: the target's host wins over as_host."""
    await client.fetch("/r08", host=host)
    assert (await backend.request()).values(b"host") == (seen,)


async def test_header_options_set_and_remove_headers(client: RawClient, backend: ScriptedBackend) -> None:
    """R09, R22: a quoted value keeps its comma, an empty one removes the header."""
    await client.fetch("/r09", host="header.test", headers=[("X-Set", "a"), ("X-Set", "a2"), ("x-gone", "1")])
    request = await backend.request()
    assert request.values(b"x-set") == (b"b, c",)
    assert request.values(b"x-gone") == ()


async def test_orig_headers_duplicates_every_client_header(client: RawClient, backend: ScriptedBackend) -> None:
    """R10: with the option the backend sees `eb9bf0f5-` twins of what the client sent."""
    await client.fetch("/r10", host="orig.test", headers=[("X-One", "1")])
    request = await backend.request()
    assert request.values(b"x-one") == (b"1",)
    assert request.values(b"eb9bf0f5-x-one") == (b"1",)
    assert request.values(b"eb9bf0f5-host") == (b"orig.test",)


async def test_a_client_cannot_forge_original_headers(client: RawClient, backend: ScriptedBackend) -> None:
    """R10: marked headers that a client sends do not reach the backend of a route without orig_headers."""
    await client.fetch("/r10b", headers=[("eb9bf0f5-X-Forged", "1")])
    assert (await backend.request()).values(b"eb9bf0f5-x-forged") == ()


async def test_failover_leaves_the_request_body_whole(client: RawClient, second: ScriptedBackend) -> None:
    """R12: the body goes to the target that took the connection."""
    second.forget()
    body = bytes(range(256)) * 4096
    assert (await client.fetch("/r12", host="failover.test", method="POST", body=body)).body == b"second\n"
    assert (await second.request()).body == body


async def test_an_error_status_does_not_fail_over(client: RawClient, backend: ScriptedBackend) -> None:
    """R13: a 500 is an answer."""
    backend.answers("/r13", text("mine\n", status=500, reason=b"Mine"))
    response = await client.fetch("/r13", host="no-failover.test")
    assert (response.status, response.reason, response.body) == (500, b"Mine", b"mine\n")


async def test_a_dropped_connection_does_not_fail_over(
    client: RawClient, backend: ScriptedBackend, second: ScriptedBackend
) -> None:
    """R13, reference 1.7: the first target may have acted on the request, so the second must not get it."""
    second.forget()
    backend.answers("/r13b", close_without_answer())
    response = await client.fetch("/r13b", host="no-failover.test", method="POST", body=b"once")
    assert (response.status, response.body) == (502, b"Error while proxying to origin.\n")
    assert second.requests_for("/r13b") == ()
    assert len(backend.requests_for("/r13b")) == 1


async def test_all_targets_down_is_502(client: RawClient) -> None:
    """R14."""
    response = await client.fetch("/", host="down.test")
    assert (response.status, response.body) == (502, b"Error while proxying to origin.\n")


async def test_a_debug_route_tells_which_targets_were_tried(client: RawClient) -> None:
    """R14."""
    response = await client.fetch("/", host="down-debug.test")
    assert response.status == 502
    assert response.body.startswith(b"Unable to connect to any targets. Tried: 127.0.0.1:")
    assert b", " in response.body.removeprefix(b"Unable to connect to any targets. Tried: ")
    assert response.body.endswith(b"\n")


async def test_a_prefix_is_put_before_every_channel_the_backend_names(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """R24: the bare channel reaches nobody, the prefixed one does."""
    backend.answers("/r24", grip_stream("s1", body=b"open\n"))
    await client.send_request("/r24", host="prefix.test")
    await client.head()
    assert await client.chunk() == b"open\n"
    await publish(app, stream_item("s1", "bare"), stream_item("px-s1", "prefixed"))
    assert await client.chunk() == b"prefixed"


async def test_sub_channels_need_no_header_and_get_no_prefix(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """R25: a stream hold without Grip-Channel on a target with sub= is on that target's channels."""
    backend.answers("/r25", grip_stream())
    await client.send_request("/r25", host="sub.test")
    await client.head()
    await publish(app, stream_item("q", "one"), stream_item("q2", "two"))
    assert await client.read_until(b"two\r\n") in (b"3\r\none\r\n3\r\ntwo\r\n", b"6\r\nonetwo\r\n")


async def test_a_no_grip_route_leaves_grip_headers_alone(client: RawClient, backend: ScriptedBackend) -> None:
    """R26: no Grip-Sig and no Grip-Feature for the backend, its Grip-Hold goes to the client."""
    backend.answers("/r26", grip_stream("r26", body=b"plain\n"))
    response = await client.fetch("/r26", host="no-grip.test")
    assert response.body == b"plain\n"
    assert response.values(b"grip-hold") == (b"stream",)
    assert response.values(b"grip-channel") == (b"r26",)
    assert not [name for name in (await backend.request()).names() if name.startswith(b"grip-")]


async def test_a_tab_separates_like_a_space(client: RawClient, backend: ScriptedBackend) -> None:
    """Beyond reference 1.1, where a tab becomes part of a token and the route matches nothing."""
    assert (await client.fetch("/tab", host="tab.test")).status == 200
    assert (await backend.request()).values(b"x-tab") == (b"1",)
