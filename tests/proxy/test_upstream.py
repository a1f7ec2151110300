"""Which target is asked, how often, for how long, and who it has to prove to be."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from msgspec.structs import replace

from handlers.counters import Counters
from proxy.errors import UnreachableError, UpstreamError
from proxy.protocol.route import Target, TargetKind
from proxy.request_body import REPLAY_LIMIT, RequestBody
from proxy.settings import ProxySettings
from proxy.upstream import IDEMPOTENT, BackendRequest, Upstream
from tests.proxy.certificates import HELLO, self_signed, server_context, tls_server
from tests.support.answers import Answer, close_without_answer, never, text
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.clock import ManualClock
from tests.support.turns import settle, until


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture(params=["own", "aiohttp"])
async def upstream(request: pytest.FixtureRequest, clock: ManualClock, counters: Counters) -> AsyncGenerator[Upstream]:
    """Over each of the two clients."""
    settings = ProxySettings(backend_client=request.param)
    upstream = Upstream(settings=settings, clock=clock, counters=counters)
    yield upstream
    await upstream.close()
    await settle()


def target_of(backend: ScriptedBackend, **options: float) -> Target:
    return Target(kind=TargetKind.HOST, host=backend.host, port=backend.port, **options)  # type: ignore[arg-type]


def dead_target() -> Target:
    return Target(kind=TargetKind.HOST, host="127.0.0.1", port=closed_port())


def request_of(method: bytes = b"GET", *, body: bytes = b"", host: bytes = b"example.com") -> BackendRequest:
    pieces = [body] if body else []

    async def read() -> bytes:
        return pieces.pop() if pieces else b""

    return BackendRequest(
        method=method, path=b"/x", host=host, headers=((b"Host", host),), body=RequestBody(read, len(body))
    )


async def fetch(upstream: Upstream, *targets: Target, request: BackendRequest | None = None) -> bytes:
    reached = await upstream.send(targets, request or request_of())
    body = b""
    while piece := await reached.answer.read():
        body += piece
    return body


# -- which target -------------------------------------------------------------------------------------------------


async def test_the_first_target_that_connects_is_asked(upstream: Upstream, backend: ScriptedBackend) -> None:
    reached = await upstream.send((dead_target(), target_of(backend), dead_target()), request_of())
    assert reached.target == target_of(backend)
    reached.answer.close()


async def test_equal_targets_share_connections_and_keep_them_over_a_reload(
    upstream: Upstream, backend: ScriptedBackend
) -> None:
    for _ in range(2):
        await fetch(upstream, target_of(backend))
        upstream.forget_addresses()
    assert backend.accepted == 1


async def test_a_target_s_own_host_is_sent_in_the_place_of_the_request_s(
    upstream: Upstream, backend: ScriptedBackend
) -> None:
    target = Target(kind=TargetKind.HOST, host=backend.host, port=backend.port, host_override="own.example:8080")
    await fetch(upstream, target)
    await fetch(upstream, target_of(backend))
    assert [request.values(b"host") for request in backend.requests] == [(b"own.example:8080",), (b"example.com",)]


async def test_no_target_at_all_is_502_and_names_them(upstream: Upstream) -> None:
    targets = (dead_target(), dead_target())
    with pytest.raises(UnreachableError) as failure:
        await upstream.send(targets, request_of())
    assert failure.value.status == 502
    assert all(target.name in failure.value.detail for target in targets)


async def test_a_target_that_answers_badly_is_not_followed_by_the_next(
    upstream: Upstream, backend: ScriptedBackend
) -> None:
    backend.default = close_without_answer()
    with pytest.raises(UpstreamError) as failure:
        await upstream.send((target_of(backend), target_of(backend)), request_of())
    assert (failure.value.status, failure.value.is_public, backend.accepted) == (502, False, 1)


@pytest.mark.parametrize("upstream", ["own"], indirect=True)
async def test_headers_that_were_left_out_are_counted_and_told_of_every_ten_seconds(
    upstream: Upstream,
    backend: ScriptedBackend,
    counters: Counters,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend.default = text(b"x", headers=((b"A B\x9b", b"1"), (b"", b"2"), (b"C" * 300 + b"/", b"3")))
    for _ in range(3):
        assert await fetch(upstream, target_of(backend)) == b"x"
    assert counters.headers_dropped == 9
    (record,) = caplog.records
    line = f"{target_of(backend).name}: headers left out, their names are none: 'A B\\x9b, , CCC"
    assert record.getMessage().startswith(line)
    assert len(record.getMessage()) < 300
    clock.advance(10)
    await fetch(upstream, target_of(backend))
    assert len(caplog.records) == 2


# -- the repeat on a dead pooled connection -----------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(IDEMPOTENT))
async def test_a_stale_connection_is_repeated_for(
    upstream: Upstream, backend: ScriptedBackend, counters: Counters, method: bytes
) -> None:
    await fetch(upstream, target_of(backend))
    backend.answers("/x", close_without_answer(), text(b"again"))
    body = b"words" if method == b"PUT" else b""
    (await upstream.send((target_of(backend),), request_of(method, body=body))).answer.close()
    assert counters.backend_retries == 1
    assert [request.body for request in backend.requests[1:]] == [body, body]


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"CONNECT", b"MKCOL", b"get"])
async def test_a_stale_connection_is_not_repeated_for(
    upstream: Upstream, backend: ScriptedBackend, clock: ManualClock, counters: Counters, method: bytes
) -> None:
    await fetch(upstream, target_of(backend))
    clock.advance(1)
    backend.default = close_without_answer()
    with pytest.raises(UpstreamError):
        await upstream.send((target_of(backend),), request_of(method, body=b"words"))
    assert (counters.backend_retries, len(backend.requests)) == (0, 2)


async def test_a_body_that_was_too_large_to_keep_is_not_repeated(
    upstream: Upstream, backend: ScriptedBackend, clock: ManualClock, counters: Counters
) -> None:
    await fetch(upstream, target_of(backend))
    clock.advance(1)
    backend.default = close_without_answer()
    with pytest.raises(UpstreamError):
        await upstream.send((target_of(backend),), request_of(b"PUT", body=b"x" * (REPLAY_LIMIT + 1)))
    assert counters.backend_retries == 0


async def test_a_fresh_connection_that_dies_is_not_repeated(
    upstream: Upstream, backend: ScriptedBackend, counters: Counters
) -> None:
    backend.default = close_without_answer()
    with pytest.raises(UpstreamError):
        await fetch(upstream, target_of(backend))
    assert (counters.backend_retries, backend.accepted) == (0, 1)


async def test_a_repeat_that_finds_nobody_is_502(upstream: Upstream, backend: ScriptedBackend) -> None:
    await fetch(upstream, target_of(backend))
    backend.default = never()
    asking = asyncio.create_task(fetch(upstream, target_of(backend)))
    await backend.request_head()
    await backend.refuse()
    with pytest.raises(UpstreamError) as failure:
        await asking
    assert failure.value.status == 502


async def test_a_repeat_whose_handshake_is_not_answered_is_504_in_time(
    upstream: Upstream, clock: ManualClock, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        target = tls_target(listener.getsockname()[1], insecure=True, connect_timeout=2.5)
        first = asyncio.create_task(fetch(upstream, target))
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        accepted, _ = await loop.sock_accept(listener)
        tls = server_context(self_signed(tmp_path, "example.com"))
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=tls)
        await reader.readuntil(b"\r\n\r\n")
        transport.write(HELLO)
        assert await first == b"hello"
        asking = asyncio.create_task(fetch(upstream, target))
        await reader.readuntil(b"\r\n\r\n")
        transport.close()
        deaf, _ = await loop.sock_accept(listener)
        await settle()
        clock.advance(2.5)
        with pytest.raises(UpstreamError) as failure:
            await asking
        assert (failure.value.status, failure.value.detail) == (
            504,
            f"{target.name}: no connection within 2.5 seconds",
        )
        deaf.close()


# -- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "limit"), [(None, 1800.0), (2.5, 2.5)])
async def test_a_silent_backend_is_504_in_time(
    upstream: Upstream, backend: ScriptedBackend, clock: ManualClock, own: float | None, limit: float
) -> None:
    backend.default = never()
    target = target_of(backend) if own is None else target_of(backend, timeout=own)
    asking = asyncio.create_task(fetch(upstream, target))
    await backend.request()
    clock.advance(limit - 0.1)
    await settle()
    assert not asking.done()
    clock.advance(0.1)
    with pytest.raises(UpstreamError) as failure:
        await asking
    assert failure.value.status == 504
    await backend.disconnected(1)
    assert clock.next_due() is None


@pytest.mark.parametrize(("method", "connections"), [(b"GET", 1), (b"POST", 2)])
async def test_what_may_not_be_sent_twice_goes_on_no_connection_that_has_just_answered(
    backend: ScriptedBackend, clock: ManualClock, method: bytes, connections: int
) -> None:
    """Its backend may be about to close it. Only our own client knows how long one has rested."""
    upstream = Upstream(settings=ProxySettings(), clock=clock, counters=Counters())
    await fetch(upstream, target_of(backend))
    await fetch(upstream, target_of(backend), request=request_of(method))
    assert backend.accepted == connections
    clock.advance(1)
    await fetch(upstream, target_of(backend), request=request_of(method))
    assert backend.accepted == connections
    await upstream.close()
    await settle()


async def test_an_answer_in_time_leaves_no_timer_behind(
    upstream: Upstream, backend: ScriptedBackend, clock: ManualClock
) -> None:
    await fetch(upstream, target_of(backend), request=request_of(b"POST", body=b"words"))
    await upstream.close()  # or the idle connection has one
    assert clock.next_due() is None


async def test_an_early_answer_lifts_the_bound_although_the_body_goes_on(
    upstream: Upstream, backend: ScriptedBackend, clock: ManualClock
) -> None:
    go = asyncio.Semaphore(1)

    async def read() -> bytes:
        await go.acquire()
        return b"piece"

    backend.default = Answer(steps=(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",), early=True)
    body = RequestBody(read, 10_000_000)
    request = BackendRequest(method=b"POST", path=b"/", host=b"a", headers=((b"Host", b"a"),), body=body)
    reached = await upstream.send((target_of(backend),), request)
    for _ in range(3):
        go.release()
        await settle()
    assert clock.next_due() is None
    reached.answer.close()


async def test_a_cancelled_request_is_cancelled(
    upstream: Upstream, backend: ScriptedBackend, clock: ManualClock
) -> None:
    backend.default = never()
    asking = asyncio.create_task(fetch(upstream, target_of(backend)))
    await backend.request()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await backend.disconnected(1)
    assert clock.next_due() is None


# -- TLS ----------------------------------------------------------------------------------------------------------


def tls_target(port: int, **options: bool | str | float) -> Target:
    return Target(kind=TargetKind.HOST, host="127.0.0.1", port=port, ssl=True, **options)  # type: ignore[arg-type]


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate for example.com and 127.0.0.1 that the system trusts."""
    certificate = self_signed(tmp_path, "example.com", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


async def test_a_certificate_that_nobody_vouches_for_is_502(upstream: Upstream, tmp_path: Path) -> None:
    async with tls_server(self_signed(tmp_path, "example.com")) as server:
        with pytest.raises(UpstreamError) as failure:
            await fetch(upstream, tls_target(server.port))
        assert failure.value.status == 502
        assert await fetch(upstream, tls_target(server.port, insecure=True)) == b"hello"


async def test_the_certificate_must_be_that_of_the_requests_host(upstream: Upstream, trusted: Path) -> None:
    async with tls_server(trusted) as server:
        target = tls_target(server.port)
        assert await fetch(upstream, target, request=request_of(host=b"example.com:8443")) == b"hello"
        with pytest.raises(UpstreamError):  # although a connection proven for another host is pooled
            await fetch(upstream, target, request=request_of(host=b"other.com"))
        assert server.names[:2] == ["example.com", "other.com"]


async def test_the_connect_host_can_be_trusted_instead(upstream: Upstream, trusted: Path) -> None:
    async with tls_server(trusted) as server:
        target = tls_target(server.port, trust_connect_host=True)
        assert await fetch(upstream, target, request=request_of(host=b"other.com")) == b"hello"


async def test_a_client_certificate_is_shown(upstream: Upstream, trusted: Path, tmp_path: Path) -> None:
    own = self_signed(tmp_path, "holdfast")
    async with tls_server(trusted, client_ca=own) as server:
        with pytest.raises(UpstreamError):
            await fetch(upstream, tls_target(server.port))
        assert await fetch(upstream, tls_target(server.port, client_cert=str(own))) == b"hello"
        assert server.clients == ["holdfast"]


async def test_a_client_certificate_that_is_gone_is_502(upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError) as failure:
        await fetch(upstream, tls_target(443, client_cert=str(tmp_path / "gone.pem")))
    assert failure.value.status == 502


@pytest.mark.parametrize("host", [b".example.com", b"a..b", b"x" * 70, b"%41", b"[::1]:1", b"_"])
async def test_a_host_that_no_certificate_can_have_is_502(upstream: Upstream, trusted: Path, host: bytes) -> None:
    """A client writes there what it likes."""
    async with tls_server(trusted) as server:
        with pytest.raises(UpstreamError) as failure:
            await fetch(upstream, tls_target(server.port), request=request_of(host=host))
        assert failure.value.status == 502


async def test_a_handshake_that_is_not_answered_is_504_in_time(
    upstream: Upstream, backend: ScriptedBackend, clock: ManualClock
) -> None:
    asking = asyncio.create_task(fetch(upstream, tls_target(backend.port, insecure=True)))
    await until(lambda: backend.accepted)
    clock.advance(10)
    with pytest.raises(UpstreamError) as failure:
        await asking
    assert failure.value.status == 504


async def test_addresses_are_not_gathered_for_hosts_that_clients_make_up(upstream: Upstream, trusted: Path) -> None:
    target = tls_target(closed_port())
    for number in range(1200):
        upstream._address(target, b"host%d" % number)  # noqa: SLF001
    assert len(upstream._addresses) <= 1000  # noqa: SLF001
    assert len(upstream._contexts) == 1  # noqa: SLF001
    assert isinstance(upstream._contexts[target], ssl.SSLContext)  # noqa: SLF001
    upstream.forget_addresses()
    assert not upstream._contexts  # noqa: SLF001


async def test_a_target_made_for_one_request_takes_no_place(upstream: Upstream, backend: ScriptedBackend) -> None:
    for _ in range(5):
        request = replace(request_of(), is_direct=True)
        assert await fetch(upstream, target_of(backend), request=request) == b"hello\n"
    assert not upstream._plain  # noqa: SLF001
    assert await fetch(upstream, target_of(backend)) == b"hello\n"
    assert len(upstream._plain) == 1  # noqa: SLF001
