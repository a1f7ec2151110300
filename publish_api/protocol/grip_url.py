"""GRIP URLs: where to publish and with which credentials, as GRIP libraries read `GRIP_URL` (reference 8.4).

    http://localhost:5561                      no credentials
    https://api.example.com/realm?iss=ISS&key=base64:KEY   a signed token
    https://api.example.com/realm?key=TOKEN    the key as bearer token

Used by `holdfast publish`.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass, field

from handlers.protocol.secret import decode_secret
from publish_api.errors import CommandError

VERIFYING = ("verify-iss", "verify-key")
"""Parameters for backends that check Grip-Sig; they say nothing about publishing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GripUrl:
    """`publish_url` is where to POST. `key` is empty when there is none; with `iss` it signs, alone it is shown."""

    publish_url: str
    is_private: bool
    """Whether nobody can listen on the way: the URL is https, or names this machine."""

    iss: str = ""
    key: bytes = field(default=b"", repr=False)


def parse_grip_url(text: str) -> GripUrl:
    """Parse a GRIP URL; raises CommandError with a text for the terminal."""
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise CommandError(f"invalid URL: {text}") from error
    if parts.scheme not in ("http", "https"):
        raise CommandError(f"expected an http:// or https:// URL (to publish, also tcp:// or ipc://), got {text}")
    if not host or port == 0:
        raise CommandError(f"invalid URL: {text}")
    if parts.username is not None:
        raise CommandError("give credentials with -u or -B, not in the URL")
    # Base64 in a query is often left unquoted, where + would mean a space.
    query = dict(urllib.parse.parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True))
    iss, key = query.pop("iss", ""), query.pop("key", "")
    unknown = sorted(query.keys() - set(VERIFYING))
    if unknown:
        raise CommandError(f"unknown parameter in URL: {unknown[0]}")
    url = urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path.removesuffix("/") + "/publish/", "", ""))
    try:
        secret = decode_secret(key)
    except ValueError as error:
        raise CommandError(f"the key in the URL: {error}") from error
    return GripUrl(publish_url=url, is_private=parts.scheme == "https" or is_loopback(host), iss=iss, key=secret)


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
