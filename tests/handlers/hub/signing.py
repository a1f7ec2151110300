"""Keys made on the spot, the forms in which hubs are given them, and tokens signed with them."""

from __future__ import annotations

import datetime
import functools
import json
import warnings
from collections.abc import Mapping
from typing import Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from jwt.warnings import InsecureKeyLengthWarning

from tests.support.clock import WALL_START

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

RESOURCE: Final = "https://hub.example/.well-known/mercure"
SECRET: Final = "!ChangeMe!"  # what the Mercure world signs with: too short for any standard
OTHER_SECRET: Final = "another secret"
DETAIL_TYPE: Final = "https://mercure.rocks/authorization-detail"

CURVES: Final = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@functools.cache
def private_key(algorithm: str, number: int = 0) -> PrivateKey:
    """Return a key for `algorithm`, the same at each call; another `number` is another key."""
    del number
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def public_pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certificate_pem(key: PrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.datetime.now(tz=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(key, None if is_edwards else hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def jwk(key: PrivateKey, algorithm: str, **members: object) -> dict[str, object]:
    """Return the public key as a member of a key set. pyjwt's own `key_ops` are left out."""
    found = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    return {name: value for name, value in found.items() if name != "key_ops"} | members


def key_set(*members: object) -> bytes:
    return json.dumps({"keys": members}).encode()


def token(
    claims: Mapping[str, object],
    key: PrivateKey | str = SECRET,
    algorithm: str = "HS256",
    **header: object,
) -> str:
    with warnings.catch_warnings():
        # How short a key may be is what some tests are about.
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm=algorithm, headers=header)


def current_claims(**claims: object) -> dict[str, object]:
    """Return claims that a hub of the tests accepts, of 1.0; None takes one away."""
    base: dict[str, object] = {"iss": "https://issuer.example", "aud": RESOURCE, "exp": WALL_START + 60, "sub": "me"}
    return {name: value for name, value in (base | claims).items() if value is not None}


def details(*actions: str, topics: tuple[str, ...] = ("*",)) -> list[dict[str, object]]:
    return [{"type": DETAIL_TYPE, "actions": actions, "topics": [{"match": topic} for topic in topics]}]
