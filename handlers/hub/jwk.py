"""A JSON Web Key Set (RFC 7517) read into keys.

Called by `jwks` with what a file or a server gave. A member that cannot verify signatures with an allowed algorithm is
passed over, as the RFC wants; a text that is no key set at all is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, cast

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm

from handlers.hub.keys import Key, make_key

KEYS_LIMIT: Final = 100
"""Keys of one set: a token without `kid` is tried with all of them."""

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS: Final = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
"""Algorithms by kind and curve. `oct`, a shared secret, is not there: a set is public."""

_PUBLIC_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y")


def parse_key_set(text: bytes, allowed: Collection[str]) -> tuple[Key, ...]:
    """Return the keys, one for each algorithm they may be used with; raises ValueError for anything but a key set."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise ValueError("it is not an object with an array 'keys'")
    if len(members) > KEYS_LIMIT:
        raise ValueError(f"it has {len(members)} keys, more than {KEYS_LIMIT}")
    return tuple(key for member in members for key in _keys_of(member, allowed))


def _keys_of(member: object, allowed: Collection[str]) -> Iterator[Key]:
    if not isinstance(member, dict):
        return
    jwk = cast("dict[str, object]", member)
    if not _is_for_verifying(jwk):
        return
    kid = jwk.get("kid")
    public: dict[str, object] = {name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}
    for algorithm in _algorithms_of(jwk):
        if algorithm not in allowed:
            continue
        try:
            material = jwt.PyJWK(public, algorithm).key
            yield make_key(algorithm, material, kid=kid if isinstance(kid, str) else None)
        except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
            # Its numbers are not those of a key. The others may be.
            return


def _is_for_verifying(jwk: dict[str, object]) -> bool:
    operations = jwk.get("key_ops")
    return jwk.get("use", "sig") == "sig" and (not isinstance(operations, list) or "verify" in operations)


def _algorithms_of(jwk: dict[str, object]) -> tuple[str, ...]:
    """Return the algorithms that fit its kind: the one it names, or all."""
    kind, curve, named = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    if not isinstance(kind, str) or not (curve is None or isinstance(curve, str)):
        return ()
    fitting = _ALGORITHMS.get((kind, None if kind == "RSA" else curve), ())
    if named is None:
        return fitting
    return tuple(algorithm for algorithm in fitting if algorithm == named)
