"""Headers that open an answer to pages of every origin: `aco` on a route (reference 3.13).

Used by the proxy for what it passes on and answers itself, and by held long polls for what is published. What an
answer has already is the backend's word and stays. The hub's CORS, which knows origins, is `proxy.protocol.cors`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from handlers.protocol.http1 import Headers, first_header, header_values

_METHODS: Final = b"OPTIONS, HEAD, GET, POST, PUT, DELETE"
_MAX_AGE: Final = b"3600"
_PREFIX: Final = b"access-control-"
# What scripts may read in any case, and what is for us. (Fetch standard, "CORS-safelisted response-header name".)
_SAFE: Final = frozenset(
    (
        b"cache-control",
        b"content-language",
        b"content-length",
        b"content-type",
        b"expires",
        b"last-modified",
        b"pragma",
    )
)
_NEVER: Final = (_PREFIX, b"grip-")


class CrossOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """What one request says about the page that it comes from. Each is empty where the request does not say it."""

    origin: bytes = b""
    """`Origin`."""
    method: bytes = b""
    """`Access-Control-Request-Method`."""
    headers: bytes = b""
    """All values of `Access-Control-Request-Headers`, joined by `, `."""

    def opened(self, headers: Headers) -> Headers:
        """Return an answer's headers, and behind them those that open it to the page and are missing."""
        present = {name for pair in headers if (name := pair[0].lower()).startswith(_PREFIX)}
        wanted = (
            (b"Access-Control-Allow-Methods", self.method or _METHODS),
            (b"Access-Control-Allow-Headers", self.headers),
            (b"Access-Control-Expose-Headers", _exposed(headers)),
            (b"Access-Control-Allow-Credentials", b"true"),
            (b"Access-Control-Allow-Origin", self.origin or b"*"),
            (b"Access-Control-Max-Age", _MAX_AGE),
        )
        return headers + tuple([pair for pair in wanted if pair[1] and pair[0].lower() not in present])


def read_cross_origin(headers: Headers) -> CrossOrigin:
    """Read what a request's headers say about the page that it comes from."""
    asked = [value for value in header_values(headers, b"access-control-request-headers") if value]
    return CrossOrigin(
        origin=first_header(headers, b"origin") or b"",
        method=first_header(headers, b"access-control-request-method") or b"",
        headers=b", ".join(asked),
    )


def _exposed(headers: Headers) -> bytes:
    """Return the names that scripts could not read otherwise, each once and as it was first written."""
    names: dict[bytes, bytes] = {}
    for name, _ in headers:
        plain = name.lower()
        if plain not in _SAFE and not plain.startswith(_NEVER):
            names.setdefault(plain, name)
    return b", ".join(names.values())
