"""TLS on the publish port, as `holdfast publish` and any HTTP client speak it."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess, console
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.publisher import Publisher, stream_item
from tests.support.tls_client import TlsClient, install, trusting


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate; its key has the same name."""
    return install(tmp_path, "publish", "localhost", "127.0.0.1")


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    """A backend of this test's own loop."""
    async with ScriptedBackend() as backend:
        yield backend


@pytest_asyncio.fixture
async def app(backend: ScriptedBackend, certificate: Path) -> AsyncIterator[AppProcess]:
    """Holdfast with TLS on the publish port."""
    key = certificate.with_suffix(".key")
    settings = (f"publish.tls_cert={certificate}", f"publish.tls_key={key}")
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        yield app


async def test_publishers_are_served_by_tls_and_no_others(
    app: AppProcess, backend: ScriptedBackend, certificate: Path
) -> None:
    host, port = app.publish_address
    trust = trusting(certificate)
    async with await RawClient.connect(app.proxy_address) as client:
        await open_stream(client, backend, "/held", grip_stream("held"))
        async with Publisher(await TlsClient.connect_tls((host, port), trust)) as publisher:
            for content in ("one", "two"):
                assert (await publisher.publish(stream_item("held", content))).body == b"Published\n"
                assert await client.chunk() == content.encode()
        async with aiohttp.ClientSession() as session:
            body = json.dumps({"items": [stream_item("held", "three")]})
            url = f"https://localhost:{port}/publish/"
            async with session.post(url, data=body, ssl=trust) as response:
                assert await response.text() == "Published\n"
        assert await client.chunk() == b"three"
        status, output, _ = await console(
            "publish", "held", "four", "--spec", f"https://localhost:{port}", "--no-eol",
            environment={"SSL_CERT_FILE": str(certificate)},
        )  # fmt: skip
        assert (status, output) == (0, "Published\n")
        assert await client.chunk() == b"four"
    async with await RawClient.connect((host, port)) as plain:
        await plain.send_request("/")
        assert await plain.until_cut() == b""
    await app.until(lambda counters: counters["tls_failures"] == 1)
    await app.log_line("TLS handshakes failed: 1, the last: http request")
    assert app.log_lines(r"for publishers on 127\.0\.0\.1:[0-9]+ \(TLS\)")


async def test_o10_its_certificate_is_read_again_when_it_has_changed(app: AppProcess, certificate: Path) -> None:
    old = trusting(certificate)
    async with await TlsClient.connect_tls(app.publish_address, old):
        pass
    new = trusting(install(certificate.parent, "publish", "localhost"))
    async with await TlsClient.connect_tls(app.publish_address, new):
        pass
    with pytest.raises(ssl.SSLCertVerificationError):
        await TlsClient.connect_tls(app.publish_address, old)


async def test_a_publisher_that_says_it_ends_is_obeyed(
    app: AppProcess, backend: ScriptedBackend, certificate: Path
) -> None:
    async with await RawClient.connect(app.proxy_address) as client:
        await open_stream(client, backend, "/last", grip_stream("last"))
        publisher = await TlsClient.connect_tls(app.publish_address, trusting(certificate))
        body = json.dumps({"items": [stream_item("last", "word")]}).encode()
        await publisher.close_politely(encode_request("/publish/", method="POST", body=body))
        assert await client.chunk() == b"word"
    assert not app.log_lines("has no effect")


async def test_one_that_is_lazy_gets_its_answer_when_the_process_stops(app: AppProcess, certificate: Path) -> None:
    async with await TlsClient.connect_tls(app.publish_address, trusting(certificate)) as publisher:
        app.process.terminate()
        await app.advance(10)
        assert await publisher.until_closed() == b""
        publisher.close()
    assert await app.exit_status() == 0


@pytest.mark.parametrize("is_there", [True, False])
async def test_with_a_certificate_that_cannot_be_used_it_does_not_start(tmp_path: Path, *, is_there: bool) -> None:
    certificate = install(tmp_path, "publish", "localhost")
    key = tmp_path / "other.key"
    why = "No such file or directory"
    if is_there:
        key.write_bytes(install(tmp_path, "other", "localhost").read_bytes())
        why = "KEY_VALUES_MISMATCH"
    status, _, errors = await console(
        "--route", "* test", "--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0",
        "--set", f"publish.tls_cert={certificate}", "--set", f"publish.tls_key={key}",
    )  # fmt: skip
    assert status == 1
    assert errors.splitlines()[-1].startswith("holdfast: publish.tls_cert: ")
    assert errors.splitlines()[-1].endswith(why)
