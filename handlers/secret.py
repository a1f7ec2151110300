"""Reads the secrets that settings hold or name."""

from __future__ import annotations

from pathlib import Path

from handlers.errors import InvalidSetting
from handlers.protocol.secret import SecretFile, parse_secret


def read_secret(name: str, text: str, *, minimum: int = 0) -> bytes:
    """Return the secret that the setting called `name` holds or names; empty when it is not set.

    Of a file the white space at its end does not count. `minimum`: the bytes that a file has to have. Raises
    InvalidSetting.
    """
    secret = parse_secret(name, text)
    if not isinstance(secret, SecretFile):
        return secret.value
    try:
        value = Path(secret.path).read_bytes().rstrip()
    except OSError as error:
        raise InvalidSetting(name, f"{secret.path} cannot be read: {error.strerror}") from error
    if len(value) < minimum:
        raise InvalidSetting(name, f"{secret.path} has {len(value)} bytes, expected at least {minimum}")
    return value
