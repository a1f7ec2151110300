from __future__ import annotations

import base64
import hmac
import json
import warnings
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.grip_sig import GripKey, KeyFormatError, Signer, is_signed, parse_key

NOW = 1_700_000_000
CHANGEME = GripKey(algorithm="HS256", secret=b"changeme")


def private_pem(key: PrivateKeyTypes, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def no_file(path: str) -> bytes:
    raise AssertionError(f"{path} was read")


def file_of(content: bytes) -> Callable[[str], bytes]:
    return lambda _: content


def token_of(claims: object, *, secret: bytes = b"changeme", header: str = '{"alg":"HS256","typ":"JWT"}') -> bytes:
    def segment(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signing_input = segment(header.encode()) + b"." + segment(json.dumps(claims).encode())
    return signing_input + b"." + segment(hmac.digest(secret, signing_input, "sha256"))


@pytest.mark.parametrize(
    ("spec", "content", "expected"),
    [
        ("changeme", None, CHANGEME),
        ("schlüssel", None, GripKey(algorithm="HS256", secret="schlüssel".encode())),
        ("base64:c2VjcmV0IGtleSE=", None, GripKey(algorithm="HS256", secret=b"secret key!")),
        ("base64:c2VjcmV0IGtleSE", None, GripKey(algorithm="HS256", secret=b"secret key!")),
        ("file:key", b"00ff10\n", GripKey(algorithm="HS256", secret=b"\x00\xff\x10")),
        ("file:key", private_pem(EC_KEY), GripKey(algorithm="ES256", secret=private_pem(EC_KEY))),
        ("file:key", public_pem(RSA_KEY), GripKey(algorithm="RS256", secret=public_pem(RSA_KEY))),
    ],
)
def test_a_key_setting_gives_its_key(spec: str, content: bytes | None, expected: GripKey) -> None:
    assert parse_key(spec, no_file if content is None else file_of(content)) == expected


def test_the_path_of_a_key_file_is_handed_on_as_written() -> None:
    paths: list[str] = []

    def read(path: str) -> bytes:
        paths.append(path)
        return b"6b6579"

    parse_key("file:keys/a:b.hex", read)
    assert paths == ["keys/a:b.hex"]


@pytest.mark.parametrize(
    ("spec", "content"),
    [
        ("", None),
        ("base64:", None),
        ("base64:a", None),
        ("base64:!!!!", None),
        ("-----BEGIN PUBLIC KEY-----", None),
        ('{"kty":"oct","k":"eA"}', None),
        ("\udcff", None),
        ("file:key", b""),
        ("file:key", b"secret in the clear"),
        ("file:key", b"\xff\xfe"),
        ("file:key", b"-----BEGIN NONSENSE-----"),
        ("file:key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("file:key", private_pem(EC_KEY, BestAvailableEncryption(b"pass"))),
        ("file:key", private_pem(ec.generate_private_key(ec.SECP384R1()))),
        ("file:key", private_pem(rsa.generate_private_key(65537, 1024))),
        ("file:key", private_pem(ed25519.Ed25519PrivateKey.generate())),
    ],
)
def test_a_key_setting_that_gives_no_usable_key_is_refused(spec: str, content: bytes | None) -> None:
    with pytest.raises(KeyFormatError):
        parse_key(spec, no_file if content is None else file_of(content))


def test_a_key_file_that_cannot_be_read_is_refused_by_name() -> None:
    def missing(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", path)

    with pytest.raises(KeyFormatError, match=r"cannot read key file gone\.hex: No such file or directory"):
        parse_key("file:gone.hex", missing)


def test_neither_a_key_nor_an_error_shows_the_secret() -> None:
    assert "changeme" not in repr(CHANGEME)
    with pytest.raises(KeyFormatError) as raised:
        parse_key("file:key", file_of(b"my secret"))
    assert "my secret" not in str(raised.value)


@pytest.mark.parametrize("content", [private_pem(EC_KEY), private_pem(RSA_KEY), b"6368616e67656d65"])
def test_what_a_signer_signs_is_signed(content: bytes) -> None:
    key = parse_key("file:key", file_of(content))
    assert is_signed(Signer("pushpin", key).sign(NOW), key, NOW)


@pytest.mark.parametrize("pem_key", [EC_KEY, RSA_KEY])
def test_a_public_key_verifies_but_does_not_sign(pem_key: PrivateKeyTypes) -> None:
    private = parse_key("file:key", file_of(private_pem(pem_key)))
    public = parse_key("file:key", file_of(public_pem(pem_key)))
    assert is_signed(Signer("pushpin", private).sign(NOW), public, NOW)
    with pytest.raises(KeyFormatError, match="a public key cannot sign"):
        Signer("pushpin", public)


def test_a_token_holds_exactly_exp_and_iss() -> None:
    token = Signer("pushpin", CHANGEME).sign(NOW)
    decoded = jwt.PyJWS().decode_complete(token, options={"verify_signature": False})
    assert decoded["header"] == {"typ": "JWT", "alg": "HS256"}
    assert json.loads(decoded["payload"]) == {"exp": NOW + 3600, "iss": "pushpin"}


def test_all_requests_of_a_second_share_one_token() -> None:
    signer = Signer("pushpin", GripKey(algorithm="ES256", secret=private_pem(EC_KEY)))
    first = signer.sign(NOW)  # an ES256 signature has chance in it: equal tokens are one signature
    assert signer.sign(NOW) == first
    assert signer.sign(NOW + 1) != first


def test_a_short_secret_is_used_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_signed(Signer("pushpin", CHANGEME).sign(NOW), CHANGEME, NOW)


@pytest.mark.parametrize(
    ("claims", "trusted"),
    [
        ({"exp": NOW + 1}, True),
        ({"exp": NOW + 0.5}, True),
        ({"exp": 10**40, "iss": 5, "aud": ["x"]}, True),
        ({"exp": NOW}, False),
        ({"exp": NOW - 1}, False),
        ({"exp": str(NOW + 60)}, False),
        ({"exp": True}, False),
        ({"exp": None}, False),
        ({"iss": "pushpin"}, False),
        ({"exp": NOW + 60, "nbf": NOW}, True),
        ({"exp": NOW + 60, "nbf": NOW + 1}, False),
        ([NOW + 60], False),
    ],
)
def test_a_token_counts_until_its_exp(claims: object, trusted: bool) -> None:
    assert is_signed(token_of(claims), CHANGEME, NOW) is trusted


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"spoof",
        b"a.b.c",
        b"\xff.\xff.\xff",
        token_of({"exp": NOW + 60}, secret=b"another"),
        token_of({"exp": NOW + 60}, header='{"alg":"none"}'),
        token_of({"exp": NOW + 60}, header='{"alg":"HS512"}'),
        token_of({"exp": NOW + 60}, header='{"alg":["HS256"]}'),
        token_of({"exp": NOW + 60}, header='{"typ":"JWT"}'),
        token_of({"exp": NOW + 60}, header='["HS256"]'),
        token_of({"exp": NOW + 60}, header='{"alg":"HS256","b64":false,"crit":[{}]}'),
        token_of({"exp": NOW + 60})[:-1],
    ],
)
def test_anything_else_in_the_header_makes_nobody_trusted(token: bytes) -> None:
    assert not is_signed(token, CHANGEME, NOW)


@pytest.mark.parametrize("pem_key", [EC_KEY, RSA_KEY])
def test_the_token_cannot_choose_the_algorithm(pem_key: PrivateKeyTypes) -> None:
    # The classic confusion: an HMAC keyed with the public key's text.
    pem = public_pem(pem_key)
    assert not is_signed(token_of({"exp": NOW + 60}, secret=pem), parse_key("file:key", file_of(pem)), NOW)


@given(st.binary() | st.lists(st.text(), min_size=3, max_size=3).map(lambda parts: ".".join(parts).encode()))
def test_no_token_raises(token: bytes) -> None:
    assert not is_signed(token, CHANGEME, NOW)


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_header_of_a_token_raises(header: object) -> None:
    assert not is_signed(token_of({"exp": NOW + 60}, header=json.dumps(header)), CHANGEME, NOW)


@given(st.text(min_size=1))
def test_any_setting_gives_a_key_or_the_documented_error(spec: str) -> None:
    try:
        key = parse_key(spec, file_of(spec.encode("utf-8", "replace")))
    except KeyFormatError:
        return
    assert is_signed(Signer(spec, key).sign(NOW), key, NOW)
