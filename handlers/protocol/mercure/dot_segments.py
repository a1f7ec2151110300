"""Topics that URL parsers take for others: those with segments `.` or `..` in their path (RFC 3986 section 5.2.4).

Called by those who check what a token from before 1.0 lets publish. Its selectors compare topics as they are written,
and URL patterns as parsers read them: `https://example.com/public/../admin/x`, which `https://example.com/public/{+x}`
matches, would reach the subscribers of `/admin/*`.
"""

from __future__ import annotations

import re
from typing import Final

import ada_url

# A parser takes `\` for `/` in the schemes of the web, and `%2e` for `.` in any; a relative topic may begin with one.
_DOT_SEGMENT: Final = re.compile(r"(?:^|^[a-z][a-z0-9+.-]*:|[/\\])(?:\.|%2e){1,2}(?=[/\\]|\Z)", re.IGNORECASE)
_BEHIND_PATH: Final = re.compile(r"[?#]")
_DROPPED: Final = "".join(map(chr, range(0x21)))
# `http:x` is relative to a base that is http.
_BASES: Final = ("https://hub.invalid/a/b", "http://hub.invalid/a/b")


def has_dot_segments(topic: str) -> bool:
    """Say whether a URL parser drops segments of the topic's path; of what is no URL it drops none."""
    written = _count(_BEHIND_PATH.split(topic.strip(_DROPPED), maxsplit=1)[0])
    return written > 0 and any(_count_parsed(topic, base) < written for base in _BASES)


def _count_parsed(topic: str, base: str) -> float:
    try:
        return _count(ada_url.URL(topic, base).pathname)
    except ValueError:
        return float("inf")


def _count(path: str) -> int:
    return len(_DOT_SEGMENT.findall(path))
