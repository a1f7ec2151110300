"""Origins of pages, and the patterns by which operators list them (reference 1.9.1, 4.1; RFC 6454).

The settings check what an operator has listed; CORS and publishing by cookie ask whether a page's origin is among it.
"""

from __future__ import annotations

import re
from typing import Final

ANY: Final = "*"
"""The pattern of every origin."""

OPAQUE: Final = "null"
"""What a page without an origin of its own sends, as one of a file does."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%*-]+)(?::([0-9]{1,5}|\*))?")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_HIGHEST_PORT: Final = 65_535


def check_origin_pattern(text: str) -> None:
    """Raise ValueError, with a text for the operator, when `text` could never be an origin.

    Good are `*`, `null`, and `scheme://host[:port]`, in which one `*` may stand for any text.
    """
    reason = None if text in {ANY, OPAQUE} else _find_fault(text)
    if reason is not None:
        raise ValueError(f"{text!r} is not an origin: {reason}")


def origin_matches(pattern: str, origin: str) -> bool:
    """Say whether `origin`, which may be any text of a client's, is one that `pattern` stands for.

    Letter case does not count, nor does a port that goes without saying. A `*` within a pattern stands for any text
    without a slash, so that it never reaches from a host into a path.
    """
    pattern, origin = pattern.lower(), origin.lower()
    if pattern == ANY:
        return True
    # Browsers leave a port out that goes without saying.
    pattern = pattern.removesuffix(_DEFAULT_PORTS.get(pattern.partition(":")[0], ""))
    start, star, end = pattern.partition(ANY)
    if not star:
        return origin == pattern
    # The asterisk has a place of its own: `https://a*a` is not `https://a`.
    has_room = len(origin) >= len(start) + len(end)
    between = origin[len(start) : len(origin) - len(end)]
    return has_room and origin.startswith(start) and origin.endswith(end) and "/" not in between


def _find_fault(text: str) -> str | None:
    """Return what is wrong with a pattern that is neither `*` nor `null`."""
    if text.count(ANY) > 1:
        return "only one '*' may stand in it"
    scheme, separator, rest = text.partition("://")
    if not separator or _SCHEME.fullmatch(scheme) is None:
        return "it must begin with a scheme, as in 'https://app.example'"
    if any(mark in rest for mark in "/?#"):
        return "it must end with its host or port, without a slash behind"
    host = _HOST.fullmatch(rest)
    if host is None:
        return "behind its scheme a host must stand, in ASCII, and at most a port"
    if host[1] and host[1] != ANY and int(host[1]) > _HIGHEST_PORT:
        return f"a port is {_HIGHEST_PORT} at most"
    return None
