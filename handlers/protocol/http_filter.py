"""The filters `http-check` and `http-modify`: a backend is asked about each item for each session (reference 6.6).

What is asked and what an answer means. Who asks is the door (`handlers.door.Asker`); whose turn it is, `filter_queue`
knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from handlers.protocol.filters import HTTP_MODIFY
from handlers.protocol.http1 import Headers, header_values
from handlers.protocol.percent_template import FilterError
from handlers.protocol.subscribing import LastSeen

ANSWER_LIMIT = 100_000
"""Bytes of content that an answer may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to a filter. `url` may be relative to `origin`, the URI of the request that the session came by.

    `content` is empty for `http-check`, and where an item has none that could be changed.
    """

    filter: str
    url: str
    origin: str
    route: str
    """The id of the route that it came by, where that is known."""
    content: bytes
    meta: Mapping[str, str]
    """The session's."""
    item_meta: tuple[tuple[str, str], ...]
    last_seen: LastSeen

    @property
    def headers(self) -> Headers:
        """What the request says besides `Grip-Last`."""
        return ((b"Sub-Meta", encode_meta(self.meta)), (b"Pub-Meta", encode_meta(dict(self.item_meta))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The item goes on. `content` is its new content, None for what it had."""

    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """The session does not get the item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """There is no answer that could be used."""

    reason: str


Verdict = Passed | Dropped | Failed


def url_of(name: str, meta: Mapping[str, str]) -> str:
    """Return where the filter `name` is, by the session's meta. Raises FilterError where it does not say."""
    url = meta.get("url", "")
    if not url or not all("!" <= char <= "~" for char in url):
        raise FilterError(f"{name}: no meta 'url'" if not url else f"{name}: meta 'url' is not a URL")
    return url


def read_verdict(name: str, *, status: int, headers: Headers, body: bytes) -> Verdict:
    """Return what an answer to the filter `name` means."""
    if status not in (200, 204):
        return Failed(reason=f"status {status}")
    if any(value.strip().lower() == b"drop" for value in header_values(headers, b"action")):
        return Dropped()
    return Passed(content=body if name == HTTP_MODIFY and status == 200 else None)


def encode_meta(meta: Mapping[str, str]) -> bytes:
    """Encode meta as a JSON object of ASCII alone, as a header can carry it."""
    return json.dumps(dict(meta), separators=(",", ":")).encode()
