"""Which certificate a TLS client is shown, and that new files count for new connections (rows R39, O10)."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509

from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.patience import bounded
from tests.support.publisher import publish, stream_item
from tests.support.tls_client import TlsClient, install, trusting


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """Certificates in Pushpin's layout."""
    folder = tmp_path / "certs"
    folder.mkdir()
    install(folder, "default", "localhost")
    install(folder, "a.example.com", "a.example.com")
    install(folder, "_.example.com", "*.example.com")
    return folder


@pytest_asyncio.fixture
async def app(certs: Path, backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast with these certificates."""
    settings = ("proxy.tls_listen=127.0.0.1:0", f"proxy.tls_certs={certs}")
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        yield app


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    """A backend of this test's own loop."""
    async with ScriptedBackend() as backend:
        yield backend


async def shown(app: AppProcess, name: str | None) -> bytes:
    """Return the certificate that whoever asks for `name` is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with await TlsClient.connect_tls(app.proxy_addresses[-1], context, name) as client:
        certificate = client.tls.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


def in_file(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text()[path.read_text().index("-----BEGIN CERT") :])


def name_in(certificate: bytes) -> str:
    [attribute] = x509.load_der_x509_certificate(certificate).subject
    return str(attribute.value)


@pytest.mark.parametrize(
    ("asked", "stem"),
    [
        ("a.example.com", "a.example.com"),
        ("A.Example.COM", "a.example.com"),
        ("b.example.com", "_.example.com"),
        ("c.b.example.com", "default"),
        ("example.com", "default"),
        ("localhost", "default"),
        ("elsewhere.test", "default"),
        (None, "default"),
    ],
)
async def test_r39_the_name_a_client_asks_for_chooses(
    app: AppProcess, certs: Path, asked: str | None, stem: str
) -> None:
    assert await shown(app, asked) == in_file(certs / f"{stem}.crt")


@pytest.mark.parametrize("stem", ["default", "a.example.com"])
async def test_o10_a_changed_file_is_used_for_new_connections_and_old_ones_stay(
    app: AppProcess, certs: Path, backend: ScriptedBackend, stem: str
) -> None:
    name = "localhost" if stem == "default" else stem
    before = await shown(app, name)
    async with await TlsClient.connect_tls(app.proxy_addresses[-1], trusting(certs / f"{stem}.crt"), name) as held:
        await open_stream(held, backend, "/held", grip_stream("held"))
        new = in_file(install(certs, stem, name))
        assert await shown(app, name) == new != before
        await publish(app, stream_item("held", "still here"))
        assert await held.chunk() == b"still here"


@pytest.mark.parametrize("stem", ["default", "a.example.com"])
@pytest.mark.parametrize("part", ["crt", "key"])
async def test_o10_files_that_cannot_be_used_leave_the_old_ones_in_use(
    app: AppProcess, certs: Path, stem: str, part: str
) -> None:
    name = "localhost" if stem == "default" else stem
    before = await shown(app, name)
    (certs / f"{stem}.{part}").write_text("no certificate\n")
    for _ in range(3):
        assert await shown(app, name) == before
    await app.log_line(f"{stem}.crt, .*{stem}.key: .*; new connections get the certificate that was there before")
    assert await shown(app, name) == before
    new = in_file(install(certs, stem, name))
    assert await shown(app, name) == new != before


async def test_o10_a_certificate_that_comes_later_is_found_and_one_that_goes_is_forgotten(
    app: AppProcess, certs: Path
) -> None:
    assert name_in(await shown(app, "new.test")) == "localhost"
    install(certs, "new.test", "new.test")
    assert name_in(await shown(app, "new.test")) == "new.test"
    (certs / "new.test.crt").unlink()
    assert name_in(await shown(app, "new.test")) == "localhost"


async def test_o10_a_default_that_goes_stays_in_use(app: AppProcess, certs: Path) -> None:
    before = await shown(app, None)
    (certs / "default.crt").unlink()
    assert await shown(app, None) == before
    await app.log_line("default.crt: No such file or directory; new connections get")


async def test_a_hosts_certificate_that_never_could_be_used_gives_way(app: AppProcess, certs: Path) -> None:
    (certs / "broken.test.crt").write_text("no certificate\n")
    for _ in range(2):
        assert name_in(await shown(app, "broken.test")) == "localhost"
    await app.log_line("broken.test.key: No such file or directory; clients who ask for it get another certificate")


async def test_o10_sighup_reads_them_though_they_look_the_same(app: AppProcess, certs: Path) -> None:
    before = await shown(app, "localhost")
    stats = {path: path.stat() for path in (certs / "default.crt", certs / "default.key")}
    app.signal(signal.SIGHUP)
    await app.log_line("SIGHUP")
    async with bounded():
        while not app.log_lines("default.crt: read again"):
            assert await shown(app, "localhost") == before
            await asyncio.sleep(0)
    assert {path: path.stat().st_mtime_ns for path in stats} == {path: stat.st_mtime_ns for path, stat in stats.items()}


async def test_a_port_may_have_a_certificate_of_its_own(certs: Path, backend: ScriptedBackend) -> None:
    settings = ("proxy.tls_listen=127.0.0.1:0,127.0.0.1:0", f"proxy.tls_certs={certs}")
    async with AppProcess(f"* {backend.address}", settings=settings) as first:
        port = first.proxy_addresses[-1][1]
    install(certs, f"default_{port}", "of-the-port.test")
    settings = (f"proxy.tls_listen=127.0.0.1:0,127.0.0.1:{port}", f"proxy.tls_certs={certs}")
    async with AppProcess(f"* {backend.address}", settings=settings) as app:
        assert app.proxy_addresses[-1][1] == port
        assert name_in(await shown(app, None)) == "of-the-port.test"
        context = trusting(certs / "default.crt")
        async with await TlsClient.connect_tls(app.proxy_addresses[1], context) as client:
            assert (await client.fetch("/")).status == 200
