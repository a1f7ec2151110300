"""Which certificates can be shown, what is checked, and which names can be asked for."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from proxy.protocol.route import Target, TargetKind
from proxy.tls import CertificateError, is_hostname, load_certificate, server_hostname, tls_context
from tests.proxy.certificates import self_signed


def target_of(**options: bool | str) -> Target:
    return Target(kind=TargetKind.HOST, host="127.0.0.1", port=1, ssl=True, **options)  # type: ignore[arg-type]


def client_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold a certificate and keys: its own, another's, its own behind a password, and what is none."""
    both = self_signed(tmp_path, "both.pem").read_bytes()
    end = b"-----END PRIVATE KEY-----\n"
    key, _, certificate = both.partition(end)
    locked = load_pem_private_key(both, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    files = {
        "both": both,
        "cert": certificate,
        "key": key + end,
        "locked": locked,
        "other": self_signed(tmp_path, "other.pem").read_bytes(),
        "junk": b"junk",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(("certificate", "key"), [("cert", "key"), ("both", "")])
def test_a_client_certificate_is_loaded_with_its_key(folder: Path, certificate: str, key: str) -> None:
    target = target_of(client_cert=str(folder / certificate), client_key=str(folder / key) if key else "")
    load_certificate(client_context(), target)
    assert tls_context(target).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        ("lost", "key", "No such file or directory"),
        ("cert", "lost", "No such file or directory"),
        ("junk", "key", ""),
        ("cert", "junk", ""),
        ("cert", "other", "KEY_VALUES_MISMATCH"),
        ("cert", "locked", ""),
        ("cert\0", "key", "embedded null"),
    ],
)
def test_one_that_cannot_be_used_is_named_with_the_reason(
    folder: Path, certificate: str, key: str, reason: str
) -> None:
    target = target_of(client_cert=f"{folder}/{certificate}", client_key=f"{folder}/{key}")
    for load in (lambda: load_certificate(client_context(), target), lambda: tls_context(target)):
        with pytest.raises(CertificateError) as failure:
            load()
        assert str(failure.value).startswith(f"client_cert {folder}/{certificate}: {reason}")
        assert not str(failure.value).endswith(": ")


def test_a_target_without_a_certificate_shows_none() -> None:
    load_certificate(client_context(), target_of())


def test_certificates_are_checked_unless_told_otherwise() -> None:
    checked, trusting = tls_context(target_of()), tls_context(target_of(insecure=True))
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    ("host", "name"), [(b"a.example:80", "a.example"), (b"[::1]:80", "::1"), (b"[::1]", "::1"), (b"a", "a")]
)
def test_the_name_to_prove_is_the_host_without_its_port(host: bytes, name: str) -> None:
    assert server_hostname(target_of(), host) == name
    assert server_hostname(target_of(trust_connect_host=True), host) == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("a.example", True),
        ("127.0.0.1", True),
        ("b\u00fccher.example", True),
        ("", False),
        (".a", False),
        ("a..b", False),
        ("x" * 64, False),
        ("\ufffd", False),
    ],
)
def test_a_name_is_asked_for_only_if_a_certificate_can_have_it(name: str, holds: bool) -> None:
    assert is_hostname(name) is holds
