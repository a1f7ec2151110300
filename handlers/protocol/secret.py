"""How a secret is written, in settings, routes and GRIP URLs: `text`, `base64:...`, or `file:PATH` for one in a file.

Used by the settings, which check what is written there, and by whoever needs the secret. What is in a file is theirs to
read: `handlers.secret` as it is, the keys of Grip-Sig as PEM or hexadecimal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from handlers.errors import InvalidSetting
from handlers.protocol.fields import decode_base64

JWT_KEY_MINIMUM = 32
"""Bytes an HS256 key must have (RFC 7518 section 3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret that is known. Empty means that there is none."""

    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """A secret that stands in a file."""

    path: str


def parse_secret(name: str, text: str) -> Secret | SecretFile:
    """Read the setting called `name`; raises InvalidSetting, which does not show the value."""
    if text.startswith("file:"):
        return SecretFile(path=text.removeprefix("file:"))
    try:
        return Secret(value=decode_secret(text))
    except ValueError as error:
        raise InvalidSetting(name, str(error)) from error


def decode_secret(text: str) -> bytes:
    """Return a secret that stands as text or as `base64:...`; raises ValueError, which does not show it."""
    if not text.startswith("base64:"):
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("is not UTF-8") from error
    try:
        secret = decode_base64(text.removeprefix("base64:"))
    except ValueError as error:
        raise ValueError("what follows base64: is not base64") from error
    if not secret:
        raise ValueError("nothing follows base64:")
    return secret
