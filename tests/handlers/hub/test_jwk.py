"""Key sets as text: which of their members become keys (RFC 7517, reference 1.9.2)."""

from __future__ import annotations

import contextlib

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hub.jwk import KEYS_LIMIT, parse_key_set
from handlers.hub.keys import SET_ALGORITHMS
from tests.handlers.hub.signing import jwk, key_set, private_key, token

EC = jwk(private_key("ES256"), "ES256")
RSA = jwk(private_key("RS256"), "RS256")
EDWARDS = jwk(private_key("EdDSA"), "EdDSA")
SECRET = {"kty": "oct", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}
ALL_RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]


def algorithms(*members: object, allowed: tuple[str, ...] = SET_ALGORITHMS) -> list[str]:
    return [key.algorithm for key in parse_key_set(key_set(*members), allowed)]


@pytest.mark.parametrize("algorithm", SET_ALGORITHMS)
@pytest.mark.parametrize("named", [True, False])
def test_a_member_verifies_what_its_private_key_signed(algorithm: str, named: bool) -> None:
    member = jwk(private_key(algorithm), algorithm, **({"alg": algorithm} if named else {}))
    signed, _, signature = token({}, private_key(algorithm), algorithm).rpartition(".")
    keys = [key for key in parse_key_set(key_set(member), SET_ALGORITHMS) if key.algorithm == algorithm]

    assert [key.verifies(signed.encode(), jwt.utils.base64url_decode(signature)) for key in keys] == [True]


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        pytest.param(EC, ["ES256"], id="the curve says which"),
        pytest.param(jwk(private_key("ES512"), "ES512"), ["ES512"], id="another curve"),
        pytest.param(RSA, ALL_RSA, id="RSA without alg"),
        pytest.param(RSA | {"alg": "PS384"}, ["PS384"], id="RSA with alg"),
        pytest.param(EDWARDS, ["EdDSA"], id="Edwards"),
        pytest.param(EC | {"use": "sig", "key_ops": ["verify"]}, ["ES256"], id="for verifying"),
        pytest.param(EC | {"use": "enc"}, [], id="for encrypting"),
        pytest.param(EC | {"key_ops": ["deriveKey"]}, [], id="for something else"),
        pytest.param(RSA | {"alg": "RSA-OAEP"}, [], id="an algorithm that encrypts"),
        pytest.param(RSA | {"alg": "HS256"}, [], id="a secret's algorithm"),
        pytest.param(EC | {"alg": "ES384"}, [], id="another curve's algorithm"),
        pytest.param(EC | {"alg": 5}, [], id="an alg that is none"),
        pytest.param(EC | {"crv": "secp256k1"}, [], id="a curve nobody asked for"),
        pytest.param(EDWARDS | {"crv": "X25519"}, [], id="a curve that cannot sign"),
        pytest.param(EC | {"crv": []}, [], id="a curve that is none"),
        pytest.param(EC | {"x": "AAAA"}, [], id="numbers of no key"),
        pytest.param(EC | {"x": 5}, [], id="numbers that are none"),
        pytest.param({"kty": "RSA", "n": "AQAB"}, [], id="half a key"),
        pytest.param(SECRET, [], id="a secret"),
        pytest.param(SECRET | {"alg": "HS256"}, [], id="a secret with its algorithm"),
        pytest.param({}, [], id="nothing"),
        pytest.param(None, [], id="null"),
        pytest.param("x", [], id="a string"),
    ],
)
def test_members_that_cannot_verify_are_passed_over(member: object, expected: list[str]) -> None:
    assert algorithms(member, EDWARDS) == [*expected, "EdDSA"]


def test_only_allowed_algorithms_become_keys() -> None:
    assert algorithms(RSA, EC, EDWARDS, allowed=("RS256", "ES256")) == ["RS256", "ES256"]


def test_of_a_private_key_only_the_public_half_is_used() -> None:
    private = jwt.get_algorithm_by_name("RS256").to_jwk(private_key("RS256"), as_dict=True)
    private.pop("key_ops")

    signed, _, signature = token({}, private_key("RS256"), "RS256").rpartition(".")
    (key,) = parse_key_set(key_set(private), ("RS256",))

    assert key.verifies(signed.encode(), jwt.utils.base64url_decode(signature))


@pytest.mark.parametrize(("kid", "expected"), [("a", "a"), (None, None), (5, None)])
def test_a_key_has_the_name_of_its_member(kid: object, expected: str | None) -> None:
    assert parse_key_set(key_set(EC | {"kid": kid}), SET_ALGORITHMS)[0].kid == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it is not an object with an array 'keys'"),
        (b"{}", "it is not an object with an array 'keys'"),
        (b'{"keys": {}}', "it is not an object with an array 'keys'"),
        (key_set(*[EC] * (KEYS_LIMIT + 1)), "it has 101 keys, more than 100"),
    ],
    ids=["empty", "bytes", "depth", "array", "no keys", "keys an object", "too many"],
)
def test_what_is_no_key_set_is_an_error(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_key_set(text, SET_ALGORITHMS)


def test_an_empty_set_is_one() -> None:
    assert parse_key_set(b'{"keys": []}', SET_ALGORITHMS) == ()


MEMBERS = st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "use", "kid", "key_ops"])
VALUES = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2) | st.sampled_from(["EC", "OKP", "RSA"])


@given(base=st.sampled_from([EC, RSA, EDWARDS, {}]), changes=st.dictionaries(MEMBERS, VALUES, max_size=4))
def test_any_member_gives_keys_or_none(base: dict[str, object], changes: dict[str, object]) -> None:
    keys = parse_key_set(key_set(base | changes), SET_ALGORITHMS)

    assert all(key.algorithm in SET_ALGORITHMS for key in keys)


@given(text=st.binary())
def test_any_bytes_give_keys_or_the_error(text: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_key_set(text, SET_ALGORITHMS)
