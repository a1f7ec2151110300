"""How a secret stands in the settings: `text`, `base64:...`, or `file:PATH` for one that stands in a file.

Used by the settings, which check what is written there, and by the authorisation, which reads the file.
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
    """A secret that stands in a file, without the white space at its end."""

    path: str


def parse_secret(name: str, text: str) -> Secret | SecretFile:
    """Read the setting called `name`; raises InvalidSetting, which does not show the value."""
    if text.startswith("file:"):
        return SecretFile(path=text.removeprefix("file:"))
    if not text.startswith("base64:"):
        return Secret(value=text.encode())
    try:
        return Secret(value=decode_base64(text.removeprefix("base64:")))
    except ValueError as error:
        raise InvalidSetting(name, "what follows base64: is not base64") from error
