"""`Grip-Sig`: the token that tells a backend its request came through this proxy, and the check of one.

The proxy signs every request it sends to a backend, and with an `upstream_key` recognises requests that
another GRIP proxy in front has signed already. Called at start-up and on reload (keys) and once a request
(tokens). It reads no files and no clock: both are handed in. It never takes the algorithm from a token.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import HMACAlgorithm

from handlers.errors import InvalidSetting
from handlers.protocol.secret import SecretFile, parse_secret

Algorithm = Literal["HS256", "ES256", "RS256"]

TOKEN_LIFETIME = 3600
"""Seconds from signing to `exp` (reference 3.12)."""

_PEM_START = b"-----BEGIN"
_RSA_MIN_BITS = 2048


class KeyFormatError(ValueError):
    """A key setting cannot be understood. The text names the setting's form, never its secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GripKey:
    """A key and the one algorithm it is used with. `secret` is raw bytes for HS256 and PEM otherwise."""

    algorithm: Algorithm
    secret: bytes = field(repr=False)


def parse_key(spec: str, read_file: Callable[[str], bytes]) -> GripKey:
    """Parse a `sig_key` or `upstream_key` setting (reference 3.12).

    `spec` is the secret's text, `base64:DATA`, or `file:PATH`; `read_file` gets PATH as written. A file
    holds a PEM key, private or public (P-256 is ES256, RSA is RS256), or the secret in hexadecimal.
    Raises KeyFormatError, also for a file that cannot be read: a lost key must not turn signing off.
    """
    try:
        secret = parse_secret("key", spec)
        if not isinstance(secret, SecretFile):
            return _secret_key(secret.value)
    except InvalidSetting as error:
        raise KeyFormatError(f"bad key: {error.reason}") from error
    except KeyFormatError as error:
        raise KeyFormatError(f"bad key: {error}") from error
    return _file_key(secret.path, read_file)


class Signer:
    """Makes the tokens of one issuer. One is made for each route's key and kept.

    Not for use from several threads at once.
    """

    def __init__(self, iss: str, key: GripKey) -> None:
        """Raise KeyFormatError when `key` is a public key, which can verify but not sign."""
        self._iss = iss
        self._algorithm = key.algorithm
        self._key = _signing_key(key)
        self._last: tuple[int, bytes] | None = None

    def sign(self, now: int) -> bytes:
        """Return a token that expires an hour after `now` (Unix time in seconds).

        `exp` has whole seconds, so all requests of a second share one token and one signature.
        """
        if self._last is not None and self._last[0] == now:
            return self._last[1]
        claims = json.dumps({"exp": now + TOKEN_LIFETIME, "iss": self._iss}, separators=(",", ":"))
        token = _JWS.encode(claims.encode(), self._key, algorithm=self._algorithm).encode()
        self._last = (now, token)
        return token


def is_signed(token: bytes, key: GripKey, now: int) -> bool:
    """Say whether `token` was signed with `key` and has an `exp` after `now` (Unix time in seconds).

    An `nbf` later than `now` is obeyed too (RFC 7519 section 4.1.5); other claims are not looked at.
    """
    try:
        payload = _JWS.decode(token, _verifying_key(key), algorithms=[key.algorithm])
        claims = msgspec.json.decode(payload, type=_Claims)
    except (jwt.PyJWTError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Whatever is wrong with it, it is a stranger's header and makes nobody trusted.
        return False
    return claims.exp > now and (claims.nbf is None or claims.nbf <= now)


class _Claims(msgspec.Struct, frozen=True):
    exp: int | float
    nbf: int | float | None = None


class _AnyLengthHmac(HMACAlgorithm):
    """HS256 without pyjwt's warning about short secrets.

    The secret is a setting shared with existing backends, and the customary one, `changeme`, is short.
    Telling the operator so is for settings to do once, not for a warning on every request.
    """

    def check_key_length(self, key: object) -> str | None:
        return None


def _make_jws() -> jwt.PyJWS:
    jws = jwt.PyJWS(algorithms=["HS256", "ES256", "RS256"])
    jws.unregister_algorithm("HS256")
    jws.register_algorithm("HS256", _AnyLengthHmac(HMACAlgorithm.SHA256))
    return jws


_JWS = _make_jws()

_PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey
_PublicKey = EllipticCurvePublicKey | RSAPublicKey


def _secret_key(secret: bytes) -> GripKey:
    if not secret:
        raise KeyFormatError("the secret is empty")
    if secret.startswith(_PEM_START):
        raise KeyFormatError("a PEM key must be in a file, as file:PATH")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError as error:
        # A JWK or SSH key in place of a secret would sign with public text.
        raise KeyFormatError(str(error)) from error
    return GripKey(algorithm="HS256", secret=secret)


def _file_key(path: str, read_file: Callable[[str], bytes]) -> GripKey:
    try:
        content = read_file(path)
    except OSError as error:
        raise KeyFormatError(f"cannot read key file {path}: {error.strerror or error}") from error
    try:
        if content.startswith(_PEM_START):
            return _pem_key(content)
        return _secret_key(bytes.fromhex(content.decode("ascii")))
    except ValueError as error:
        raise KeyFormatError(f"bad key file {path}: {_file_fault(error)}") from error


def _file_fault(error: ValueError) -> str:
    # fromhex and decode quote what they choke on, and that is the secret.
    return str(error) if isinstance(error, KeyFormatError) else "neither PEM nor hexadecimal"


def _pem_key(pem: bytes) -> GripKey:
    key = _load_pem(pem)
    if isinstance(key, (EllipticCurvePrivateKey, EllipticCurvePublicKey)):
        if not isinstance(key.curve, SECP256R1):
            raise KeyFormatError(f"an EC key must be on curve P-256 for ES256, not {key.curve.name}")
        return GripKey(algorithm="ES256", secret=pem)
    # RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used with these algorithms."
    if key.key_size < _RSA_MIN_BITS:
        raise KeyFormatError(f"an RSA key must have at least {_RSA_MIN_BITS} bits, not {key.key_size}")
    return GripKey(algorithm="RS256", secret=pem)


def _load_pem(pem: bytes) -> _PrivateKey | _PublicKey:
    is_private = b"PRIVATE KEY-----" in pem.split(b"\n", 1)[0]
    try:
        key = load_pem_private_key(pem, password=None) if is_private else load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # TypeError is how an encrypted key without a password is reported.
        raise KeyFormatError("a PEM key that is encrypted, damaged or of an unknown kind") from error
    if not isinstance(key, (EllipticCurvePrivateKey, EllipticCurvePublicKey, RSAPrivateKey, RSAPublicKey)):
        raise KeyFormatError("a PEM key must be EC or RSA")
    return key


def _signing_key(key: GripKey) -> bytes | _PrivateKey:
    if key.algorithm == "HS256":
        return key.secret
    loaded = _load_pem(key.secret)
    if not isinstance(loaded, (EllipticCurvePrivateKey, RSAPrivateKey)):
        raise KeyFormatError("a public key cannot sign")
    return loaded


@functools.lru_cache(maxsize=16)
def _verifying_key(key: GripKey) -> bytes | _PublicKey:
    """Load a key once: the same few keys check every request."""
    if key.algorithm == "HS256":
        return key.secret
    loaded = _load_pem(key.secret)
    return loaded.public_key() if isinstance(loaded, (EllipticCurvePrivateKey, RSAPrivateKey)) else loaded
