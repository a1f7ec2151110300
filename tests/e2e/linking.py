"""What the tests of next links do again and again: answers with a link, and items in an order."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.answers import Answer, grip_stream, text
from tests.support.http import Request
from tests.support.publisher import Json, stream_item

SOON = 0.3
"""Seconds within which what is missing is asked for (reference 3.8)."""
GAP = 10
"""An id far beyond what streams here begin with."""


def linked(*channels: str, link: str = "next", seconds: int = 30, body: bytes = b"", gone: str = "") -> Answer:
    links = [("Grip-Link", f"<{link}>; rel=next; timeout={seconds}")]
    if gone:
        links.append(("Grip-Link", f"<{gone}>; rel=gone"))
    return grip_stream(*channels, body=body, headers=links)


def page(body: bytes, *channels: str, link: str = "next") -> Answer:
    """An answer that is no hold, and leads on."""
    lines = [(b"Grip-Channel", channel.encode()) for channel in channels]
    return text(body, headers=[(b"Grip-Link", f"<{link}>; rel=next".encode()), *lines])


def item(channel: str, item_id: int, after: int | None = None, **fields: object) -> Json:
    """An item that says its own id, behind whichever it says."""
    follows = {} if after is None else {"prev-id": str(after)}
    return stream_item(channel, f"[{item_id}]", id=str(item_id), **follows, **fields)


def gap(channel: str) -> Json:
    """An item that nothing here leads to."""
    return item(channel, GAP, GAP - 1, **{"no-seq": True})


def last_ids(requests: Iterable[Request]) -> list[tuple[bytes, ...]]:
    return [request.values(b"grip-last") for request in requests]
