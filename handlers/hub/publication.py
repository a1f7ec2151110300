"""A publication as a door hands it in: who sends it, and how its body can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from handlers.hub.auth import Shown

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
