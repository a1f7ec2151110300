"""What the types of the hub's settings allow and nothing can obey, refused as InvalidSetting.

Called when `handlers.hub.settings` makes one. It reads no file: whether a key is one is found by `key_ring`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from handlers.errors import InvalidSetting
from handlers.hub.keys import SECRET_ALGORITHMS, SET_ALGORITHMS
from handlers.protocol.http1 import is_token
from handlers.protocol.mercure.origin import check_origin_pattern
from handlers.protocol.secret import parse_secret

if TYPE_CHECKING:
    from handlers.hub.settings import HubSettings, IssuerSettings

_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")
_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_ROLES: Final = ("publisher", "subscriber")


def check_hub(settings: HubSettings) -> None:
    """Return if the hub's settings can be obeyed together; raises InvalidSetting."""
    if _PATH.fullmatch(settings.path) is None:
        reason = f"expected a path as '/.well-known/mercure', without slash or query at its end, got {settings.path!r}"
        raise InvalidSetting("path", reason)
    if not settings.protocols:
        raise InvalidSetting("protocols", "expected at least one of '1.0', '8', '7' and '2019'")
    _check_unique("protocols", settings.protocols)
    _check_issuer_ids(settings.issuers)
    _check_keys(settings)
    _check_dialects(settings)
    _check_urls(settings)
    if not (settings.cookie_name.isascii() and is_token(settings.cookie_name.encode())):
        raise InvalidSetting("cookie_name", f"expected a cookie's name, got {settings.cookie_name!r}")
    for key in ("history_size", "history_age", "history_bytes"):
        if not settings.history and getattr(settings, key):
            raise InvalidSetting(key, "is set although history is empty, so nothing would be kept")
    if not settings.history and settings.on_unknown_cursor == "error":
        raise InvalidSetting("on_unknown_cursor", "is 'error' although history is empty, so nobody could come back")


def check_issuer(settings: IssuerSettings) -> None:
    """Return if an issuer's settings can be obeyed; raises InvalidSetting, whose key is that of the table."""
    if not settings.id:
        raise InvalidSetting("id", "expected the 'iss' claim of its tokens, got nothing")
    _check_keys(settings)
    for algorithm in settings.jwks_algorithms:
        if algorithm not in SET_ALGORITHMS:
            reason = f"expected algorithms with a public key, of {', '.join(SET_ALGORITHMS)}, got {algorithm!r}"
            raise InvalidSetting("jwks_algorithms", reason)
    if not any(_key_of(settings, role) or _jwks_of(settings, role) for role in _ROLES):
        raise InvalidSetting("id", f"the issuer {settings.id!r} has no key, so nothing of it could be accepted")


def _check_unique(key: str, values: Sequence[str]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise InvalidSetting(key, f"{value!r} stands there twice")


def _check_issuer_ids(issuers: Sequence[IssuerSettings]) -> None:
    ids = [issuer.id for issuer in issuers]
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise InvalidSetting(f"issuers[{index}].id", f"{name!r} is the id of another issuer, too")


def _check_keys(settings: HubSettings | IssuerSettings) -> None:
    for role in _ROLES:
        name, key = f"{role}_key", _key_of(settings, role)
        algorithm = str(getattr(settings, f"{role}_algorithm"))
        known = (*SECRET_ALGORITHMS, *SET_ALGORITHMS)
        if algorithm not in known:
            raise InvalidSetting(f"{role}_algorithm", f"expected one of {', '.join(known)}, got {algorithm!r}")
        if key and _jwks_of(settings, role):
            raise InvalidSetting(f"{role}_jwks", f"stands beside {name}; there can be one of them")
        parse_secret(name, key)
        if key.lstrip().startswith("-----BEGIN ") and algorithm in SECRET_ALGORITHMS:
            raise InvalidSetting(name, f"is PEM, and {role}_algorithm is {algorithm}, which takes a secret")


def _check_dialects(settings: HubSettings) -> None:
    """Refuse keys for tokens that no spoken dialect has: whoever set them means them to be accepted."""
    if settings.issuers and not settings.speaks_current:
        raise InvalidSetting("issuers", "are of protocol 1.0, which protocols does not list")
    if settings.speaks_selectors:
        return
    for key in (f"{role}_{kind}" for role in _ROLES for kind in ("key", "jwks")):
        if getattr(settings, key):
            raise InvalidSetting(key, "is for protocols 8, 7 and 2019, and protocols lists 1.0 only: see issuers")


def _check_urls(settings: HubSettings) -> None:
    for key, origins in (("publish_origins", settings.publish_origins), ("cors_origins", settings.cors_origins)):
        _check_each(key, check_origin_pattern, origins)
    _check_each("public_urls", _check_public_url, settings.public_urls)
    identifier = settings.resource_identifier
    if identifier and (_IDENTIFIER.fullmatch(identifier) is None or "#" in identifier):
        reason = f"expected a URL without fragment, as 'https://hub.example{settings.path}', got {identifier!r}"
        raise InvalidSetting("resource_identifier", reason)


def _check_public_url(text: str) -> None:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URL: {error}") from error
    is_plain = _IDENTIFIER.fullmatch(text) is not None and not any(mark in text for mark in "?#@*")
    if parts.scheme not in {"http", "https"} or not (has_host and is_plain):
        raise ValueError(f"expected origins as 'https://hub.example', got {text!r}")


def _check_each(key: str, check: Callable[[str], None], values: Iterable[str]) -> None:
    for value in values:
        try:
            check(value)
        except ValueError as error:
            raise InvalidSetting(key, str(error)) from error


def _key_of(settings: HubSettings | IssuerSettings, role: str) -> str:
    return str(getattr(settings, f"{role}_key"))


def _jwks_of(settings: HubSettings | IssuerSettings, role: str) -> str:
    return str(getattr(settings, f"{role}_jwks"))
