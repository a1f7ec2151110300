"""Who the hub says it is: its resource identifier, its metadata, and the challenges that lead there.

RFC 9728, reference 1.9.5 and 1.10. Asked at each request with the scheme and the authority the client used. The
identifier is what tokens must name as their audience; a pinned one does not depend on requests. Which requests are to
be believed about their scheme is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from handlers.errors import Challenge

DETAIL_TYPE: Final = "https://mercure.rocks/authorization-detail"
"""The `type` of the entries of `authorization_details` that are the hub's."""

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class Issuer(Protocol):
    """What of an issuer's settings counts here."""

    @property
    def id(self) -> str:
        """Its `iss`."""
        ...

    @property
    def authorization_server(self) -> bool:
        """Whether clients can ask it for tokens."""
        ...


class Identity(Protocol):
    """What of the hub's settings counts here; `handlers.hub.settings.HubSettings` is one."""

    @property
    def path(self) -> str:
        """Path of the hub."""
        ...

    @property
    def resource_identifier(self) -> str:
        """The pinned identifier, or nothing."""
        ...

    @property
    def public_urls(self) -> Sequence[str]:
        """Origins on which the hub answers; none for any."""
        ...

    @property
    def cookie_name(self) -> str:
        """Name of the cookie that carries tokens."""
        ...

    @property
    def issuers(self) -> Sequence[Issuer]:
        """Issuers of tokens."""
        ...


def resource_of(settings: Identity, *, scheme: str, authority: str) -> str:
    """Return the resource identifier: the pinned one, or else the hub's URL as this request has it."""
    return settings.resource_identifier or origin_of(scheme, authority) + settings.path


def metadata_path(settings: Identity) -> str:
    """Return the path under which the metadata is served."""
    return _WELL_KNOWN + settings.path


def metadata_url(settings: Identity, *, scheme: str, authority: str) -> str:
    """Return the metadata's URL, which is made from the resource identifier's.

    RFC 9728 section 3.1: the well-known path is inserted "between the host component and the path and/or query
    components", and a slash that ends the host goes. A pinned identifier that is no URL with a host has no such place,
    and the request's URL stands in.
    """
    pinned = urlsplit(settings.resource_identifier)
    if not (pinned.scheme and pinned.netloc):
        return origin_of(scheme, authority) + metadata_path(settings)
    path = "" if pinned.path == "/" else pinned.path
    query = f"?{pinned.query}" if pinned.query else ""
    return f"{pinned.scheme}://{pinned.netloc}{_WELL_KNOWN}{path}{query}"


def is_public(settings: Identity, scheme: str, authority: str) -> bool:
    """Say whether the hub answers on this origin; where it does not, the answer is 421 `Misdirected Request`."""
    if not settings.public_urls:
        return True
    asked = origin_of(scheme, authority)
    return any(asked == _origin_of_url(url) for url in settings.public_urls)


def origin_of(scheme: str, authority: str) -> str:
    """Return `scheme://host[:port]` in lower case and without a port that goes without saying.

    A request without a host (HTTP/1.0) counts as one to `localhost`.
    """
    scheme, host = scheme.lower(), authority.lower() or "localhost"
    name, colon, port = host.rpartition(":")
    # Of an IPv6 address without a port the last colon stands before its bracket.
    if colon and not port.endswith("]") and port in {"", _DEFAULT_PORTS.get(scheme)}:
        host = name
    return f"{scheme}://{host}"


def challenge(error: Challenge, url: str) -> bytes:
    """Encode the value of `WWW-Authenticate` for a fault of a token; `url` is the metadata's."""
    parameters = [("error", error.value)] if error is not Challenge.NO_TOKEN else []
    parameters.append(("resource_metadata", url.replace("\\", "\\\\").replace('"', '\\"')))
    return ("Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters)).encode()


def encode_metadata(settings: Identity, resource: str, *, subscriptions_active: bool) -> bytes:
    """Encode the metadata of the hub called `resource`: one JSON object and a line end.

    `mercure_matcher_types_supported` is left out: it is for types beyond those that every hub has, and the older
    dialects' selectors are no matcher type, as there is no parameter `match_selector`.
    """
    metadata: dict[str, object] = {"resource": resource}
    servers = [issuer.id for issuer in settings.issuers if issuer.authorization_server]
    if servers:
        metadata["authorization_servers"] = servers
    metadata["bearer_methods_supported"] = ["header"]
    metadata["authorization_details_types_supported"] = [DETAIL_TYPE]
    metadata["mercure_cookie"] = settings.cookie_name
    if subscriptions_active:
        metadata["mercure_subscriptions"] = True
    return msgspec.json.encode(metadata) + b"\n"


def _origin_of_url(url: str) -> str:
    parts = urlsplit(url)
    return origin_of(parts.scheme, parts.netloc)
