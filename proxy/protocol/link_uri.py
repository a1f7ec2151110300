"""Where a `Grip-Link` leads: a URI reference, resolved against the URI that it came from (RFC 3986 section 5).

Called by `proxy.links`. `handlers.protocol.grip_headers` has seen to it that the reference is relative or http(s), and
has no character that a request line could not carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

DEFAULT_PORTS = {False: 80, True: 443}
"""By whether the scheme is https."""


class LinkError(ValueError):
    """A reference that leads nowhere from where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUri:
    """An absolute http(s) URI without its fragment.

    `authority` is in lower case, with the port if one was written; `host` is without the brackets of an IPv6 address.
    `path` is the origin-form target, query included.
    """

    is_tls: bool
    authority: bytes
    host: str
    port: int
    path: bytes
    has_port: bool = False
    """Whether a port was written."""

    @property
    def text(self) -> str:
        """The URI as one would write it."""
        scheme = "https" if self.is_tls else "http"
        return f"{scheme}://{self.authority.decode('latin-1')}{self.path.decode('latin-1')}"

    def is_same_place(self, other: LinkUri) -> bool:
        """Say whether both have one host and one port; where neither writes a port, whatever the schemes are.

        Behind a proxy that ends TLS a client's https request comes to us as http.
        """
        if not (self.has_port or other.has_port):
            return self.host == other.host
        return (self.is_tls, self.host, self.port) == (other.is_tls, other.host, other.port)


def request_uri(*, is_tls: bool, authority: bytes, path: bytes) -> LinkUri:
    """Return the URI of a client's request. Raises LinkError for an authority that is none."""
    return _make(f"{'https' if is_tls else 'http'}://{authority.decode('latin-1')}", path)


def follow(base: LinkUri, reference: str) -> LinkUri:
    """Return where `reference` leads from `base`. Raises LinkError."""
    try:
        joined = urljoin(base.text, reference)
        parts = urlsplit(joined)
    except ValueError as error:
        raise LinkError(f"{reference}: {error}") from error
    target = parts.path or "/"
    # A lone question mark is an empty query, and urlsplit tells it from none no more than browsers do.
    path = f"{target}?{parts.query}" if parts.query else target
    return _make(f"{parts.scheme}://{parts.netloc}", path.encode("latin-1", "replace"))


def _make(place: str, path: bytes) -> LinkUri:
    try:
        parts = urlsplit(place.lower())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LinkError(f"{place}: {error}") from error
    if not host or parts.username is not None or parts.scheme not in ("http", "https") or port == 0:
        raise LinkError(f"{place}: no host that can be asked")
    is_tls = parts.scheme == "https"
    return LinkUri(
        is_tls=is_tls,
        authority=parts.netloc.encode("latin-1", "replace"),
        host=host,
        port=port or DEFAULT_PORTS[is_tls],
        path=path,
        has_port=port is not None,
    )
