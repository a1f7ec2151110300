"""The key that stands in the settings: its notations, and what goes with which algorithm (reference 1.9.2, row O11)."""

from __future__ import annotations

import base64
import warnings
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from handlers.errors import InvalidSetting
from handlers.hub.keys import SECRET_ALGORITHMS, SET_ALGORITHMS, Candidates, OneKey, load_key, make_key
from tests.handlers.hub.signing import (
    OTHER_SECRET,
    SECRET,
    certificate_pem,
    private_key,
    private_pem,
    public_pem,
    token,
)


def verifies(text: str, algorithm: str, signed: str) -> bool:
    signing_input, _, signature = signed.rpartition(".")
    key = load_key("publisher_key", text, algorithm)
    return key.verifies(signing_input.encode(), jwt.utils.base64url_decode(signature))


def signature_of(signed: str) -> str:
    return signed.rpartition(".")[2]


@pytest.mark.parametrize("algorithm", SECRET_ALGORITHMS)
def test_a_secret_verifies_what_it_signed_and_nothing_else(algorithm: str) -> None:
    signed = token({"a": 1}, SECRET, algorithm)

    assert verifies(SECRET, algorithm, signed)
    assert not verifies(OTHER_SECRET, algorithm, signed)
    assert not verifies(
        SECRET, algorithm, f"{token({'a': 2}, SECRET, algorithm).rpartition('.')[0]}.{signature_of(signed)}"
    )


@pytest.mark.parametrize("algorithm", SET_ALGORITHMS)
@pytest.mark.parametrize("form", [public_pem, certificate_pem], ids=["public key", "certificate"])
def test_a_public_key_verifies_what_its_private_key_signed(algorithm: str, form: object) -> None:
    assert callable(form)
    signed = token({"a": 1}, private_key(algorithm), algorithm)

    assert verifies(form(private_key(algorithm)), algorithm, signed)
    assert not verifies(form(private_key(algorithm, 1)), algorithm, signed)


def test_a_secret_stands_as_text_as_base64_or_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{SECRET}\n")
    encoded = base64.b64encode(SECRET.encode()).decode()

    for text in (SECRET, f"base64:{encoded}", f"file:{path}"):
        assert verifies(text, "HS256", token({}))


def test_a_public_key_stands_as_text_as_base64_or_in_a_file(tmp_path: Path) -> None:
    pem = public_pem(private_key("ES256"))
    path = tmp_path / "key.pem"
    path.write_text(f"\n{pem}")
    encoded = base64.b64encode(pem.encode()).decode()

    for text in (pem, f"base64:{encoded}", f"file:{path}"):
        assert verifies(text, "ES256", token({}, private_key("ES256"), "ES256"))


RSA, EC = public_pem(private_key("RS256")), public_pem(private_key("ES256"))


@pytest.mark.parametrize(
    ("text", "algorithm", "reason"),
    [
        pytest.param(RSA, "HS256", "is PEM, and its algorithm HS256 takes a secret", id="o11 PEM with HS256"),
        pytest.param(f" \n{RSA}", "HS512", "is PEM, and", id="o11 PEM behind white space"),
        pytest.param(SECRET, "RS256", "is not PEM, and its algorithm RS256 takes a public key", id="secret with RS256"),
        pytest.param(SECRET, "EdDSA", "is not PEM", id="secret with EdDSA"),
        pytest.param(SECRET, "none", "its algorithm 'none' is unknown; it may be HS256, HS384", id="none"),
        pytest.param(SECRET, "hs256", "its algorithm 'hs256' is unknown", id="letter case"),
        pytest.param(EC, "ES256K", "its algorithm 'ES256K' is unknown", id="a curve nobody asked for"),
        pytest.param(EC, "RS256", "does not go with RS256: the key is of another kind", id="EC with RS256"),
        pytest.param(RSA, "ES256", "does not go with ES256", id="RSA with ES256"),
        pytest.param(RSA, "EdDSA", "does not go with EdDSA", id="RSA with EdDSA"),
        pytest.param(EC, "ES384", "does not go with ES384: The key's curve", id="another curve"),
        pytest.param("-----BEGIN PUBLIC KEY-----\nx", "RS256", "is not a public key or a cert", id="no key"),
        pytest.param("-----BEGIN CERTIFICATE-----\nx", "RS256", "is not a public key or a cert", id="no certificate"),
        pytest.param('{"kty": "oct", "k": "eA"}', "HS256", "does not go with HS256: The specified", id="a JWK"),
        pytest.param("base64:!", "HS256", "what follows base64: is not base64", id="no base64"),
        pytest.param("base64:", "HS256", "nothing follows base64:", id="empty"),
        pytest.param("file:/no/such/file", "HS256", "/no/such/file cannot be read: No such file", id="no file"),
    ],
)
def test_what_does_not_fit_ends_the_start(text: str, algorithm: str, reason: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load_key("publisher_key", text, algorithm)

    assert caught.value.key == "publisher_key"
    assert caught.value.reason.startswith(reason)
    assert SECRET not in str(caught.value)


def test_a_private_key_is_not_a_hubs_to_have() -> None:
    with pytest.raises(InvalidSetting, match="is a private key"):
        load_key("publisher_key", private_pem(private_key("ES256")), "ES256")


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_no_key(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)

    with pytest.raises(InvalidSetting, match="holds no key"):
        load_key("publisher_key", f"file:{path}", "HS256")


def test_a_short_key_is_taken_and_said_to_be_short() -> None:
    with warnings.catch_warnings():
        # Of 1024 bits cryptography itself complains.
        warnings.simplefilter("ignore")
        short_rsa = rsa.generate_private_key(65537, 1024)

    assert "10 bytes" in load_key("publisher_key", SECRET, "HS256").weakness
    assert "1024 bits" in load_key("publisher_key", public_pem(short_rsa), "RS256").weakness
    assert not load_key("publisher_key", "k" * 32, "HS256").weakness
    assert not load_key("publisher_key", RSA, "RS256").weakness


def test_a_key_shows_nothing_of_itself() -> None:
    assert SECRET not in repr(load_key("publisher_key", SECRET, "HS256"))


async def test_the_one_key_is_for_its_algorithm_whatever_the_kid() -> None:
    key = make_key("HS256", SECRET.encode())

    assert await OneKey(key).candidates("HS256", "any") == Candidates((key,))
    assert await OneKey(key).candidates("HS256", None) == Candidates((key,))
    assert await OneKey(key).candidates("HS384", None) == Candidates(())
