"""Which topics belong to the hub itself (reference 1.8): nobody may publish to them.

Called by those who take publications. A topic is resolved as a link on the hub's own page would be, so that no spelling
of the hub's path gets by; the host does not count.
"""

from __future__ import annotations

import re
from functools import lru_cache

import ada_url

# RFC 3986 section 2.3; other percent-escapes mean something else than their characters.
_ESCAPED_UNRESERVED = re.compile("%(2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])", re.IGNORECASE)


# What no parser changes, dot segments apart: an absolute URL of the web, and a path that has none.
_PLAIN = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?:[?#]|\Z)|/?[A-Za-z0-9_-][A-Za-z0-9_/-]*\Z"
)


def is_reserved(topic: str, hub_path: str) -> bool:
    """Say whether `topic` names the hub at `hub_path`, or something below it; what is no URL does not."""
    hub = _hub(hub_path)
    # Parsing costs more than all else that is checked of an update. A plain topic's path is made of its own segments
    # and of the folder that the hub is in, so that to name the hub it has to spell the last segment of the hub's path.
    if hub is not None and hub.rpartition("/")[2] not in topic and _PLAIN.match(topic):
        return False
    paths = (_path(topic, base) for base in _bases(hub_path))
    return any(path is not None and (path == hub or path.startswith(f"{hub}/")) for path in paths)


@lru_cache(maxsize=8)
def _hub(hub_path: str) -> str | None:
    return _path("", f"https://hub.invalid{hub_path}")


def _bases(hub_path: str) -> tuple[str, ...]:
    # `http:x` is relative to a base that is http: the hub's own URL, or that which stands in where it is not known.
    return f"https://hub.invalid{hub_path}", f"http://hub.invalid{hub_path}", "http://hub.invalid/"


def _path(topic: str, base: str) -> str | None:
    try:
        path = ada_url.URL(topic, base).pathname
    except ValueError:
        return None
    return _ESCAPED_UNRESERVED.sub(lambda match: chr(int(match[1], 16)), path)
