"""Clients by TLS: everything that is held is held there too, and costs nobody else anything (rows R06, R31, R39)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tests.e2e.holding import open_poll, open_stream, stopping
from tests.support.answers import chunk, grip_response, grip_stream, text
from tests.support.app_process import AppProcess, console
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import echo
from tests.support.publisher import Publisher, close_item, publish, response_item, stream_item
from tests.support.tls_client import TlsClient, TlsWsClient, install, trusting

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTBOX = 65_536


@pytest.fixture(scope="module")
def certs() -> Iterator[Path]:
    """A folder with a certificate for localhost."""
    with TemporaryDirectory() as name:
        install(Path(name), "default", "localhost", "127.0.0.1")
        yield Path(name)


@pytest.fixture(scope="module")
def trust(certs: Path) -> ssl.SSLContext:
    """What a client needs that trusts it."""
    return trusting(certs / "default.crt")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    """By TLS to the backend, otherwise to nowhere."""
    return (
        f"*,ssl=yes,proto=http {backend.address}",
        f"*,ssl=yes,proto=ws {backend.address},over_http",
        "*,ssl=no test",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(routes: tuple[str, ...], certs: Path) -> AsyncIterator[AppProcess]:
    """Holdfast with a plain port and one for TLS."""
    settings = (
        *tls_settings(certs),
        f"hold.outbox_limit={OUTBOX}",
        "hold.kernel_unsent_limit=65536",
        "hold.idle_timeout=300",
    )
    async with AppProcess(*routes, settings=settings) as app:
        yield app


def tls_settings(certs: Path) -> tuple[str, str]:
    return ("proxy.tls_listen=127.0.0.1:0", f"proxy.tls_certs={certs}")


@pytest_asyncio.fixture(loop_scope="module")
async def client(app: AppProcess, trust: ssl.SSLContext) -> AsyncIterator[TlsClient]:
    """A client by TLS."""
    async with await connect(app, trust) as client:
        yield client


async def connect(app: AppProcess, trust: ssl.SSLContext, *, receive_buffer: int | None = None) -> TlsClient:
    return await TlsClient.connect_tls(app.proxy_addresses[-1], trust, receive_buffer=receive_buffer)


async def test_r31_a_backend_is_told_that_the_client_came_by_tls(client: TlsClient, backend: ScriptedBackend) -> None:
    answer = await client.fetch("/", headers=[("X-Forwarded-Proto", "http")])
    assert (answer.status, answer.body) == (200, b"hello\n")
    assert backend.requests[-1].values(b"x-forwarded-proto") == (b"https",)


async def test_r31_of_a_websocket_it_is_told_wss(
    app: AppProcess, trust: ssl.SSLContext, backend: ScriptedBackend
) -> None:
    backend.answers("/ws", echo)
    async with await TlsWsClient.connect_tls(app.proxy_addresses[-1], trust) as client:
        await client.open("/ws")
        await client.say("hello")
        assert await client.heard() == "hello"
    assert {request.values(b"x-forwarded-proto") for request in backend.requests} == {(b"wss",)}


async def test_r06_routes_know_who_came_by_tls(app: AppProcess, client: TlsClient) -> None:
    async with await RawClient.connect(app.proxy_address) as plain:
        assert b"test handler" in (await plain.fetch("/")).body
    assert (await client.fetch("/")).body == b"hello\n"


async def test_what_is_offered_is_tls_1_2_or_later_and_http_1_1_alone(app: AppProcess, certs: Path) -> None:
    context = trusting(certs / "default.crt")
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with await connect(app, context) as client:
        assert client.tls.selected_alpn_protocol() == "http/1.1"
        assert client.tls.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with await connect(app, context) as client:
        assert (await client.fetch("/")).status == 200
    context.set_alpn_protocols(["h2"])  # whoever knows nothing in common finds out by itself
    async with await connect(app, context) as client:
        assert client.tls.selected_alpn_protocol() is None


async def test_a_stream_is_held_and_given_back(app: AppProcess, client: TlsClient, backend: ScriptedBackend) -> None:
    await open_stream(
        client,
        backend,
        "/stream",
        grip_stream("stream", headers=[("Grip-Keep-Alive", "\\n; timeout=30; format=cstring")]),
    )
    await publish(app, stream_item("stream", "one"))
    assert await client.chunk() == b"one"
    await app.advance(31)
    assert await client.chunk() == b"\n"
    await publish(app, close_item("stream"))
    assert await client.chunk() == b""
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_a_long_poll_is_answered_and_the_next_is_held(
    app: AppProcess, client: TlsClient, backend: ScriptedBackend
) -> None:
    for body in ("one", "two"):
        await open_poll(app, client, backend, "/poll", grip_response("poll"))
        await publish(app, response_item("poll", body))
        assert (await client.response()).body == body.encode()


async def test_bytes_sent_while_held_are_kept(app: AppProcess, client: TlsClient, backend: ScriptedBackend) -> None:
    await open_poll(app, client, backend, "/kept", grip_response("kept"))
    await client.send_request("/behind")
    await publish(app, response_item("kept", "one"))
    assert (await client.response()).body == b"one"
    assert (await client.response()).body == b"hello\n"


async def test_a_body_of_megabytes_comes_whole_both_ways(client: TlsClient, backend: ScriptedBackend) -> None:
    body = bytes(range(256)) * 16_384
    backend.answers("/large", text(body))
    answer = await client.fetch("/large", method="POST", body=body)
    assert answer.body == body
    assert backend.requests[-1].body == body


@pytest.mark.parametrize("end", ["close_politely", "close", "reset"])
async def test_a_client_that_leaves_is_forgotten(
    app: AppProcess, trust: ssl.SSLContext, backend: ScriptedBackend, end: str
) -> None:
    client = await connect(app, trust)
    await open_stream(client, backend, "/leaves", grip_stream("leaves"))
    await app.until(lambda counters: counters["sessions_stream"] == 1)
    if end == "close_politely":
        await client.close_politely()
    else:
        getattr(client, end)()
    await app.until(lambda counters: counters["sessions_stream"] == 0)
    await app.until(lambda counters: counters["connections"] == 0)
    assert (await app.counters())["clients_vanished"] == 0


async def test_h47_a_client_that_stops_reading_is_cut_and_the_other_reads_on(
    app: AppProcess, trust: ssl.SSLContext, backend: ScriptedBackend
) -> None:
    slow = (await app.counters())["slow_clients"]
    content = "x" * 3_990
    frame = chunk(content.encode())
    async with (
        await connect(app, trust, receive_buffer=8_192) as stalled,
        await connect(app, trust) as reader,
        await Publisher.connect(app) as publisher,
    ):
        await open_stream(stalled, backend, "/slow", grip_stream("slow"))
        await open_stream(reader, backend, "/slow", grip_stream("slow"))
        for _ in range(400):
            assert (await publisher.publish(stream_item("slow", content))).status == 200
            assert await reader.read_exactly(len(frame)) == frame
        await app.advance(1.2)
        counters = await app.counters()
        assert counters["slow_clients"] == slow + 1
        assert counters["sessions_stream"] == 1
        await app.log_line("/slow closed: too slow")


async def test_a_client_that_is_behind_catches_up(
    app: AppProcess, trust: ssl.SSLContext, backend: ScriptedBackend
) -> None:
    slow = (await app.counters())["slow_clients"]
    content = "y" * 3_990
    sent = chunk(content.encode()) * 60
    async with (
        await connect(app, trust, receive_buffer=8_192) as client,
        await Publisher.connect(app) as publisher,
    ):
        await open_stream(client, backend, "/grace", grip_stream("grace"))
        assert (await publisher.publish(*[stream_item("grace", content)] * 60)).status == 200
        await app.advance(0.8)
        assert await client.read_exactly(len(sent)) == sent
        await app.advance(5)
        await publisher.publish(stream_item("grace", "more"), close_item("grace"))
        assert [await client.chunk(), await client.chunk()] == [b"more", b""]
        assert (await client.fetch("/next")).body == b"hello\n"
    assert (await app.counters())["slow_clients"] == slow


async def test_an_idle_connection_is_closed_in_time(app: AppProcess, client: TlsClient) -> None:
    assert (await client.fetch("/")).status == 200
    await app.advance(76)
    assert await client.until_closed() == b""
    await pass_time(app, 1.5)
    await app.until(lambda counters: counters["connections"] == 0)  # though the client says nothing


async def test_a_slow_client_gets_its_last_answer_whole(
    app: AppProcess, trust: ssl.SSLContext, backend: ScriptedBackend
) -> None:
    cut = (await app.counters())["tls_closings_cut"]
    pieces = 20
    body = b"x" * 50_000 * pieces
    backend.answers("/last", text(body))
    async with await connect(app, trust, receive_buffer=8_192) as client:
        await client.send_request("/last", headers=[("Connection", "close")])
        head = await client.head()
        assert head.status == 200
        for _ in range(pieces):
            await pass_time(app, 5)
            assert await client.read_exactly(50_000) == b"x" * 50_000
        assert await client.until_closed() == b""
    assert (await app.counters())["tls_closings_cut"] == cut


async def pass_time(app: AppProcess, seconds: float) -> None:
    for _ in range(int(seconds * 2)):
        await app.advance(0.5)


# -- handshakes ------------------------------------------------------------------------------------------------------


async def test_a_handshake_that_hangs_is_ended_in_time_and_counted(app: AppProcess) -> None:
    failures = (await app.counters())["tls_failures"]
    async with await RawClient.connect(app.proxy_addresses[-1]) as silent:
        await silent.send(b"\x16\x03\x01")  # the beginning of a handshake
        await app.settle()
        await app.advance(9.9)
        assert (await app.counters())["tls_failures"] == failures
        assert not silent.at_eof
        await app.advance(0.2)
        assert await silent.until_cut() == b""
    await app.until(lambda counters: counters["tls_failures"] == failures + 1)
    await app.log_line("TLS handshake failed: not done in time")


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        bytes(100),
    ],
)
async def test_what_is_not_tls_is_refused_counted_and_told_without_flooding(app: AppProcess, garbage: bytes) -> None:
    await app.advance(11)
    failures = (await app.counters())["tls_failures"]
    before = len(app.log_lines("TLS handshakes failed"))
    for _ in range(5):
        async with await RawClient.connect(app.proxy_addresses[-1]) as client:
            await client.send(garbage)
            await client.until_cut()
    await app.until(lambda counters: counters["tls_failures"] == failures + 5)
    await app.log_line("TLS handshakes failed: [0-9]+, the last: ")
    workers = 2
    assert 1 <= len(app.log_lines("TLS handshakes failed")) - before <= workers


async def test_one_who_leaves_before_a_byte_is_counted_and_told_at_debug_alone(app: AppProcess) -> None:
    await app.advance(11)
    failures = (await app.counters())["tls_failures"]
    before = app.log_lines("TLS handshakes failed")
    (await RawClient.connect(app.proxy_addresses[-1])).close()
    await app.until(lambda counters: counters["tls_failures"] == failures + 1)
    await app.log_line("TLS handshake failed: the peer has closed the connection")
    assert app.log_lines("TLS handshakes failed") == before


async def test_a_name_that_is_no_ascii_brings_no_traceback(app: AppProcess, trust: ssl.SSLContext) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        trust.wrap_bio(incoming, outgoing, server_hostname="aaaaaaaaaa.example").do_handshake()
    hello = outgoing.read()
    assert b"aaaaaaaaaa.example" in hello
    failures = (await app.counters())["tls_failures"]
    async with await RawClient.connect(app.proxy_addresses[-1]) as client:
        await client.send(hello.replace(b"aaaaaaaaaa.example", b"\xff\xfe\xfd\xfc~~~~~~.example"))
        await client.until_cut()
    await app.until(lambda counters: counters["tls_failures"] == failures + 1)
    assert not app.log_lines("Exception ignored")


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_held_clients_are_ended_in_good_order_when_it_stops(
    certs: Path, trust: ssl.SSLContext, backend: ScriptedBackend
) -> None:
    async with (
        AppProcess(f"* {backend.address}", settings=tls_settings(certs)) as app,
        await connect(app, trust) as client,
        await RawClient.connect(app.proxy_addresses[-1]) as silent,
    ):
        await open_stream(client, backend, "/ends", grip_stream("ends"))
        await app.until(lambda counters: counters["sessions_stream"] == 1)
        await silent.send(b"\x16\x03\x01")
        app.process.terminate()
        await stopping(app, 1)
        await app.advance(10)
        assert await client.chunk() == b""
        assert await client.until_closed() == b""
        client.close()
        assert await silent.until_cut() == b""
        assert await app.exit_status() == 0


async def test_idle_clients_that_do_not_answer_do_not_keep_it_from_stopping(
    certs: Path, trust: ssl.SSLContext, backend: ScriptedBackend
) -> None:
    async with AppProcess(f"* {backend.address}", settings=tls_settings(certs)) as app:
        async with await connect(app, trust) as client:
            assert (await client.fetch("/")).status == 200
            app.process.terminate()
            await stopping(app, 0)
            await app.advance(1)
            assert await client.until_closed() == b""
            await pass_time(app, 1)
            assert await app.exit_status() == 0
        assert not app.log_lines("cut")


@pytest.mark.parametrize("workers", [1, 2])
async def test_without_a_certificate_it_does_not_start(tmp_path: Path, workers: int) -> None:
    arguments = ("--route", "* test", "--workers", str(workers), "--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0")
    status, _, errors = await console(
        *arguments, "--set", "proxy.tls_listen=127.0.0.1:0", "--set", f"proxy.tls_certs={tmp_path}"
    )
    assert status == 1
    told = f"holdfast: proxy.tls_certs: {tmp_path}: neither default_0.crt and .key nor default.crt and .key are there"
    assert errors.splitlines()[-1] == told
