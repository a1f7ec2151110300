"""Keys that verify tokens: what one is, where they come from, and the one in the settings (reference 1.9.2).

`key_ring` loads them when the process starts; `auth` asks a source for those that may verify a token. A key is bound to
one algorithm, so a token cannot choose how its key is used. Nothing here reads a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import Algorithm

from handlers.errors import InvalidSetting
from handlers.secret import read_secret

SET_ALGORITHMS: Final = (
    "EdDSA",
    *("ES256", "ES384", "ES512"),
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
)
"""Algorithms with a public key: what a key set may hold."""

SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
"""Algorithms with a shared secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key for one algorithm. `weakness` is what the standards object to about its length; empty is nothing."""

    algorithm: str
    kid: str | None = None
    weakness: str = ""
    implementation: Algorithm = field(repr=False)
    material: object = field(repr=False)

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether `signature` is of `signed`."""
        return self.implementation.verify(signed, self.material, signature)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The keys that may verify a token."""

    keys: Sequence[Key]

    retry_after: float = 0.0
    """Seconds until a key that is not known yet can be looked for; 0 where these are all there are."""


class KeySource(Protocol):
    """Where the keys for one issuer's tokens of one role come from."""

    async def candidates(self, algorithm: str, kid: str | None) -> Candidates:
        """Return the keys that may verify a token with this header; raises HubRefusal when none can be had at all."""
        ...


class OneKey:
    """The key of the settings: it has no name, so a token's `kid` says nothing about it."""

    def __init__(self, key: Key) -> None:
        self.key = key

    async def candidates(self, algorithm: str, kid: str | None) -> Candidates:
        """Return the key if it is for `algorithm`."""
        del kid
        return Candidates((self.key,) if algorithm == self.key.algorithm else ())


def make_key(algorithm: str, material: object, *, kid: str | None = None) -> Key:
    """Return a public key, or a secret as bytes, made for `algorithm`; raises ValueError when the two do not fit."""
    implementation = jwt.get_algorithm_by_name(algorithm)
    try:
        prepared = implementation.prepare_key(material)
    except (jwt.PyJWTError, TypeError) as error:
        # Of an RSA key in the place of another pyjwt says only that it is not PEM.
        told = str(error) if isinstance(error, jwt.PyJWTError) else ""
        raise ValueError(told or f"the key is of another kind than {algorithm} needs") from error
    return Key(
        algorithm=algorithm,
        kid=kid,
        weakness=implementation.check_key_length(prepared) or "",
        implementation=implementation,
        material=prepared,
    )


def load_key(name: str, text: str, algorithm: str) -> Key:
    """Return the key that the setting `name` holds or names, for its one algorithm; raises InvalidSetting.

    `text`: `base64:...`, `file:path`, a PEM public key or certificate, or any other text, which is a secret.
    """
    if algorithm not in {*SET_ALGORITHMS, *SECRET_ALGORITHMS}:
        known = ", ".join((*SECRET_ALGORITHMS, *SET_ALGORITHMS))
        raise InvalidSetting(name, f"its algorithm '{algorithm}' is unknown; it may be {known}")
    value = _read(name, text)
    is_pem = value.lstrip().startswith(b"-----BEGIN ")
    if is_pem and algorithm in SECRET_ALGORITHMS:
        raise InvalidSetting(name, f"is PEM, and its algorithm {algorithm} takes a secret")
    if not is_pem and algorithm not in SECRET_ALGORITHMS:
        raise InvalidSetting(name, f"is not PEM, and its algorithm {algorithm} takes a public key")
    try:
        return make_key(algorithm, _load_pem(name, value) if is_pem else value)
    except ValueError as error:
        if isinstance(error, InvalidSetting):
            raise
        raise InvalidSetting(name, f"does not go with {algorithm}: {error}") from error


def _read(name: str, text: str) -> bytes:
    value = read_secret(name, text)
    if not value:
        # Without this, whoever knows that the file is empty could sign.
        raise InvalidSetting(name, "holds no key")
    return value


def _load_pem(name: str, value: bytes) -> object:
    heading = value.lstrip().split(b"\n", 1)[0]
    if b"PRIVATE KEY" in heading:
        raise InvalidSetting(name, "is a private key; the hub needs the public one")
    try:
        if b"CERTIFICATE" in heading:
            return x509.load_pem_x509_certificate(value).public_key()
        return load_pem_public_key(value)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidSetting(name, "is not a public key or a certificate that can be read") from error
