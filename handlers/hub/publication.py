"""A publication as a door hands it in: who sends it, and how its body can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from handlers.hub.auth import Shown, shown_by
from handlers.protocol.http1 import Headers, first_header
from handlers.protocol.mercure.form import parse_form, values_of

ReadBody = Callable[[], Awaitable[bytes]]
"""Returns the whole body. Raises HubRefusal for one that is too large (413) or does not come (400, 408)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A POST to the hub. `resource` is the hub's identifier for this request; `is_old_path` says it came to `/hub`."""

    shown: Shown
    resource: str
    content_type: bytes | None
    read: ReadBody
    is_old_path: bool = False


def make_publication(
    headers: Headers, query: bytes, *, resource: str, read: ReadBody, is_old_path: bool = False
) -> Publication:
    """Return the publication that a POST with these headers and this query is."""
    tokens = values_of(parse_form(query, strict=False), "authorization")
    return Publication(
        shown=shown_by(headers, method="POST", query_tokens=tokens),
        resource=resource,
        content_type=first_header(headers, b"content-type"),
        read=read,
        is_old_path=is_old_path,
    )
