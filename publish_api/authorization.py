"""Who may publish: a bearer token, a signed one (JWT, HS256), or whoever reaches the port when neither is set.

Called by `publish_api.connection` before a request's body is read. It knows nothing of channels: whoever may publish
may publish to all of them, as with Pushpin. A JWT may say that it is for less than everything (`protocol.scope`).
"""

from __future__ import annotations

import hmac
import math
import time
from typing import Final, NamedTuple

import jwt

from handlers.protocol.secret import JWT_KEY_MINIMUM
from handlers.secret import read_secret
from publish_api.errors import AuthError
from publish_api.protocol.scope import EVERYTHING, Scope, parse_scopes
from publish_api.settings import PublishSettings

INVALID = b'Bearer error="invalid_token"'
INSUFFICIENT = b'Bearer error="insufficient_scope"'

REMEMBERED: Final = 64
"""Good headers that are remembered: a signature costs more than all else about a small publication."""


class Grant(NamedTuple):
    """What a header is good for, and until when, in seconds since 1970."""

    until: float
    scopes: frozenset[Scope] = EVERYTHING


class Authorization:
    """Checks the Authorization header. Raises InvalidSetting when a secret's file cannot be used."""

    def __init__(self, settings: PublishSettings) -> None:
        # An empty file must not open the port to everybody.
        self._token = read_secret("token", settings.token, minimum=1)
        self._jwt_key = read_secret("jwt_key", settings.jwt_key, minimum=JWT_KEY_MINIMUM)
        self.known: dict[str, Grant] = {}
        """Good headers, with what each is good for."""

    def check(self, header: str | None, scope: Scope = Scope.PUBLISH) -> None:
        """Return if somebody that sent `header` may do this; raise AuthError otherwise (RFC 6750 section 2.1)."""
        if not self._token and not self._jwt_key:
            return
        shown = header or ""
        # The system's time, because that is what the signature's library goes by.
        grant = self.known.get(shown)
        if grant is None or grant.until <= time.time():
            grant = self._check(shown)
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            self.known[shown] = grant
        if scope not in grant.scopes:
            raise AuthError(f"The token is not for this: {scope.value}.", challenge=INSUFFICIENT, status=403)

    def _check(self, header: str) -> Grant:
        """Return what the header is good for. Raises AuthError."""
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthError("Authorization required.", challenge=b"Bearer")
        shown = credentials.strip().encode("utf-8", "surrogateescape")
        if self._token and hmac.compare_digest(shown, self._token):
            return Grant(math.inf)
        if not self._jwt_key:
            raise AuthError("Invalid token.", challenge=INVALID)
        return self._check_jwt(shown)

    def _check_jwt(self, shown: bytes) -> Grant:
        try:
            # Whom a token is meant for is not looked at: libraries put nothing there, or what their operator chose.
            claims = jwt.decode(
                shown, self._jwt_key, algorithms=["HS256"], options={"require": ["exp"], "verify_aud": False}
            )
        except jwt.ExpiredSignatureError as error:
            raise AuthError("Token has expired.", challenge=INVALID) from error
        except jwt.MissingRequiredClaimError as error:
            raise AuthError("Token has no expiry.", challenge=INVALID) from error
        except jwt.InvalidTokenError as error:
            raise AuthError("Invalid token.", challenge=INVALID) from error
        try:
            return Grant(int(claims["exp"]), parse_scopes(claims))
        except ValueError as error:
            raise AuthError("Invalid token.", challenge=INVALID) from error
