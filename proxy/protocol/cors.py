"""Cross-origin requests: which headers let a page of another origin use the hub (reference 4.1).

Pure functions over header values; `origins` are the patterns of the settings. Who calls
answers 405 to OPTIONS when there are no origins. Requests of other origins are served like any other, without these
headers: it is the browser that keeps the answer from the page. Which origins may publish by cookie is another setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from handlers.protocol.http1 import Headers
from handlers.protocol.mercure.origin import ANY, origin_matches

_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"QUERY"))
# Content-Type is wanted by a browser's QUERY, which the reference hub refuses (defect B17).
_REQUEST_HEADERS: Final = frozenset((b"authorization", b"cache-control", b"content-type", b"last-event-id"))
# The reference hub hides the cursor from scripts (defect B10).
_EXPOSED: Final = (b"Access-Control-Expose-Headers", b"Link, Mercure-Last-Event-ID, Last-Event-ID")
_PREFLIGHT_VARY: Final = (
    b"Vary",
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
)
_VARY: Final = (b"Vary", b"Origin")


def preflight_headers(origins: Sequence[str], origin: bytes | None, method: bytes, requested: bytes | None) -> Headers:
    """Return the headers of the 204 that answers a preflight.

    `method` and `requested` are the values of Access-Control-Request-Method and -Headers. What is not allowed is
    answered with nothing but `Vary`.
    """
    allowed = _allowed(origins, origin)
    if not allowed or method not in _METHODS or not _are_known(requested):
        return (_PREFLIGHT_VARY,)
    headers = [*allowed, (b"Access-Control-Allow-Methods", method)]
    if requested:
        headers.append((b"Access-Control-Allow-Headers", requested))
    return (*headers, _PREFLIGHT_VARY)


def answer_headers(origins: Sequence[str], origin: bytes | None) -> Headers:
    """Return the headers that go with any other answer, an error's too; none where no origins are set."""
    if not origins:
        return ()
    allowed = _allowed(origins, origin)
    return (*allowed, _EXPOSED, _VARY) if allowed else (_VARY,)


def is_allowed(origins: Iterable[str], origin: bytes) -> bool:
    """Say whether an `Origin` is one of `origins`, whatever its letter case."""
    return any(origin_matches(pattern, origin.decode("latin-1")) for pattern in origins)


def _allowed(origins: Sequence[str], origin: bytes | None) -> Headers:
    if not origin:
        return ()
    if ANY in origins:
        return ((b"Access-Control-Allow-Origin", b"*"),)
    if not is_allowed(origins, origin):
        return ()
    return (b"Access-Control-Allow-Origin", origin), (b"Access-Control-Allow-Credentials", b"true")


def _are_known(requested: bytes | None) -> bool:
    names = (name.strip(b" \t").lower() for name in (requested or b"").split(b","))
    return all(not name or name in _REQUEST_HEADERS for name in names)
