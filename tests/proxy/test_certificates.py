"""Certificates of files: which is chosen, when they are read again, and what is said of those that cannot be used.

What clients are shown is tested end to end (`tests/e2e/test_tls_certificates.py`).
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

import pytest

from proxy.certificates import CertificateFolder, CertificatePair, make_context
from proxy.tls import CertificateError
from tests.support.tls_client import install


def pair(folder: Path, stem: str = "default") -> CertificatePair:
    return CertificatePair(folder / f"{stem}.crt", folder / f"{stem}.key")


def test_a_context_is_tls_1_2_or_later(tmp_path: Path) -> None:
    certificate = install(tmp_path, "a", "a.test")
    context = make_context(certificate, certificate.with_suffix(".key"))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode is ssl.CERT_NONE


def test_files_that_have_not_changed_are_not_read_again(tmp_path: Path) -> None:
    install(tmp_path, "default", "a.test")
    used = pair(tmp_path)
    assert used.context() is used.context()


def test_changed_files_are(tmp_path: Path) -> None:
    install(tmp_path, "default", "a.test")
    used = pair(tmp_path)
    before = used.context()
    install(tmp_path, "default", "a.test")
    assert used.context() is not before


def test_those_of_the_same_size_and_time_are_too(tmp_path: Path) -> None:
    """As `cp -p` and archives leave them."""
    install(tmp_path, "default", "a.test")
    used = pair(tmp_path)
    before, files = used.context(), [tmp_path / "default.crt", tmp_path / "default.key"]
    for file in files:
        stat, content = file.stat(), file.read_bytes()
        file.write_bytes(content[::-1])
        file.write_bytes(content)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        now = file.stat()
        assert (now.st_ino, now.st_size, now.st_mtime_ns) == (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    assert used.context() is not before


def test_files_that_look_the_same_are_once_that_is_asked_for(tmp_path: Path) -> None:
    install(tmp_path, "default", "a.test")
    used = pair(tmp_path)
    before = used.context()
    used.forget()
    after = used.context()
    assert after is not before
    assert used.context() is after


def test_those_that_cannot_be_used_are_told_once_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    certificate = install(tmp_path, "default", "a.test")
    used = pair(tmp_path)
    before = used.context()
    for text in ("broken", "broken still"):
        certificate.write_text(text)
        assert used.context() is used.context() is before
    certificate.unlink()
    assert used.context() is used.context() is before
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    install(tmp_path, "default", "a.test")
    assert used.context() is not before
    assert caplog.messages[-1] == f"{certificate}: read again"


def missing(folder: Path) -> str:
    (folder / "default.key").unlink()
    return "default.key: No such file or directory"


def garbled(folder: Path) -> str:
    (folder / "default.crt").write_text("garbage")
    return "default.key: NO_START_LINE" if ssl.OPENSSL_VERSION_INFO < (3,) else "default.key: "


def mismatched(folder: Path) -> str:
    install(folder, "other", "b.test")
    (folder / "default.key").write_bytes((folder / "other.key").read_bytes())
    return "default.key: KEY_VALUES_MISMATCH"


@pytest.mark.parametrize("spoil", [missing, garbled, mismatched])
def test_those_that_never_could_be_used_are_an_error(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    install(tmp_path, "default", "a.test")
    reason = spoil(tmp_path)
    used = pair(tmp_path)
    for _ in range(2):
        with pytest.raises(CertificateError, match=reason):
            used.context()
    install(tmp_path, "default", "a.test")
    used.context()


def test_the_port_chooses_its_own_default(tmp_path: Path) -> None:
    folder = CertificateFolder(tmp_path)
    with pytest.raises(CertificateError, match=r"neither default_443.crt and .key nor default.crt and .key are there"):
        folder.default(443)
    install(tmp_path, "default", "a.test")
    general = folder.default(443)
    install(tmp_path, "default_443", "a.test")
    assert folder.default(443) is not general
    assert folder.default(8443) is general


def test_those_of_all_hosts_are_read_at_the_start_and_bad_ones_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "a.test", "a.test")
    for stem in ("b.test", "default_9"):
        (tmp_path / f"{stem}.crt").write_text("garbage")
    CertificateFolder(tmp_path).load()
    CertificateFolder(tmp_path / "none").load()
    told = f"{tmp_path}/b.test.key: No such file or directory; clients who ask for it get another certificate"
    assert caplog.messages == [told]


@pytest.mark.skipif(os.getuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(CertificateError, match="Permission denied"):
        CertificateFolder(closed).default(443)


def asked_for(folder: CertificateFolder, name: str) -> ssl.SSLContext:
    """Return what a client is shown that asks for `name`."""
    default = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    connection = default.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    folder.choose(connection, name, default)
    return connection.context


def test_names_too_long_for_a_file_are_not_looked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = CertificateFolder(tmp_path)
    for length in range(240, 256):
        asked_for(folder, f"{'.'.join(['a' * 49] * 4)}.{'b' * (length - 200)}")
    assert caplog.messages == []


def test_a_folder_that_cannot_be_looked_into_is_told_once_whatever_names_are_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = tmp_path / ("a" * 256)
    told = f"{where}: File name too long; clients may get another certificate than they ask for"
    folder = CertificateFolder(where)
    for number in range(20):
        asked_for(folder, f"{number}.test")
    assert caplog.messages == [told]
    folder.reload()
    asked_for(folder, "a.test")
    assert caplog.messages == [told, told]


def test_a_host_whose_files_are_gone_is_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And told again when they are back, and still of no use."""
    folder = CertificateFolder(tmp_path)
    for times in (1, 2):
        (tmp_path / "a.test.crt").write_text("garbage")
        for _ in range(2):
            asked_for(folder, "a.test")
        assert len(caplog.messages) == times
        (tmp_path / "a.test.crt").unlink()
        asked_for(folder, "a.test")
