"""The Authorization header that `holdfast publish` sends: from its options, or from the GRIP URL's key.

Called by `publish_api.commands`.
"""

from __future__ import annotations

import base64
import time
import warnings

import jwt
from jwt.warnings import InsecureKeyLengthWarning

from publish_api.errors import CommandError
from publish_api.protocol.grip_url import GripUrl

TOKEN_SECONDS = 3600
"""How long a signed token lives. An hour is what GRIP libraries give theirs, and bears clocks that differ."""


def make_authorization(target: GripUrl, *, user: str | None, bearer: str | None) -> str | None:
    """Return the header's value, None for no credentials. Options win over the URL's key.

    Raises CommandError for credentials that would travel in the clear to another machine. A key in the URL is not held
    to that: inside a private network GRIP URLs are commonly http, and every other library sends it.
    """
    if (user is not None or bearer is not None) and not target.is_private:
        raise CommandError("Authentication requires https")
    if user is not None:
        return f"Basic {base64.b64encode(user.encode('utf-8', 'surrogateescape')).decode()}"
    if bearer is not None:
        return f"Bearer {bearer_text(bearer.encode('utf-8', 'surrogateescape'))}"
    if not target.key:
        return None
    return f"Bearer {sign(target) if target.iss else bearer_text(target.key)}"


def sign(target: GripUrl) -> str:
    """Return a token signed with the URL's key."""
    claims = {"iss": target.iss, "exp": int(time.time()) + TOKEN_SECONDS}
    with warnings.catch_warnings():
        # How long the key is was decided by whoever runs the server.
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        return jwt.encode(claims, target.key, algorithm="HS256")


def bearer_text(token: bytes) -> str:
    """Return a token that can stand in a header."""
    if not token or not token.isascii() or not token.decode("ascii").isprintable():
        raise CommandError("the bearer token must be visible ASCII")
    return token.decode()
