"""A signed token taken apart (RFC 7515, compact form), its signature not yet verified.

Called by `auth`. Whoever holds one of these must not believe its claims before a key has verified `signature`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

import jwt
import msgspec

from handlers.protocol.fields import printable
from handlers.protocol.mercure.claims import TokenError

TOKEN_LIMIT: Final = 16_384
"""Bytes of a token: more than any header that proxies let through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """Header and claims as they stand there, and what is signed with what."""

    header: dict[str, object]
    claims: dict[str, object]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The `alg` of the header; raises TokenError when it names none."""
        algorithm = self.header.get("alg")
        if not isinstance(algorithm, str) or algorithm.lower() == "none":
            raise TokenError("it is not signed")
        return algorithm

    @property
    def kid(self) -> str | None:
        """The name of its key, if it gives one."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else None

    @property
    def name(self) -> str:
        """Who it was made for, in a few words for log lines."""
        for claim in ("sub", "client_id", "jti", "iss"):
            value = self.claims.get(claim)
            if isinstance(value, str) and value:
                return printable(value[:100])
        return "unnamed"


def open_token(value: bytes) -> SignedToken:
    """Take any bytes apart; raises TokenError when they are not a signed token."""
    if len(value) > TOKEN_LIMIT:
        raise TokenError(f"it has {len(value)} bytes, more than {TOKEN_LIMIT}")
    try:
        parts = jwt.PyJWS().decode_complete(value, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise TokenError(f"it is not a signed token: {printable(str(error)[:200])}") from error
    try:
        claims = msgspec.json.decode(cast("bytes", parts["payload"]))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise TokenError("its claims are not JSON") from error
    if not isinstance(claims, dict):
        raise TokenError("its claims are not an object")
    return SignedToken(
        header=parts["header"],
        claims=cast("dict[str, object]", claims),
        signed=value.rpartition(b".")[0],
        signature=parts["signature"],
    )
